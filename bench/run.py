"""Compares the training step with PyTorch's, side by side on this machine.

    python3 bench/run.py [--rounds 5] [--seconds 8] [--only dev,f32] [--out bench/results/NAME.jsonl]

Builds what it measures, and makes a virtual environment for PyTorch (`HOST_BENCH_VENV`, by default
/tmp/host-bench-venv). Each round runs every contestant once, one after the other, in a process of its
own: ours, PyTorch's modes, ours, and so on. What is printed are ratios within a round: the median, and
the smallest and largest of all rounds. The raw rounds go to a file.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
MODES = {
    "f32": ["eager", "compile", "compile-sdpa"],
    "bf16": ["bf16", "bf16-compile-sdpa"],
}


def python():
    venv = Path(os.environ.get("HOST_BENCH_VENV", "/tmp/host-bench-venv"))
    executable = venv / "bin" / "python"
    probe = [executable, "-c", "import torch"]
    if not executable.exists() or subprocess.run(probe, capture_output=True).returncode:
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        install = [executable, "-m", "pip", "install", "--quiet", "-r", HERE / "requirements.txt"]
        subprocess.run(install, check=True)
    return executable


def build():
    command = ["cargo", "build", "--release", "--quiet", "-p", "gpt", "--example", "step_time"]
    subprocess.run(command, cwd=ROOT, check=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return target / "release" / "examples" / "step_time"


def measure(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def contestants(args, executable, ours, size, precision, dropout):
    common = ["--size", size, "--dropout", str(dropout), "--threads", str(args.threads)]
    common += ["--seconds", str(args.seconds)]
    yield "ours", [ours, *common, *(["--bf16"] if precision == "bf16" else [])]
    for mode in MODES[precision]:
        yield mode, [executable, HERE / "peer_gpt.py", "--mode", mode, *common]


def main():
    parser = options(__doc__, seconds=8.0)
    parser.add_argument("--only", default="", help="words that a case must have: dev, prod, f32, bf16, 0, 0.1")
    args = parser.parse_args()
    executable, ours = python(), build()
    wanted = set(filter(None, args.only.split(",")))
    cases = [
        (size, precision, dropout)
        for size in ("dev", "prod")
        for precision in ("f32", "bf16")
        for dropout in (0.0, 0.1)
        if wanted <= {size, precision, f"{dropout:g}"}
    ]
    results = []
    print(f"{'case':22} {'against':18} {'ratio':>6} {'from':>6} {'to':>6} {'ours tok/s':>11} {'memory':>7}")
    for size, precision, dropout in cases:
        rounds = []
        for _ in range(args.rounds):
            row = {}
            for name, command in contestants(args, executable, ours, size, precision, dropout):
                row[name] = measure(command)
            rounds.append(row)
        results.append({"size": size, "precision": precision, "dropout": dropout, "rounds": rounds})
        report(f"{size} {precision} dropout {dropout:g}", rounds)
    write(args, results)


def options(about, seconds):
    """The options that all comparisons have."""
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=seconds)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path)
    return parser


def write(args, results):
    """A line for the machine, and a line for each measurement, to `--out` if it is given."""
    if not args.out:
        return
    machine = {"cpu": cpu(), "threads": args.threads, "system": platform.platform()}
    lines = [{"machine": machine}]
    for case in results:
        rounds = case.pop("rounds")
        for number, row in enumerate(rounds, 1):
            lines += [{**case, "round": number, "who": who, **row[who]} for who in row]
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text("".join(json.dumps(line) + "\n" for line in lines))


def rate(measured):
    return statistics.median(measured["tokens_per_s"])


def report(case, rounds):
    ours = statistics.median(rate(row["ours"]) for row in rounds)
    for mode in [name for name in rounds[0] if name != "ours"]:
        ratios = [rate(row["ours"]) / rate(row[mode]) for row in rounds]
        memory = statistics.median(row["ours"]["peak_mib"] / row[mode]["peak_mib"] for row in rounds)
        print(
            f"{case:22} {mode:18} {statistics.median(ratios):6.2f} {min(ratios):6.2f} "
            f"{max(ratios):6.2f} {ours:11,.0f} {memory:7.2f}",
            flush=True,
        )
    best = [max(rate(row[name]) for name in row if name != "ours") for row in rounds]
    ratios = [rate(row["ours"]) / best for row, best in zip(rounds, best)]
    print(f"{case:22} {'best of them':18} {statistics.median(ratios):6.2f} {min(ratios):6.2f} {max(ratios):6.2f}")


def cpu():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


if __name__ == "__main__":
    main()
