"""`python -m scripts.bench.gateway.submissions`: the time of a submission beside a history and a queue (goal P7).

Two stacks without workers: one with a million finished tasks and 10,000 that wait, one with nothing. The same small
recording is sent to both in turn (A B A B ...), by a key that all those tasks belong to; the ratio is that of the 99th
percentiles.
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
from scripts.local.apps import API
from scripts.local.stack import Stack
from shared.callers import keys
from shared.kernel import jobs
from shared.kernel.orders import JobOrder, Source
from shared.options import JobOptions

GOAL = 1.2
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
                jobs.submit(work, JobOrder(job_id=job_id, owner_id=owner_id, source=source, options=JobOptions()))
            work.commit()
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM (ANALYZE)"))
    engine.dispose()
    return key


def submit(client: httpx.Client) -> float:
    """Milliseconds of one submission."""
    begun = time.perf_counter()
    client.post("/transcribe", files={"file": ("call.wav", os.urandom(1000))}).raise_for_status()
    return 1000 * (time.perf_counter() - begun)


def percentile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rows", type=int, default=1_000_000)
    arguments.add_argument("--queued", type=int, default=10_000)
    arguments.add_argument("--pairs", type=int, default=1000)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as home, Stack(Path(home) / "full", apps=(API,)) as full:
        os.environ.update({name: full.env[name] for name in ("DATABASE_URL", "REDIS_URL")})  # for prepare's settings
        full_key = prepare(full.env["DATABASE_URL"], rows=options.rows, queued=options.queued)
        bare = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
        with Stack(Path(home) / "empty", apps=(API,), environ=bare) as empty:
            empty_key = prepare(empty.env["DATABASE_URL"], rows=0, queued=0)
            clients = [
                httpx.Client(base_url=stack.url, headers={"Authorization": f"Bearer {key}"}, timeout=30)
                for stack, key in ((full, full_key), (empty, empty_key))
            ]
            pairs = [[submit(client) for client in clients] for _ in range(options.pairs + 50)][50:]
    beside, alone = zip(*pairs, strict=True)
    for name, percent, goal in (("median", 50, ""), ("p99", 99, f"goal {GOAL}")):
        full_ms, bare_ms = percentile(beside, percent), percentile(alone, percent)
        print(f"submit {name:<8}{full_ms:8.1f} ms {bare_ms:8.1f} ms {full_ms / bare_ms:6.2f}  {goal}")


if __name__ == "__main__":
    main()
