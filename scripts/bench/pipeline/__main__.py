"""`python -m scripts.bench.pipeline`: a job whose models take no time / chains of Celery of as many steps (goal P5).

The job's audio is known, so transcribe, merge and store are left; it is submitted over HTTP and its end is told by
`/status?wait=`. One chain's tasks do nothing; the other's have the same durable effects (bare_tasks.py). All run in
turn, on the same servers, on two processes each.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

from scripts.bench.client import Client
from scripts.bench.processor import Meter, programs
from scripts.bench.ratios import Goal, ratios, rounds, row, time_limit
from scripts.bench.recordings import speech, write_unique
from scripts.bench.soak.truth import Truth, bare_environment
from scripts.local.apps import API, WORKERS, App
from scripts.local.stack import Stack
from shared.config import settings

LIMIT_S = 180
STEPS = 3
OURS, EMPTY, DURABLE = "Parley", "Celery, empty tasks", "Celery, durable tasks"
GOALS = {EMPTY: Goal(3.0), DURABLE: Goal(1.5)}
CPU_GOAL = Goal(40)
HOP_P50, HOP_P99 = Goal(5), Goal(20)
CELERY = App("celery", ("celery", "-A", "scripts.bench.pipeline.bare_tasks", "worker", "-c", "2", "-l", "WARNING"))
SERVERS = ("postgres", "valkey", "seaweedfs")


def hops_ms(truth: Truth, tasks: Sequence[str]) -> list[float]:
    """Milliseconds from the end of each stage to the start of the next one of its job."""
    hops = []
    for task in tasks:
        stages = [row for row in truth.stages(uuid.UUID(task)) if row.started_at and row.finished_at and row.attempt]
        ordered = sorted(stages, key=lambda stage: stage.started_at.timestamp() if stage.started_at else 0)
        for one, following in pairwise(ordered):
            assert one.finished_at and following.started_at
            hops.append(1000 * (following.started_at - one.finished_at).total_seconds())
    return hops


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=30, help="rounds (default %(default)s)")
    parser.add_argument("--limit", type=float, default=LIMIT_S, help="seconds for all of it (default %(default)s)")
    options = parser.parse_args()
    # objects lie in S3 on both sides
    environ = bare_environment() | {"ENGINE": "sleeper", "SLEEPER_SECONDS": "0", "OBJECT_STORE": "s3"}
    with (
        time_limit(options.limit) as deadline,
        tempfile.TemporaryDirectory() as home,
        Stack(Path(home), apps=(API, *WORKERS, CELERY), environ=environ) as stack,
    ):
        os.environ.update(stack.env)
        settings.cache_clear()
        from scripts.bench.pipeline import bare_tasks  # its broker is the stack's

        bare_tasks.prepare()
        client, tasks, numbers = Client(stack.url, stack.api_key), list[str](), itertools.count()
        recording = write_unique(speech(1), Path(home) / "short.wav", 0)
        client.wait(client.submit(recording))

        def parley() -> None:
            tasks.append(client.submit(recording, prompt=f"run {next(numbers)}"))
            client.wait(tasks[-1])

        workers = {name: where for name, where in programs(stack).items() if name != CELERY.name}
        celery = {name: (stack, name) for name in (CELERY.name, *SERVERS)}
        meters = {OURS: Meter(workers), EMPTY: Meter(celery), DURABLE: Meter(celery)}
        acts: dict[str, Callable[[], None]] = {
            OURS: parley,
            EMPTY: lambda: bare_tasks.run(STEPS, is_durable=False),
            DURABLE: lambda: bare_tasks.run(STEPS, is_durable=True),
        }

        def milliseconds(name: str) -> float:
            start = time.perf_counter()
            acts[name]()
            return 1000 * (time.perf_counter() - start)

        measured = rounds(
            {name: lambda name=name: meters[name](lambda: milliseconds(name)) for name in acts},  # type: ignore[misc]
            options.pairs,
            deadline,
        )
        hops = hops_ms(Truth(stack), tasks[1:])
        for name, values in measured.items():
            print(row(f"{name}, {STEPS} steps, ms", values, note=str(meters[name])))
        for name, goal in GOALS.items():
            print(row(f"P5 Parley / {name}", ratios(measured[OURS], measured[name]), goal))
        print(row("P5 CPU-ms of all programs for a job", [meters[OURS].total_ms], CPU_GOAL))
        percentiles = statistics.quantiles(hops, n=100, method="inclusive")
        print(row("P5 from a stage's end to the next one's start, ms, p50", [percentiles[49]], HOP_P50))
        print(row("P5 the same, p99", [percentiles[98]], HOP_P99), flush=True)


if __name__ == "__main__":
    main()
