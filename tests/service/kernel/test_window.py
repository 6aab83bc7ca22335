"""The ring window against a real PostgreSQL: whoever does only what is rung gets everything done, in any order."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from psycopg import RawCursor
from sqlalchemy import func, insert, select, text, update
from uuid_utils.compat import uuid7

from api.postgres.writes import Writes
from shared.callers import keys, quotas
from shared.claims import Claim
from shared.config import Settings
from shared.db import Statement, first_row, session
from shared.errors import StorageUnavailable, TranscriptionError, WrongState
from shared.kernel import erasure, jobs
from shared.kernel.orders import JobOrder, RemoteSource, Source
from shared.kernel.ring_window import LEAST_WINDOW, refill
from shared.kernel.submission import new_jobs
from shared.models import Artifact, Erasure, Job, Stage, WebhookEndpoint
from shared.models.base import Base
from shared.options import JobNotes, JobOptions, Priority
from shared.repair import repair
from shared.rings import Ring
from shared.states import TERMINAL, StageState
from shared.storage import Storage
from tests.service.kernel.test_kernel import claim, complete, fail, give_back

PRIORITIES: tuple[Priority, ...] = ("interactive", "normal", "batch")


def submit(owner: uuid.UUID, priority: Priority = "normal") -> tuple[uuid.UUID, tuple[Ring, ...]]:
    job_id = uuid7()
    with session() as opened:
        _, outcome = new_jobs.submit(
            opened,
            JobOrder(
                job_id=job_id,
                owner_id=owner,
                source=Source(f"{owner}/{job_id}/upload", uuid.uuid4().hex, 10, "call.wav"),
                options=JobOptions(diarization=True),
                priority=priority,
            ),
        )
    return job_id, outcome.rings


def another_owner() -> uuid.UUID:
    with session() as opened:
        return keys.create(opened, "other")[0].id


def rung(*owners: uuid.UUID) -> Counter[tuple[uuid.UUID, str, int]]:
    """Stages with a place in the window, by owner, queue and priority."""
    places = select(Stage.owner_id, Stage.queue, Stage.priority).where(
        Stage.owner_id.in_(owners), Stage.state == StageState.QUEUED, Stage.rung_at.is_not(None)
    )
    with session() as opened:
        return Counter((row.owner_id, row.queue, row.priority) for row in opened.execute(places))


def let_time_pass(*owners: uuid.UUID) -> None:
    with session() as opened:
        opened.execute(
            update(Stage)
            .where(Stage.owner_id.in_(owners), Stage.rung_at.is_not(None))
            .values(rung_at=func.now() - timedelta(hours=1))
        )


@pytest.mark.parametrize("url", [None, "https://media.example/a.wav"])
def test_a_statement_leaves_what_objects_leave(owner: uuid.UUID, url: str | None) -> None:
    """Three jobs of which nothing is known, one more than are rung, leave the same rows and rings either way."""
    by_objects = another_owner()
    notes = JobNotes(tags=("a", "b"), reference="case-17", webhook_url="https://there.example/", retention_seconds=60)
    rings: dict[uuid.UUID, list[int]] = {owner: [], by_objects: []}
    for number in range(3):
        content = f"{uuid.uuid4().hex}{number}"
        for each in (owner, by_objects):
            job_id = uuid7()
            upload = Source(f"{each}/{job_id}/upload", content, 10, "call.wav")
            source = RemoteSource(url, content) if url else upload
            options = JobOptions(diarization=number == 1)
            order = JobOrder(job_id=job_id, owner_id=each, source=source, options=options, notes=notes)
            with session() as work:
                submit_by = new_jobs.submit if each == owner else new_jobs.submit_by_objects
                rings[each] += [ring.level for ring in submit_by(work, order)[1].rings]
    assert rings[owner] == rings[by_objects]
    assert len(rings[owner]) == LEAST_WINDOW
    assert rows_of(owner) == rows_of(by_objects)


def order_of(owner: uuid.UUID, content: str, url: str | None = None, **more: Any) -> JobOrder:
    job_id = uuid7()
    upload = Source(f"{owner}/{job_id}/upload", content, 10, "call.wav")
    source = RemoteSource(url, content) if url else upload
    return JobOrder(job_id=job_id, owner_id=owner, source=source, options=JobOptions(**more))


def by_one_statement(order: JobOrder, *, seconds: int = 60) -> tuple[Ring, ...] | None:
    """Announce the upload, for so long, and make it a job; None when the statement made none."""
    announce(order, seconds=seconds)
    statement = new_jobs.statement(order, Settings())
    assert statement
    row = asyncio.run(written(statement.sql))
    with session() as work:
        assert (work.get(Erasure, order.job_id) is None) is (row is not None)
        assert (work.get(Job, order.job_id) is None) is (row is None)
    if row is None:
        return None
    rings = statement.complete(row)
    if rings is None:
        with session() as work:
            rings = statement.rings_behind(work, row)
    return rings


def announce(order: JobOrder, *, seconds: float) -> None:
    query = erasure.announcement(order.owner_id, order.job_id)
    with session() as work:
        first_row(work, replace(query, parameters={**query.parameters, "time": timedelta(seconds=seconds)}))


async def written(statement: Statement) -> Sequence[Any] | None:
    writes = Writes()
    await writes.open()
    try:
        return await writes.first_row(statement)
    finally:
        await writes.close()


def test_a_whole_submission_leaves_what_objects_leave(owner: uuid.UUID) -> None:
    """Three announced uploads leave the same rows and rings either way, and no announcement."""
    by_objects = another_owner()
    rings: list[list[int]] = [[], []]
    for number in range(3):
        content = f"{uuid.uuid4().hex}{number}"
        new_rings = by_one_statement(order_of(owner, content, diarization=number == 1))
        assert new_rings is not None
        rings[0] += [ring.level for ring in new_rings]
        with session() as work:
            order = order_of(by_objects, content, diarization=number == 1)
            rings[1] += [ring.level for ring in new_jobs.submit_by_objects(work, order)[1].rings]
    assert rings[0] == rings[1]
    assert rows_of(owner) == rows_of(by_objects)


def test_a_whole_submission_leaves_to_others_what_it_cannot_do(owner: uuid.UUID) -> None:
    """Known bytes, a late upload, a limit that is near, a listening endpoint and a revoked key: no job, no change."""
    content = uuid.uuid4().hex
    assert by_one_statement(order_of(owner, content)) is not None
    assert by_one_statement(order_of(owner, content)) is None
    assert by_one_statement(order_of(owner, "late"), seconds=-1) is None
    with session() as work:
        keys.change_limits(work, owner, {"max_stored_bytes": quotas.LEEWAY_BYTES})
    assert by_one_statement(order_of(owner, "near")) is None
    with session() as work:
        keys.change_limits(work, owner, {"max_stored_bytes": 2 * quotas.LEEWAY_BYTES})
    assert by_one_statement(order_of(owner, "far")) is not None
    with session() as work:
        work.add(WebhookEndpoint(owner_id=owner, url="https://there.example/", events=["task.done"]))
    assert by_one_statement(order_of(owner, "heard")) is None
    other = another_owner()
    with session() as work:
        keys.revoke(work, other)
    assert by_one_statement(order_of(other, "revoked")) is None


def test_what_is_known_is_found_by_an_index(owner: uuid.UUID) -> None:
    """Of an owner with thousands of answers a submission reads those that it asks about."""
    with session() as work:
        fields = {"owner_id": owner, "stage": "transcribe", "bytes": 1, "meta": {}}
        work.execute(
            insert(Artifact), [{**fields, "hash": uuid.uuid4().hex, "key": uuid.uuid4().hex} for _ in range(3000)]
        )
        work.flush()
        work.execute(text("ANALYZE artifacts"))
    statement = new_jobs.statement(order_of(owner, "new"), Settings())
    assert statement
    with session() as work:
        connection: Any = work.connection().connection.driver_connection
        explained = RawCursor(connection).execute(f"EXPLAIN {statement.sql.text}".encode(), statement.sql.values)
        plan = [line for (line,) in explained.fetchall()]
    assert [line for line in plan if "on artifacts" in line and "Index" in line], plan
    assert not [line for line in plan if "Seq Scan on artifacts" in line], plan


@pytest.mark.parametrize("url", [None, "https://media.example/a.wav"])
def test_many_jobs_at_once_leave_what_objects_leave(owner: uuid.UUID, url: str | None) -> None:
    """Four jobs of a batch leave the same rows and rings as one after another."""
    by_objects = another_owner()
    contents = [uuid.uuid4().hex for _ in range(4)]
    rings: list[list[int]] = [[], []]
    for number, each in enumerate((owner, by_objects)):
        orders = [order_of(each, content, url, diarization=content == contents[1]) for content in contents]
        with session() as work:
            for order in orders if url is None else ():
                assert isinstance(order.source, Source)
                new_jobs.stored(work, each, order.source)
            if number:
                rings[1] += [
                    ring.level for order in orders for ring in new_jobs.submit_by_objects(work, order)[1].rings
                ]
            else:
                rings[0] += [ring.level for ring in new_jobs.submit_many(work, orders)]
    assert rings[0] == rings[1]
    assert len(rings[0]) == LEAST_WINDOW
    assert rows_of(owner) == rows_of(by_objects)


def rows_of(owner: uuid.UUID) -> list[list[Any]]:
    """All that an owner's jobs left, but for what cannot be the same twice."""
    tables = [Base.metadata.tables[name] for name in ("artifacts", "jobs", "search_entries", "stages")]
    with session() as work:
        rows = [
            (table.name, *row)
            for table in tables
            for row in work.execute(select(table).where(table.c.owner_id == owner).order_by(*table.primary_key)).all()
        ]
    return [[_same(value, owner) for value in row] for row in rows]


