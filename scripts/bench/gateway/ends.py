"""`python -m scripts.bench.gateway.ends`: from the commit that ends a task to those who wait for it (goal P10).

One waits by `/status?wait=`, another by the stream of events; the task is cancelled by the kernel, in this process.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import httpx

from scripts.bench.client import Client
from scripts.bench.ratios import Goal, rounds, row, time_limit
from scripts.local.apps import API
from scripts.local.stack import Stack
from shared.config import settings
from shared.db import session
from shared.kernel import jobs
from shared.models import Job

LIMIT_S = 180
GOAL_MS = Goal(15)
SETTLED_S = 0.5
"""The request is there by then, and waits."""


def by_wait(http: httpx.Client, task_id: str) -> None:
    assert http.get(f"/status/{task_id}", params={"wait": 60}).json()["status"] == "cancelled"


def by_stream(http: httpx.Client, task_id: str) -> None:
    with http.stream("GET", f"/tasks/{task_id}/events", headers={"Accept": "application/x-ndjson"}) as answer:
        assert any('"cancelled"' in line for line in answer.iter_lines())


def told_ms(stack: Stack, recording: Path, listen: Callable[[httpx.Client, str], None]) -> float:
    """Milliseconds from the commit to the answer."""
    recording.write_bytes(os.urandom(64))
    task_id = Client(stack.url, stack.api_key).submit(recording)
    headers, told_at = {"Authorization": f"Bearer {stack.api_key}"}, 0.0
    with httpx.Client(base_url=stack.url, headers=headers, timeout=90, trust_env=False) as http:

        def run() -> None:
            nonlocal told_at
            listen(http, task_id)
            told_at = time.perf_counter()

        waiting = threading.Thread(target=run)
        waiting.start()
        time.sleep(SETTLED_S)
        with session() as work:
            jobs.cancel(work, work.get_one(Job, uuid.UUID(task_id)).owner_id, uuid.UUID(task_id))
        ended_at = time.perf_counter()
        waiting.join()
    return 1000 * (told_at - ended_at)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=30, help="ends per row (default %(default)s)")
    parser.add_argument("--limit", type=float, default=LIMIT_S, help="seconds for all of it (default %(default)s)")
    options = parser.parse_args()
    with (
        time_limit(options.limit) as deadline,
        tempfile.TemporaryDirectory() as home,
        Stack(Path(home) / "stack", apps=(API,)) as stack,
    ):
        os.environ.update({name: stack.env[name] for name in ("DATABASE_URL", "REDIS_URL")})
        settings.cache_clear()
        recording = Path(home) / "a.wav"
        sides = {
            "wait=": lambda: told_ms(stack, recording, by_wait),
            "the stream": lambda: told_ms(stack, recording, by_stream),
        }
        for name, values in rounds(sides, options.pairs, deadline).items():
            print(row(f"P10 end told by {name}, ms", values, GOAL_MS), flush=True)


if __name__ == "__main__":
    main()
