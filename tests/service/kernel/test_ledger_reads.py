"""What is read from the ledger: the gauges, and how many rows a look takes."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest
from alembic import command
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from api.gauges import ServiceGauges
from scripts.bench.kernel.backlog import fill
from scripts.bench.kernel.statements import explain
from shared.callers import keys
from shared.db import engine, session
from shared.db.tables import alembic_config
from shared.kernel import batches
from shared.ledger import counts, folding
from shared.models import Job, Stage
from shared.options import PRIORITIES
from shared.stages import STAGES
from tests.service.kernel.test_kernel import claim, submit
from tests.service.kernel.truth import assert_exact


def test_a_look_reads_no_more_of_a_longer_queue(empty: str) -> None:
    """The gauges, the room, a key's limit and a batch read as many rows with 20 times as many tasks waiting."""
    command.upgrade(alembic_config(), "head")
    with session() as work:
        owners = [keys.create(work, f"key {number}")[0].id for number in range(2)]
        batch = {"batch": uuid.uuid4(), "owner": owners[0]}
        work.execute(text("INSERT INTO batches (id, owner_id, total) VALUES (:batch, :owner, 3000)"), batch)
    looks: dict[str, Callable[[Session], object]] = {
        "stages": counts.stages,
        "oldest": counts.oldest,
        "held": counts.held,
        "jobs": counts.jobs,
        "busiest": lambda work: counts.busiest(work, 20),
        "room": counts.waiting,
        "max_queued": lambda work: counts.waiting(work, owners[0]),
        "batches": lambda work: batches.overviews(work, batches.page(work, owners[0], limit=20)[0]),
    }
    costs: list[dict[str, int]] = []
    for before, after in ((0, 300), (300, 6000)):
        with engine().connect() as connection:
            fill(connection, owners, before, after)
        engine().dispose()  # its connections fire no triggers
        with session() as work:
            work.execute(text("UPDATE jobs SET batch_id = :batch WHERE owner_id = :owner"), batch)
            work.execute(text("ANALYZE jobs"))
        folding.sweep()
        with session() as work:
            assert counts.waiting(work) == after
            assert_exact(work)
            ages = dict(
                work.execute(
                    select(Stage.priority, func.extract("epoch", func.now() - func.min(Job.created_at)))
                    .join(Job, Job.id == Stage.job_id)
                    .where(Stage.state == "queued")
                    .group_by(Stage.priority)
                ).all()
            )
            assert counts.oldest(work) == {
                ("transcribe", number): pytest.approx(float(s)) for number, s in ages.items()
            }
        costs.append({name: sum(one.rows for one in explain(look)) for name, look in looks.items()})
    assert {name: rows for name, rows in costs[1].items() if rows > max(1.5 * costs[0][name], 20)} == {}
    assert max(costs[1].values()) < 200


def test_the_gauges_tell_what_there_is(owner: uuid.UUID) -> None:
    """Depth, age, leases, workload and tasks as counted from the rows; stages with an expired lease are not held."""
    first, second, _ = (submit(owner)[0] for _ in range(3))
    assert claim(first, "convert") and claim(second, "convert")
    with session() as work:
        # also those that other tests have left: one might run out between the count and the look
        late = "now() - interval '1 s'"
        others = text(f"UPDATE stages SET lease_until = {late} WHERE state = 'running' AND job_id <> :id")
        work.execute(others, {"id": second})
        alive = func.count().filter(Stage.lease_until > func.now())
        rows = work.execute(
            select(Stage.name, Stage.priority, Stage.state, func.count(), alive)
            .where(Stage.state.in_(("queued", "running")))
            .group_by(Stage.name, Stage.priority, Stage.state)
        ).all()
    samples = {
        (family.name, tuple(sample.labels.values())): sample.value
        for family in ServiceGauges().collect()
        for sample in family.samples
    }
    priority = {number: name for name, number in PRIORITIES.items()}
    for name, record in STAGES.items():
        assert samples["parley_running_stages", (name,)] == sum(row[4] for row in rows if row[0] == name)
        for number, label in priority.items():
            depth = sum(row[3] for row in rows if row[:3] == (name, number, "queued"))
            assert samples["parley_queue_depth", (name, label)] == depth
            assert (samples["parley_queue_oldest_seconds", (name, label)] > 0) == (depth > 0)
        in_queue = sum(row[3] for row in rows if STAGES[row[0]].queue == record.queue)
        assert samples["parley_workload", (record.queue,)] == in_queue
    assert samples["parley_jobs", ("processing",)] >= 2