def _same(value: Any, owner: uuid.UUID) -> Any:
    if isinstance(value, uuid.UUID | datetime) or (isinstance(value, str) and value.endswith("/upload")):
        return type(value)
    return value.replace(owner.hex, "owner") if isinstance(value, str) else value


def test_a_key_has_no_more_rings_than_its_window(owner: uuid.UUID) -> None:
    """Of twenty tasks a window is rung, and each that ends rings the next, the oldest first."""
    submissions = [submit(owner) for _ in range(20)]
    assert [len(rings) for _, rings in submissions] == [1] * LEAST_WINDOW + [0] * (20 - LEAST_WINDOW)
    for number in range(5):
        lease = claim(submissions[number][0], "convert")
        assert lease is not None
        following = {bell.job_id for bell in complete(lease).rings if bell.stage == "convert"}
        # the other may be one that stood behind other keys' and is repeated at the front
        assert following - {submissions[number + 1][0]} == {submissions[number + LEAST_WINDOW][0]}
        assert rung(owner)[owner, "cpu", 1] == LEAST_WINDOW


def test_the_urgent_is_rung_past_a_full_window(owner: uuid.UUID) -> None:
    """Each priority has a window of its own, and its rings are heard before those of the less urgent."""
    for _ in range(5):
        submit(owner, "batch")
    (normal,) = submit(owner, "normal")[1]
    (interactive,) = submit(owner, "interactive")[1]
    assert (interactive.level, normal.level) == (0, 1)


