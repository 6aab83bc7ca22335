"""The ledger against a real PostgreSQL: after any order of events it says what counting the rows says."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from shared.callers import keys
from shared.db import engine, session
from shared.kernel import erasure, jobs
from shared.ledger import counts, folding
from shared.models import Job, JobChange, StageChange
from shared.options import PRIORITIES
from shared.stages import STAGES
from shared.states import JobState, StageState
from tests.service.kernel.test_kernel import claim, complete, submit
from tests.service.kernel.truth import assert_exact

BATCHES = tuple(uuid.uuid4() for _ in range(2))
NUMBERS = count(1)

LOOKS = 4
"""So many at least, however slow the machine is."""

job_states, stage_states = st.sampled_from(list(JobState)), st.sampled_from(list(StageState))
names, priorities = st.sampled_from(list(STAGES)), st.sampled_from(sorted(PRIORITIES.values()))


class Ledger(RuleBasedStateMachine):
    """Statements on many rows at once, whatever their states, in transactions that are committed or not."""

    owners: Sequence[uuid.UUID]

    def __init__(self) -> None:
        super().__init__()
        self.work = Session(engine(), expire_on_commit=False)
        for batch_id in BATCHES:
            statement = "INSERT INTO batches (id, owner_id, total) VALUES (:id, :owner, 9) ON CONFLICT DO NOTHING"
            self.work.execute(text(statement), {"id": batch_id, "owner": self.owners[0]})
        self.work.commit()

    def sql(self, statement: str, **binds: Any) -> None:
        self.work.execute(text(statement), binds | {"owners": self.owners})

    @rule(
        many=st.integers(1, 3),
        owner=st.integers(0, 1),
        batch=st.sampled_from([None, *BATCHES]),
        state=job_states,
        has_begun=st.booleans(),
        stage=stage_states,
        priority=priorities,
    )
    def tasks_come(
        self, many: int, owner: int, batch: uuid.UUID | None, state: str, has_begun: bool, stage: str, priority: int
    ) -> None:
        ids = [uuid.UUID(int=next(NUMBERS)) for _ in range(many)]
        self.sql(
            "INSERT INTO jobs (id, owner_id, batch_id, state, priority, options, started_at)"
            " SELECT id, :owner, (SELECT id FROM batches WHERE id = :batch), :state, 1, '{}',"
            "        CASE WHEN :begun THEN now() END FROM unnest(CAST(:ids AS uuid[])) AS new(id)",
            **{"ids": ids, "owner": self.owners[owner], "batch": batch, "state": state, "begun": has_begun},
        )
        self.sql(
            "INSERT INTO stages (job_id, name, owner_id, priority, state, queue, hash)"
            " SELECT id, name, :owner, :priority, CASE WHEN name = 'store' THEN 'waiting' ELSE :stage END, 'q', ''"
            " FROM unnest(CAST(:ids AS uuid[])) AS new(id), (VALUES ('transcribe'), ('store')) AS plan(name)",
            **{"ids": ids, "owner": self.owners[owner], "priority": priority, "stage": stage},
        )

    @rule(before=stage_states, after=stage_states, name=names)
    def stages_move(self, before: str, after: str, name: str) -> None:
        self.sql(
            "UPDATE stages SET state = :after WHERE state = :before AND name >= :name AND owner_id = ANY(:owners)",
            **{"before": before, "after": after, "name": name},
        )

    @rule(before=job_states, after=job_states, has_begun=st.booleans())
    def jobs_move(self, before: str, after: str, has_begun: bool) -> None:
        self.sql(
            "UPDATE jobs SET state = :after, started_at = CASE WHEN :begun THEN now() END"
            " WHERE state = :before AND owner_id = ANY(:owners)",
            **{"before": before, "after": after, "begun": has_begun},
        )

    @rule(state=stage_states, priority=priorities)
    def stages_are_put_again(self, state: str, priority: int) -> None:
        """INSERT ... ON CONFLICT: what it inserts, and what it updates."""
        self.sql(
            "INSERT INTO stages (job_id, name, owner_id, priority, state, queue, hash)"
            " SELECT id, name, owner_id, :priority, :state, 'q', '' FROM jobs, (VALUES ('store'), ('merge')) AS p(name)"
            " WHERE owner_id = ANY(:owners)"
            " ON CONFLICT (job_id, name, shard) DO UPDATE SET state = excluded.state, priority = excluded.priority",
            **{"state": state, "priority": priority},
        )

    @rule()
    def heartbeats_come(self) -> None:
        before = self.work.scalar(select(func.count()).select_from(StageChange))
        self.sql("UPDATE stages SET progress = progress + 1, lease_until = now() WHERE owner_id = ANY(:owners)")
        assert self.work.scalar(select(func.count()).select_from(StageChange)) == before

    @rule(batch=st.sampled_from(BATCHES))
    def tasks_change_hands(self, batch: uuid.UUID) -> None:
        self.sql(
            "UPDATE jobs SET owner_id = (:owners)[1], batch_id = (SELECT id FROM batches WHERE id = :batch)"
            " WHERE owner_id = (:owners)[2]".replace("(:owners)", "(CAST(:owners AS uuid[]))"),
            batch=batch,
        )

    @rule(state=job_states)
    def tasks_are_deleted(self, state: str) -> None:
        self.sql("DELETE FROM jobs WHERE state = :state AND owner_id = ANY(:owners)", state=state)

    @rule(state=stage_states)
    def stages_are_deleted(self, state: str) -> None:
        self.sql("DELETE FROM stages WHERE state = :state AND owner_id = ANY(:owners)", state=state)

    @rule(batch=st.sampled_from(BATCHES))
    def a_batch_is_deleted(self, batch: uuid.UUID) -> None:
        self.sql("DELETE FROM batches WHERE id = :batch", batch=batch)

    @rule(state=stage_states)
    def a_statement_fails(self, state: str) -> None:
        """Of its savepoint nothing stays."""
        with pytest.raises(IntegrityError), self.work.begin_nested():
            self.sql("UPDATE stages SET state = :state WHERE owner_id = ANY(:owners)", state=state)
            self.sql("INSERT INTO api_keys SELECT * FROM api_keys WHERE id = ANY(:owners)")

    @rule()
    def the_transaction_is_committed(self) -> None:
        self.work.commit()

    @rule()
    def the_transaction_is_undone(self) -> None:
        self.work.rollback()

    @rule()
    def changes_are_folded(self) -> None:
        folding.sweep()
        with session() as work:
            assert_exact(work)

    @rule()
    def the_rows_are_counted_anew(self) -> None:
        assert folding.recount() == 0

    @invariant()
    def the_ledger_is_exact(self) -> None:
        assert_exact(self.work)

    def teardown(self) -> None:
        self.work.rollback()
        self.work.close()
        with session() as work:
            work.execute(text("DELETE FROM jobs WHERE owner_id = ANY(:owners)"), {"owners": self.owners})


def test_any_order_of_statements_leaves_the_ledger_exact(environment: object) -> None:
    """Also within a transaction, for what it has changed itself; sweeps and recounts change no count."""

    class Here(Ledger):
        pass

    with session() as work:
        Here.owners = [keys.create(work, f"ledger {uuid.uuid4()}")[0].id for _ in range(2)]
    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


def test_readers_see_exact_counts_while_everybody_writes(owner: uuid.UUID) -> None:
    """Tasks are submitted, worked on, cancelled and erased by four threads, while others fold and count anew."""
    until, enough = time.monotonic() + 4, threading.Event()
    failures: list[BaseException] = []

    def repeat(act: Callable[[], object]) -> None:
        try:
            while not enough.is_set():
                act()
        except BaseException as error:  # told by the test's own thread
            failures.append(error)
            raise

    def live() -> None:
        job_id, _ = submit(owner)
        for stage in ("convert", "transcribe", "merge", "store")[: random.randint(0, 4)]:
            if held := claim(job_id, stage):
                complete(held)
        with session() as work:
            if random.random() < 0.5:
                erasure.erase(work, owner, job_id)
            elif work.get_one(Job, job_id).state != JobState.DONE:
                jobs.cancel(work, owner, job_id)

    acts = [live, live, live, live, folding.sweep, folding.recount]
    threads = [threading.Thread(target=repeat, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    looks = 0
    try:
        while time.monotonic() < until or looks < LOOKS:
            with session() as work:
                work.connection(execution_options={"isolation_level": "REPEATABLE READ"})
                assert_exact(work)
            looks += 1
    finally:
        enough.set()
        for thread in threads:
            thread.join(60)
    assert failures == []


def test_writers_of_one_row_are_each_counted(owner: uuid.UUID) -> None:
    """Four threads that change the same stage, so that each waits for another's version of it."""
    job_id, _ = submit(owner)

    def write(number: int) -> None:
        generator = random.Random(number)
        for _ in range(150):
            with session() as work:
                for name in ("convert", "transcribe"):
                    states = f"(ARRAY['{generator.choice(list(StageState))}', state])[1 + (random() < 0.3)::int]"
                    work.connection().exec_driver_sql(
                        f"UPDATE stages SET state = {states} WHERE job_id = '{job_id}' AND name = '{name}'"
                    )

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    with session() as work:
        assert_exact(work)
        erasure.erase(work, owner, job_id)


