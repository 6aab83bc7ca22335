"""`python -m scripts.bench.gateway.submissions`: the time of a submission beside a history and a queue (goal P7).

Two stacks without workers: one with a million finished tasks and 10,000 that wait, one with nothing. The same small
recording is sent to both in turn (A B A B ...), by a key that all those tasks belong to. The pairs are cut into five
parts, and the ratio is that of the 99th percentiles of each.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import httpx
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from scripts.bench.kernel.archive import fill
from scripts.bench.ratios import Goal, row, time_limit
from scripts.local.apps import API
from scripts.local.stack import Stack
from shared.callers import keys
from shared.kernel.orders import JobOrder, Source
from shared.kernel.submission import new_jobs
from shared.options import JobOptions

GOAL = Goal(1.2)
LIMIT_S = 600
PARTS = 5
AT_ONCE = 200
"""Tasks that are queued in one transaction."""


def prepare(database_url: str, *, rows: int, queued: int) -> str:
    """Make a key with so many finished and waiting tasks, and return it."""
    engine = create_engine(database_url)
    with Session(engine) as work:
        row, key = keys.create(work, "bench")
        owner_id = row.id
        work.commit()
    if rows:
        with engine.connect() as connection:
            connection.execute(text("SET maintenance_work_mem = '256MB'"))
            fill(connection, owner_id, rows)
    for start in range(0, queued, AT_ONCE):
        with Session(engine) as work:
            for _ in range(min(AT_ONCE, queued - start)):
                job_id = uuid7()
                source = Source(f"{owner_id}/{job_id}/upload", uuid.uuid4().hex, 10, "call.wav")
                new_jobs.submit(work, JobOrder(job_id=job_id, owner_id=owner_id, source=source, options=JobOptions()))
            work.commit()
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM (ANALYZE)"))
    engine.dispose()
    return key


def submit(client: httpx.Client) -> float:
    """Milliseconds of one submission."""
    start = time.perf_counter()
    client.post("/transcribe", files={"file": ("call.wav", os.urandom(1000))}).raise_for_status()
    return 1000 * (time.perf_counter() - start)


def percentile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rows", type=int, default=1_000_000)
    arguments.add_argument("--queued", type=int, default=10_000)
    arguments.add_argument("--pairs", type=int, default=1000)
    arguments.add_argument("--limit", type=float, default=LIMIT_S, help="seconds for all of it (default %(default)s)")
    options = arguments.parse_args()
    pairs: list[list[float]] = []
    with (
        time_limit(options.limit) as deadline,
        tempfile.TemporaryDirectory() as home,
        Stack(Path(home) / "full", apps=(API,)) as full,
    ):
        os.environ.update({name: full.env[name] for name in ("DATABASE_URL", "REDIS_URL")})  # for prepare's settings
        full_key = prepare(full.env["DATABASE_URL"], rows=options.rows, queued=options.queued)
        bare = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
        with Stack(Path(home) / "empty", apps=(API,), environ=bare) as empty:
            empty_key = prepare(empty.env["DATABASE_URL"], rows=0, queued=0)
            clients = [
                httpx.Client(base_url=stack.url, headers={"Authorization": f"Bearer {key}"}, timeout=30)
                for stack, key in ((full, full_key), (empty, empty_key))
            ]
            for _ in range(50):
                for client in clients:
                    submit(client)
            while len(pairs) < options.pairs and deadline.has(1):
                pairs.append([submit(client) for client in clients])
    for name, percent, goal in (("median", 50, None), ("p99", 99, GOAL)):
        parts = [list(zip(*pairs[part::PARTS], strict=True)) for part in range(PARTS)]
        sides = [[percentile(side, percent) for side in part] for part in parts]
        note = f"{statistics.median(one for one, _ in sides):.1f} / {statistics.median(two for _, two in sides):.1f} ms"
        print(row(f"P7 submit, {name}, full / empty", sorted(one / two for one, two in sides), goal, note))


if __name__ == "__main__":
    main()
