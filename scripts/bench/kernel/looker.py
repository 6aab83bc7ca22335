"""`python -m scripts.bench.kernel.looker ROWS KEYS`: one side of scripts/bench/kernel/looks.py, which starts it."""

from __future__ import annotations

import os
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from alembic import command
from sqlalchemy import text
from sqlalchemy.orm import Session

from api.gauges import MAX_TENANTS, ServiceGauges
from api.routes import admin
from scripts.bench.kernel.acts import Acts
from scripts.bench.kernel.backlog import fill
from scripts.bench.kernel.looks import NAMES, READY
from shared.callers import keys
from shared.db import engine, session
from shared.db.tables import alembic_config
from shared.kernel import batches
from shared.ledger import counts, folding

PAGE = 20


def looks(owners: Sequence[uuid.UUID]) -> Mapping[str, Callable[[], object]]:
    """Each with the transaction that it takes."""
    acts = Acts(owners).named()

    def read(look: Callable[[Session], object]) -> Callable[[], object]:
        def act() -> None:
            with session() as work:
                look(work)

        return act

    caller: Any = None  # no look asks who looks
    answers: tuple[Callable[[], object], ...] = (
        lambda: ServiceGauges().collect(),
        acts["room in the queue"][0],
        acts["max_queued of a key"][0],
        read(lambda work: counts.busiest(work, MAX_TENANTS)),
        read(lambda work: batches.overviews(work, batches.page(work, owners[0], limit=PAGE)[0])),
        read(lambda work: admin.queue(caller, work)),
    )
    return dict(zip(NAMES, answers, strict=True))


def prepare(rows: int, count: int) -> list[uuid.UUID]:
    """Tables in which so many tasks of `count` keys wait, those of the first in a batch; the keys."""
    command.upgrade(alembic_config(), "head")
    with session() as work:
        owners = [keys.create(work, f"bench {number}")[0].id for number in range(count)]
        batch = {"batch": uuid.uuid4(), "owner": owners[0]}
        work.execute(text("INSERT INTO batches (id, owner_id, total) VALUES (:batch, :owner, 1)"), batch)
    with engine().connect() as connection:
        connection.execute(text("SET statement_timeout = 0"))
        connection.execute(text("SET maintenance_work_mem = '256MB'"))
        fill(connection, owners, 0, rows)
    engine().dispose()  # its connections fire no triggers
    with session() as work:
        work.execute(text("UPDATE jobs SET batch_id = :batch WHERE owner_id = :owner"), batch)
    with engine().connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SET statement_timeout = 0"))
        connection.execute(text("VACUUM (ANALYZE) jobs"))
    folding.sweep()
    with session() as work:
        assert counts.waiting(work) == rows
        assert sum(part.count for part in counts.batches(work, [batch["batch"]])[batch["batch"]]) >= rows // count
    return owners


def serve(rows: int, count: int) -> None:
    """Take the looks that are named on standard input; milliseconds of each on standard output."""
    with os.fdopen(os.dup(sys.stdout.fileno()), "w") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # for the log
        acts = looks(prepare(rows, count))
        print(READY, file=answers, flush=True)
        for line in sys.stdin:
            start = time.perf_counter()
            acts[line.strip()]()
            print(1000 * (time.perf_counter() - start), file=answers, flush=True)


if __name__ == "__main__":
    serve(*map(int, sys.argv[1:]))
