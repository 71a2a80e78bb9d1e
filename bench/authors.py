"""Compares trainers that an author writes on the SDK's operations with PyTorch eager, side by side.

    python3 bench/authors.py [--rounds 5] [--seconds 5] [--only mlp] [--out bench/results/authors.jsonl]

The trainers are `sdk/numerics/examples/mlp.rs` and `transformer.rs`, the latter written out and around the
SDK's stack; their peers are `peer_mlp.py` and `peer_gpt.py`. Builds, environment, rounds and the table are
those of `run.py`.
"""

import os
import statistics
import subprocess
from pathlib import Path

from run import HERE, ROOT, measure, options, python, write

# The case, what an author wrote, and what it is measured against.
CASES = {
    "mlp": (["mlp"], ["peer_mlp.py"]),
    "transformer": (["transformer"], ["peer_gpt.py", "--size", "dev"]),
    "transformer-stack": (["transformer", "--stack"], ["peer_gpt.py", "--size", "dev"]),
}


def build():
    command = ["cargo", "build", "--release", "--quiet", "-p", "sdk-numerics", "--examples"]
    subprocess.run(command, cwd=ROOT, check=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return target / "release" / "examples"


def main():
    parser = options(__doc__, seconds=5.0)
    parser.add_argument("--only", choices=CASES)
    args = parser.parse_args()
    executable, examples = python(), build()
    common = ["--threads", str(args.threads), "--seconds", str(args.seconds)]
    results = []
    print(f"{'case':18} {'ratio':>6} {'from':>6} {'to':>6} {'ours per s':>11} {'memory':>7}")
    for case, ((name, *flags), (peer, *peer_flags)) in CASES.items():
        if args.only not in (None, case):
            continue
        contestants = {
            "ours": [examples / name, *flags, *common],
            "eager": [executable, HERE / peer, *peer_flags, *common],
        }
        rounds = [
            {who: measure(command) for who, command in contestants.items()}
            for _ in range(args.rounds)
        ]
        report(case, rounds)
        results.append({"case": case, "rounds": rounds})
    write(args, results)


def rate(measured):
    """Tokens or samples per second, the median of the steps."""
    return statistics.median(next(v for k, v in measured.items() if k.endswith("_per_s")))


def report(case, rounds):
    ratios = [rate(row["ours"]) / rate(row["eager"]) for row in rounds]
    memory = statistics.median(row["ours"]["peak_mib"] / row["eager"]["peak_mib"] for row in rounds)
    ours = statistics.median(rate(row["ours"]) for row in rounds)
    print(
        f"{case:18} {statistics.median(ratios):6.2f} {min(ratios):6.2f} {max(ratios):6.2f} "
        f"{ours:11,.0f} {memory:7.2f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
