"""Compares the steps of the spectral trainers with their PyTorch systems, side by side.

    python3 bench/spectral.py [--rounds 5] [--seconds 6] [--only mae] [--out bench/results/spectral.jsonl]

Ours is what `host bench` measures of a phase: a whole step, in which the spectra are made up, seen by the sensor
and turned into tokens too. The peers are `peer_spectral.py`, whose data is made beforehand. Environment, rounds and
the file are those of `run.py`.
"""

import json
import os
import statistics
import subprocess
import tempfile
from pathlib import Path

from run import HERE, ROOT, measure, options, python, write

# Batch 8, 256 and 285 tokens, depth 2, width 64: `wide` has the reference's feed-forward part too.
ALIGNMENT = """
[profile]
phase = "alignment"
[alignment.trainer]
batch_size = 8
[alignment.model]
embed_dim = 64
depth = 2
heads = 4
"""
WIDE = 'd_ff = 2048\nnorm = "after"\nactivation = "relu"\ndropout = 0.1\n'
# Batch 64, 256 tokens of width 256, depth 6, 8 heads, the reference's layers.
MAE = """
[profile]
phase = "mae"
[mae.data]
kind = "noise"
[mae.train]
batch_size = 64
[mae.encoder]
embed_dim = 256
depth = 6
heads = 8
"""
MAE_WIDE = 'd_ff = 2048\nnorm = "after"\nactivation = "relu"\ndropout = 0.1\nposition = "token_index"\n'
# The case, our configuration, the peer's flags.
CASES = {
    "alignment": (ALIGNMENT, ["--case", "alignment"]),
    "alignment, its layers": (ALIGNMENT + WIDE, ["--case", "alignment"]),
    "alignment, its layers, batched": (ALIGNMENT + WIDE, ["--case", "alignment", "--batched"]),
    "mae": (MAE, ["--case", "mae"]),
    "mae, its layers": (MAE + MAE_WIDE, ["--case", "mae"]),
}


def build():
    subprocess.run(["cargo", "build", "--release", "--quiet", "--workspace"], cwd=ROOT, check=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return target / "release" / "host"


def measure_ours(host, configuration, args):
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(configuration)
        file.flush()
        command = [host, "bench", "--config", file.name, "--no-search", "--json"]
        command += ["--seconds", str(args.seconds), "--threads", str(args.threads)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    measured = json.loads(done.stdout)["phases"][0]["measured"]
    rate = 1 / measured["step_seconds"]
    return {"steps_per_s": [rate], "peak_mib": measured["memory_peak_bytes"] >> 20, "host_bench": measured}


def main():
    parser = options(__doc__, seconds=6.0)
    parser.add_argument("--only", default="", help="what the name of a case begins with")
    args = parser.parse_args()
    executable, host = python(), build()
    common = ["--threads", str(args.threads), "--seconds", str(args.seconds)]
    results = []
    print(f"{'case':32} {'ratio':>6} {'from':>6} {'to':>6} {'ours/s':>8} {'theirs/s':>8} {'memory':>7}")
    for case, (configuration, flags) in CASES.items():
        if not case.startswith(args.only):
            continue
        peer = [executable, HERE / "peer_spectral.py", *flags, *common]
        rounds = [
            {"ours": measure_ours(host, configuration, args), "eager": measure(peer)}
            for _ in range(args.rounds)
        ]
        report(case, rounds)
        results.append({"case": case, "rounds": rounds})
    write(args, results)


def report(case, rounds):
    def rate(row, who):
        return statistics.median(row[who]["steps_per_s"])

    ratios = [rate(row, "ours") / rate(row, "eager") for row in rounds]
    memory = statistics.median(row["ours"]["peak_mib"] / row["eager"]["peak_mib"] for row in rounds)
    ours, theirs = (statistics.median(rate(row, who) for row in rounds) for who in ("ours", "eager"))
    print(
        f"{case:32} {statistics.median(ratios):6.2f} {min(ratios):6.2f} {max(ratios):6.2f} "
        f"{ours:8.2f} {theirs:8.2f} {memory:7.2f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