def test_folded_changes_are_gone_and_zeros_too(owner: uuid.UUID) -> None:
    """After a sweep the counts stand alone; of a task that has ended nothing is left."""
    job_id, _ = submit(owner)
    folding.sweep()
    with session() as work:
        assert counts.waiting(work, owner) == 1
        assert [work.scalar(select(func.count()).select_from(table)) for table in (StageChange, JobChange)] == [0, 0]
        jobs.cancel(work, owner, job_id)
    folding.sweep()
    with session() as work:
        assert counts.waiting(work, owner) == 0
        assert work.execute(text("SELECT 1 FROM owner_counts WHERE owner_id = :id"), {"id": owner}).all() == []
        assert_exact(work)


def test_what_went_past_the_triggers_is_set_right(owner: uuid.UUID) -> None:
    """What was changed without triggers is counted wrongly until somebody counts anew; then each count is right."""
    folding.recount()
    first, second = (submit(owner)[0] for _ in range(2))
    folding.sweep()
    third, _ = submit(owner)
    with session() as work:
        work.execute(text("SET LOCAL session_replication_role = replica"))
        work.execute(text("DELETE FROM stages WHERE job_id = :id"), {"id": first})
        work.execute(text("DELETE FROM jobs WHERE id = :id"), {"id": first})
        work.execute(text("UPDATE jobs SET state = 'processing' WHERE id = :id"), {"id": third})
    with session() as work:
        assert counts.waiting(work, owner) == 3
        jobs.cancel(work, owner, second)
    assert folding.recount() == 3  # queued and processing tasks of the key, queued stages
    with session() as work:
        assert counts.waiting(work, owner) == 0
        assert_exact(work)
    assert folding.recount() == 0