def test_the_first_task_of_a_key_is_heard_before_further_ones_of_others(owner: uuid.UUID) -> None:
    """Also before interactive ones: a priority is worth nothing against other keys' turn."""
    flood = [bell for _ in range(5) for bell in submit(owner, "interactive")[1]]
    (other,) = submit(another_owner(), "batch")[1]
    assert flood[0].level < other.level < flood[1].level


def test_a_key_that_nobody_serves_gets_its_turn(owner: uuid.UUID) -> None:
    """When its only running task ends while others wait, one of its rings is repeated at the front."""
    (first, _), (second, _) = submit(owner), submit(owner)
    submit(another_owner())
    lease = claim(first, "convert")
    assert lease is not None
    again = [bell for bell in complete(lease).rings if bell.stage == "convert"]
    assert [(bell.job_id, bell.level) for bell in again] == [(second, 1)]


def test_what_cancelled_tasks_leave_open_is_filled_by_the_sweep(owner: uuid.UUID) -> None:
    """Nothing of the key runs, so nothing ends that could ring."""
    job_ids = [submit(owner)[0] for _ in range(LEAST_WINDOW + 3)]
    with session() as opened:
        for job_id in job_ids[:LEAST_WINDOW]:
            jobs.cancel(opened, owner, job_id)
    assert not rung(owner)
    with session() as opened:
        bells = [bell for bell in refill(opened) if bell.job_id in job_ids]
    assert [bell.job_id for bell in bells] == job_ids[LEAST_WINDOW : 2 * LEAST_WINDOW]


