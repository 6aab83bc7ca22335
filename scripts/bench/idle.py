"""`python -m scripts.bench.idle`: what the whole stack costs while nothing is asked of it (goal P12).

It is started as `make run` starts it, with real models loaded, and left alone. Memory is PSS (/proc/PID/smaps_rollup),
in which a page that several processes share counts once for all of them. CPU time is that of all processes.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from scripts.bench.soak.truth import Truth, bare_environment
from scripts.local.stack import Stack

QUEUES = {"io", "cpu", "asr", "diarize"}
READY_TIMEOUT_S = 300
MB = 1024**2
GOALS = {"PSS, MB": 700.0, "processes": 15.0, "CPU seconds a minute": 1.0, "seconds to the first 200": 4.0}


@dataclass(frozen=True)
class Share:
    """What one program of the stack takes, with its children: PSS in bytes, CPU time in seconds since its start."""

    processes: int
    pss: int
    cpu_s: float


def share(pid: int) -> Share:
    """Of a program by its first process; one that has just ended counts nothing."""
    count, pss, cpu_s = 0, 0, 0.0
    first = psutil.Process(pid)
    for process in (first, *first.children(recursive=True)):  # PostgreSQL's have sessions of their own
        try:
            lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
            times = process.cpu_times()
        except (OSError, psutil.Error):
            continue
        count += 1
        pss += next(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        cpu_s += times.user + times.system
    return Share(count, pss, cpu_s)


def shares(stack: Stack) -> dict[str, Share]:
    """Of each program, by its name in the stack."""
    return {name: share(pid) for name in stack.names() if (pid := stack.pid(name)) is not None}


def first_answer_s(stack: Stack) -> float:
    """Start the stack; seconds until the gateway's first 200."""
    began = time.monotonic()
    stack.start()
    assert httpx.get(f"{stack.url}/health/live", timeout=10).status_code == 200
    return time.monotonic() - began


def wait_for_workers(stack: Stack) -> None:
    """Until every queue has a worker, which has its models by then. Raises TimeoutError."""
    truth, deadline = Truth(stack), time.monotonic() + READY_TIMEOUT_S
    while not truth.queues() >= QUEUES:
        if time.monotonic() > deadline:
            raise TimeoutError("the workers are not ready")
        time.sleep(0.5)
    truth.close()  # its connection would be one of PostgreSQL's processes


def main() -> None:
    parser = argparse.ArgumentParser(description="What the stack costs while it is idle.")
    parser.add_argument("--seconds", type=float, default=60, help="how long it is left alone (default %(default)s)")
    parser.add_argument("--settle", type=float, default=20, help="before that, after its start (default %(default)s)")
    options = parser.parse_args()
    environ = bare_environment() | {name: os.environ[name] for name in ("WHISPER_MODEL",) if name in os.environ}
    with tempfile.TemporaryDirectory() as home:
        stack = Stack(Path(home), environ=environ, report=print)
        try:
            answer_s = first_answer_s(stack)
            wait_for_workers(stack)
            time.sleep(options.settle)
            before = shares(stack)
            time.sleep(options.seconds)
            after = shares(stack)
        finally:
            stack.stop()
    minutes = options.seconds / 60
    print(f"{'program':<16}{'processes':>10}{'PSS, MB':>10}{'CPU s/min':>11}")
    for name, end in after.items():
        cpu_s = (end.cpu_s - before[name].cpu_s) / minutes if name in before else float("nan")
        print(f"{name:<16}{end.processes:>10}{end.pss / MB:>10.0f}{cpu_s:>11.2f}")
    figures = {
        "PSS, MB": sum(end.pss for end in after.values()) / MB,
        "processes": float(sum(end.processes for end in after.values())),
        "CPU seconds a minute": sum(after[name].cpu_s - before[name].cpu_s for name in before) / minutes,
        "seconds to the first 200": answer_s,
    }
    for what, figure in figures.items():
        verdict = "met" if figure <= GOALS[what] else "MISSED"
        print(f"{what:<26}{figure:>8.1f}   goal {GOALS[what]:g} {verdict}")


if __name__ == "__main__":
    main()
