"""Trains on a GPU and on the CPU of the same machine and compares: do the losses agree, how fast is it?

    python3 bench/cuda/run.py target-cuda/release/host [--out bench/results/cuda.jsonl]

Takes a host with plugin libraries for CUDA beside it (`sdk/cuda/build.sh`; docs/cuda.md) and needs nothing
but Python. Each profile runs with the same seed on both devices, without dropout, whose noise is another
on each. Where NVIDIA's Python wheels are installed, as they are with PyTorch, CUDA's libraries are taken
from there. Exit code 1 says that losses were further apart than the bounds below, or that a run failed.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

# What is run: a profile, its settings on both devices, and the precision on the GPU. The CPU's is f32.
EVERY_STEP = "pretrain.training.log_every=1"
CASES = [
    ("pipeline-smoke", ["pretrain.model.dropout=0", "sft.model.dropout=0"], "f32"),
    ("dev", ["pretrain.model.dropout=0", EVERY_STEP], "f32"),
    ("dev", ["pretrain.model.dropout=0", EVERY_STEP], "bf16"),
    ("dev-mae", ["mae.train.log_every=1"], "f32"),
    ("dev-mae", ["mae.train.log_every=1"], "bf16"),
]
PRECISION = {"f32": [], "bf16": ["global.amp_dtype=bfloat16"]}
# How far losses may be from the CPU's, as a share of them: in the first steps, where rounding is all that
# differs, and at the end, where it has grown. f32 sums in another order; bfloat16 has 8 bits. Rounding
# grows without a GPU too: after the 1,000 steps of `dev` two runs on one CPU, with 8 threads and with 16,
# were 2.4 % apart, of which nothing showed in the first 20 steps.
FIRST_STEPS = 20
BOUNDS = {"f32": (1e-5, 5e-2), "bf16": (1e-2, 5e-2)}
# Steps that a speed does not count: the first ones compile kernels and wake the device up.
WARM_UP_STEPS = 5


def environment():
    """This process's, with the folders of NVIDIA's wheels on the loader's path."""
    env = dict(os.environ)
    try:
        import nvidia
    except ImportError:
        return env
    folders = [str(lib) for root in nvidia.__path__ for lib in Path(root).glob("*/lib")]
    env["LD_LIBRARY_PATH"] = ":".join(folders + [env.get("LD_LIBRARY_PATH", "")]).rstrip(":")
    return env


def gpu():
    """Name and driver of the GPU, as its driver's own tool says."""
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        return subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def train(host, profile, device, settings, directory):
    """Runs a profile; returns its metrics, line by line."""
    command = [host, "run", "--profile", profile, "--device", device, "--progress", "off"]
    command += ["--output-dir", directory, "--run-name", device.replace(":", "-"), *settings]
    done = subprocess.run(command, capture_output=True, text=True, env=environment())
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stderr}")
    run = Path(directory) / (Path(directory) / "last").read_text().strip()
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def losses(metrics):
    """Each loss that was reported, by phase, step and name."""
    names = ["train/loss", "val/loss"]
    return {(m["phase"], m["step"], name): m[name] for m in metrics for name in names if name in m}


def apart(ours, cpu):
    """How far losses are from the CPU's, as a share of them: the most in the first steps, and at the end."""
    if ours.keys() != cpu.keys():
        sys.exit(f"the runs reported other steps: {sorted(ours.keys() ^ cpu.keys())[:5]}")
    far = {key: abs(ours[key] - cpu[key]) / abs(cpu[key]) for key in cpu}
    first = max(share for (_, step, _), share in far.items() if step <= FIRST_STEPS)
    phases = {phase: step for phase, step, _ in far}
    last = max(share for (phase, step, _), share in far.items() if step == phases[phase])
    return first, last


def units_per_s(metrics):
    """Tokens or samples: median over the steps of the first phase, the first few left out."""
    of_phase = [m for m in metrics if m["phase"] == metrics[0]["phase"]]
    steps = [v for m in of_phase for name, v in m.items() if name.startswith("train/") and name.endswith("_per_s")]
    return statistics.median(steps[WARM_UP_STEPS:] or steps)


def compare(host, device, directory, profile, settings, precision, cpu):
    """Trains on `device` and holds it against the CPU's metrics; returns a record of it."""
    ours = train(host, profile, device, settings + PRECISION[precision], directory)
    first, last = apart(losses(ours), losses(cpu))
    bounds = BOUNDS[precision]
    return {
        "profile": profile,
        "precision": precision,
        "device": device,
        "units_per_s": units_per_s(ours),
        "units_per_s_cpu": units_per_s(cpu),
        "apart_first": first,
        "apart_last": last,
        "bounds": bounds,
        "agree": first <= bounds[0] and last <= bounds[1],
    }


def show(record):
    print(
        f"{record['profile']} {record['precision']}: {record['units_per_s']:.0f} units/s, the CPU "
        f"{record['units_per_s_cpu']:.0f}; losses {record['apart_first']:.1e} apart at first, "
        f"{record['apart_last']:.1e} at the end: {'agree' if record['agree'] else 'DIFFER'}",
        flush=True,
    )


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("host", type=Path, help="a host with plugins for CUDA beside it")
    parser.add_argument("--device", default="cuda:0", help="what is compared with the CPU")
    parser.add_argument("--only", metavar="PROFILE", help="this profile alone")
    parser.add_argument("--out", type=Path, help="file that the figures are appended to")
    return parser.parse_args()


def main():
    args = arguments()
    host = args.host.resolve()
    records = [{"machine": {"gpu": gpu(), "cpus": os.cpu_count(), "system": platform.platform()}}]
    print(json.dumps(records[0]["machine"]), flush=True)
    on_cpu = {}
    with tempfile.TemporaryDirectory() as directory:
        for i, (profile, settings, precision) in enumerate(CASES):
            if args.only not in (None, profile):
                continue
            if profile not in on_cpu:
                on_cpu[profile] = train(host, profile, "cpu", settings, f"{directory}/{profile}")
            case = (f"{directory}/{i}", profile, settings, precision, on_cpu[profile])
            records.append(compare(host, args.device, *case))
            show(records[-1])
    if args.out:
        with args.out.open("a") as out:
            out.writelines(json.dumps(record) + "\n" for record in records)
    sys.exit(0 if all(record.get("agree", True) for record in records) else 1)


if __name__ == "__main__":
    main()