class Turns(RuleBasedStateMachine):
    """Two keys, a broker that may lose everything, workers that take the first message and know nothing else."""

    owners: tuple[uuid.UUID, uuid.UUID]
    config: Settings
    storage: Storage

    @initialize()
    def begin(self) -> None:
        self.owners = (another_owner(), another_owner())
        self.jobs: dict[uuid.UUID, uuid.UUID] = {}
        self.broker: list[Ring] = []
        self.held: list[Claim] = []
        self.returned = 0  # stages that were running already are rung outside the window

    @rule(whose=st.sampled_from([0, 0, 0, 1]), priority=st.sampled_from(PRIORITIES))
    def somebody_submits(self, whose: int, priority: Priority) -> None:
        job_id, rings = submit(self.owners[whose], priority)
        self.jobs[job_id] = self.owners[whose]
        self._ring(rings)

    @precondition(lambda self: self.broker)
    @rule()
    def a_worker_takes_a_message(self) -> None:
        bell = min(self.broker, key=lambda bell: bell.level)
        self.broker.remove(bell)
        if lease := claim(bell.job_id, bell.stage):
            self.held.append(lease)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def a_stage_is_done(self, data: st.DataObject) -> None:
        self._ring(complete(self._let_go(data)).rings)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), error=st.sampled_from([TranscriptionError("a"), StorageUnavailable("b")]))
    def a_stage_fails(self, data: st.DataObject, error: TranscriptionError | StorageUnavailable) -> None:
        self.returned += 1
        self._ring(fail(self._let_go(data), error).rings)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def a_worker_stops(self, data: st.DataObject) -> None:
        self.returned += 1
        self._ring(give_back(self._let_go(data)).rings)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def somebody_cancels(self, data: st.DataObject) -> None:
        job_id = data.draw(st.sampled_from(list(self.jobs)))
        try:
            with session() as opened:
                jobs.cancel(opened, self.jobs[job_id], job_id)
        except WrongState:
            pass

    @rule()
    def the_broker_forgets(self) -> None:
        self.broker.clear()

    @rule()
    def the_sweep_comes(self) -> None:
        with session() as opened:
            self._ring(refill(opened))

    @invariant()
    def the_window_holds(self) -> None:
        if hasattr(self, "jobs"):
            assert all(count <= LEAST_WINDOW + self.returned for count in rung(*self.owners).values())

    def _let_go(self, data: st.DataObject) -> Claim:
        lease = data.draw(st.sampled_from(self.held))
        self.held.remove(lease)
        return lease

    def _ring(self, bells: Iterable[Ring]) -> None:
        self.broker += [bell for bell in bells if bell.job_id in self.jobs]

    def teardown(self) -> None:
        """Whatever happened: the sweep, and workers that do what is rung, bring every job to its end."""
        if not hasattr(self, "jobs"):
            return
        for lease in self.held:
            self._ring(complete(lease).rings)
        self.held.clear()
        for _ in range(60):
            while self.broker:
                self.a_worker_takes_a_message()
                while self.held:
                    self._ring(complete(self.held.pop()).rings)
            if self._all_ended():
                break
            let_time_pass(*self.owners)
            repair(self.config, self.storage, self._hear)
        assert self._all_ended()

    def _hear(self, bells: Sequence[Ring]) -> None:
        self._ring(bells)

    def _all_ended(self) -> bool:
        with session() as opened:
            states = opened.scalars(select(Job.state).where(Job.id.in_(self.jobs))).all()
        return all(state in TERMINAL for state in states)


def test_any_order_of_events_lets_nothing_stall(environment: Settings, bucket: Storage) -> None:
    """The window is never overfull, and whoever does only what is rung, swept now and then, ends every job."""

    class Here(Turns):
        pass

    Here.config, Here.storage = environment, bucket
    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=15, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
