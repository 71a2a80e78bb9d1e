"""Measures what the host itself takes of a small step, and of the way to the first one.

    python3 bench/host_share.py [--rounds 5] [--host FILE] [--idle FILE] [--out bench/results/host_share.jsonl]

A trainer that does nothing (tests/plugins/idle) reports as many numbers a step as the pretraining of
the profile `smoke-pretrain`, and logs as often: every step. What one of its steps takes is what the
host takes: the loop, the boundary, the events, the files, the progress shown. That is divided by a step of
`smoke-pretrain`. The start is timed from outside, from the start of the process to the event of the
first step, and the time in which a phase prepares (its data and its model) is told apart. Rounds
take each kind in turn. Without `--host` and `--idle`, both are built first, in release.
"""

import argparse
import json
import os
import platform
import pty
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRESS = ["off", "plain", "json", "bars"]
STEPS = (2_000, 22_000)
SMOKE_STEPS = 300


def build(args):
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    if not args.host:
        subprocess.run(["cargo", "build", "--release", "--quiet"], cwd=ROOT, check=True)
    if not args.idle:
        command = ["cargo", "build", "--release", "--quiet", "--target-dir", target / "plugins"]
        command += ["--manifest-path", ROOT / "tests/plugins/Cargo.toml", "--package", "idle"]
        subprocess.run(command, check=True)
    host = args.host or target / "release/host"
    return host.resolve(), (args.idle or target / "plugins/release/libidle.so").resolve()


class Bench:
    """A directory in which the host runs, with the trainer that does nothing."""

    def __init__(self, host, idle, directory):
        self.host, self.directory = host, Path(directory)
        (self.directory / "plugins").mkdir()
        shutil.copy(idle, self.directory / "plugins")
        (self.directory / "idle.toml").write_text("phases = ['idle']\n")
        self.environment = {
            **os.environ,
            "HOST_PLUGIN_PATH": str(self.directory / "plugins"),
            "HOST_CACHE_DIR": str(self.directory / "cache"),
        }

    def start(self, args, **streams):
        shutil.rmtree(self.directory / "runs", ignore_errors=True)
        command = [self.host, "run", *args]
        return subprocess.Popen(command, cwd=self.directory, env=self.environment, **streams)

    def rows(self, name):
        (path,) = (self.directory / "runs").glob(f"2*/{name}")
        return [json.loads(line) for line in path.read_text().splitlines()]

    def phase_seconds(self, progress, steps):
        args = ["--config", "idle.toml", "--progress", progress, f"idle.total_steps={steps}"]
        with self.shown(progress) as errors, open(self.directory / "events", "w") as events:
            process = self.start(args, stdout=events, stderr=errors)
            if finished := process.wait():
                sys.exit(f"the host ended with {finished}: {args}")
        finished = [row for row in self.rows("events.jsonl") if row["event"] == "phase_finished"]
        return finished[0]["seconds"]

    @contextmanager
    def shown(self, progress):
        """Where progress goes: bars to a terminal that somebody reads, lines to a file."""
        if progress != "bars":
            with open(self.directory / "lines", "w") as file:
                yield file
            return
        reading, writing = pty.openpty()
        reader = threading.Thread(target=drain, args=(reading,))
        reader.start()
        yield writing
        os.close(writing)
        reader.join()

    def host_us(self, progress):
        """Microseconds that a logged step of the idle trainer takes."""
        short, long = (self.phase_seconds(progress, steps) for steps in STEPS)
        return 1e6 * (long - short) / (STEPS[1] - STEPS[0])

    def smoke_us(self):
        """Microseconds that a step of `smoke-pretrain` takes."""
        never = [f"pretrain.training.{key}_every=1000000" for key in ("eval", "ckpt")]
        args = ["--profile", "smoke-pretrain", "--progress", "off", *never]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.start([*args, f"pretrain.training.total_steps={SMOKE_STEPS}"], **quiet).wait()
        rows = [row for row in self.rows("metrics.jsonl") if "train/step_ms" in row]
        return 1e3 * statistics.median(row["train/step_ms"] for row in rows)

    def start_ms(self, args):
        """Milliseconds to the first step, and those of them in which a phase prepares."""
        begin, at = time.perf_counter(), {}
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        process = self.start([*args, "--progress", "json"], **streams)
        for line in process.stdout:
            at.setdefault(json.loads(line)["event"], 1e3 * (time.perf_counter() - begin))
        process.wait()
        return {"ms": at["step_done"], "preparing_ms": at["phase_prepared"] - at["phase_started"]}


def drain(descriptor):
    try:
        while os.read(descriptor, 1 << 16):
            pass
    except OSError:
        pass
    os.close(descriptor)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--host", type=Path, help="a host with the first-party plugins beside it")
    parser.add_argument("--idle", type=Path, help="the library of tests/plugins/idle")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        bench = Bench(*build(args), directory)
        bench.smoke_us()  # fills the cache of its data
        rounds = [measure(bench) for _ in range(args.rounds)]
    report(rounds)
    if args.out:
        machine = {"cpus": os.cpu_count(), "system": platform.platform()}
        lines = [{"machine": machine}, *({"round": i, **row} for i, row in enumerate(rounds, 1))]
        args.out.write_text("".join(json.dumps(line) + "\n" for line in lines))


def measure(bench):
    return {
        "smoke_step_us": bench.smoke_us(),
        "host_us": {progress: bench.host_us(progress) for progress in PROGRESS},
        "start_idle": bench.start_ms(["--config", "idle.toml"]),
        "start_smoke": bench.start_ms(["--profile", "smoke-pretrain"]),
    }


def report(rounds):
    def line(name, values, unit):
        print(f"{name:34} {statistics.median(values):9.2f} {min(values):9.2f} {max(values):9.2f} {unit}")

    print(f"{'':34} {'median':>9} {'min':>9} {'max':>9}")
    line("step of smoke-pretrain", [row["smoke_step_us"] for row in rounds], "µs")
    for progress in PROGRESS:
        line(f"host's part, progress {progress}", [row["host_us"][progress] for row in rounds], "µs")
        shares = [100 * row["host_us"][progress] / row["smoke_step_us"] for row in rounds]
        line("  share of the step", shares, "%")
    for kind in ("start_idle", "start_smoke"):
        line(f"{kind}: to the first step", [row[kind]["ms"] for row in rounds], "ms")
        rest = [row[kind]["ms"] - row[kind]["preparing_ms"] for row in rounds]
        line("  without the phase's preparation", rest, "ms")


if __name__ == "__main__":
    main()
