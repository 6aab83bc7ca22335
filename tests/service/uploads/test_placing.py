"""An upload that is made a job by one statement on the event loop: what is cancelled, silent or full."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import func, select, text
from uuid_utils.compat import uuid7

from api.postgres import writes as writing
from api.postgres.pool import CONNECTIONS
from api.postgres.reader import Reader
from api.postgres.writes import AnswerLost, writes
from shared.db import Query, Statement, first_row, session
from shared.kernel import erasure
from shared.kernel.orders import Source
from shared.models import Artifact, Erasure, Job, Stage
from shared.options import JobOptions
from shared.storage import Storage, Writer
from tests.service.gateway import eventually, sha256

SLEEP = "SELECT pg_sleep(60), 'a sleeper of test_placing'"


class Upload:
    """An announced upload, stored, and its order."""

    def __init__(self, bucket: Storage, owner: uuid.UUID) -> None:
        from api.intake.parameters import JobSpec  # which reads the settings when it is imported
        from api.intake.submission import Order

        self.bucket, self.id = bucket, uuid7()
        self.key, self.content = f"{owner}/{self.id}/upload", self.id.bytes
        self.writer: Writer = bucket.writer(self.key)
        self.writer.write(self.content)
        self.writer.close()
        source = Source(self.key, sha256(self.content), len(self.content), "call.wav")
        self.order = Order(self.id, owner, source, JobSpec(JobOptions(), "normal"), "request")
        with session() as work:
            first_row(work, erasure.announcement(owner, self.id))

    async def place(self) -> Job:
        from api.intake import submission

        return await submission.place(self.order, self.writer, self.bucket)

    def check_is_job(self) -> None:
        """It is one, with all that belongs to it."""
        with session() as work:
            assert work.get(Job, self.id) is not None
            assert work.get(Erasure, self.id) is None
            first = work.get_one(Stage, (self.id, "download", 0))
            assert work.get_one(Artifact, first.artifact_id).key == self.key
        assert self.bucket.get(self.key) == self.content


@pytest.fixture
def upload(bucket: Storage, owner: uuid.UUID) -> Upload:
    return Upload(bucket, owner)


@asynccontextmanager
async def opened() -> AsyncIterator[None]:
    await writes.open()
    try:
        yield
    finally:
        await writes.close()


@asynccontextmanager
async def announcement_held(upload: Upload) -> AsyncIterator[Callable[[], int]]:
    """The announcement is locked in the block; gives how many wait for it."""
    with session() as lock:
        own = lock.scalar(select(func.pg_backend_pid()))
        lock.scalar(select(Erasure.job_id).where(Erasure.job_id == upload.id).with_for_update())

        def waiting() -> int:
            waits = "SELECT count(*) FROM pg_stat_activity WHERE :own = ANY(pg_blocking_pids(pid))"
            with session() as work:
                return work.scalar(text(waits), {"own": own}) or 0

        yield waiting


async def becomes(condition: Callable[[], object], what: str) -> None:
    await asyncio.to_thread(eventually, condition, what)


def test_one_statement_makes_the_job(upload: Upload) -> None:
    """On the event loop, with everything that belongs to it."""

    async def placed() -> Job:
        async with opened():
            return await upload.place()

    job = asyncio.run(placed())
    assert (job.id, job.cached, job.state) == (upload.id, False, "queued")
    upload.check_is_job()


def test_a_cancelled_request_makes_its_job(upload: Upload) -> None:
    """A request that is cancelled while its statement waits: the statement is waited for all the same."""

    async def cancelled() -> None:
        async with opened():
            async with announcement_held(upload) as waiting:
                placing = asyncio.create_task(upload.place())
                await becomes(waiting, "the statement waits")
                placing.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await placing
                assert waiting() == 1
            await becomes(is_job, "the job is there")

    def is_job() -> bool:
        with session() as work:
            return work.get(Job, upload.id) is not None

    asyncio.run(cancelled())
    upload.check_is_job()


def test_a_silent_server_is_asked_by_another_statement(upload: Upload, monkeypatch: pytest.MonkeyPatch) -> None:
    """The statement is not answered in time: another one, that waits for its end, says what became of it."""
    monkeypatch.setattr(writing, "ANSWER_S", 0.5)

    async def placed() -> Job:
        async with opened():
            async with announcement_held(upload) as waiting:
                with pytest.raises(AnswerLost):
                    await writes.first_row(Statement(SLEEP, ()))
                placing = asyncio.create_task(upload.place())
                await becomes(lambda: waiting() and placing_in_thread(), "it is asked")
            return await placing

    def placing_in_thread() -> bool:
        with session() as work:
            asks = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE 'DELETE FROM erasures%' AND {})"
            return bool(work.scalar(text(asks.format("wait_event_type = 'Lock' AND datname = current_database()"))))

    assert asyncio.run(placed()).id == upload.id
    upload.check_is_job()


def test_where_all_connections_are_taken_others_make_the_job(upload: Upload) -> None:
    """The pool is full of statements that do not end: several statements make the job, by connections of threads."""

    async def placed() -> Job:
        async with opened():
            sleepers = [asyncio.create_task(writes.first_row(Statement(SLEEP, ()))) for _ in range(CONNECTIONS)]
            await becomes(lambda: sleeping() == CONNECTIONS, "all connections are taken")
            job = await upload.place()
            assert not any(sleeper.done() for sleeper in sleepers)
            await ended(sleepers)
            return job

    assert asyncio.run(placed()).id == upload.id
    upload.check_is_job()


@pytest.mark.parametrize("who", ["polls", "submissions"])
def test_polls_and_submissions_wait_for_their_own(upload: Upload, who: str) -> None:
    """Each goes on while all connections of the other are taken."""
    reader = Reader()

    def taken() -> asyncio.Task[object]:
        if who == "polls":
            return asyncio.create_task(writes.first_row(Statement(SLEEP, ())))
        return asyncio.create_task(reader.first_row(Query(SLEEP, {})))

    async def gone_on() -> None:
        await reader.open()
        async with opened():
            sleepers = [taken() for _ in range(CONNECTIONS)]
            await becomes(lambda: sleeping() == CONNECTIONS, "all connections of the others are taken")
            if who == "polls":
                assert await reader.first_row(Query("SELECT 1", {})) == (1,)
            else:
                row = await writes.first_row(Statement("SELECT $1::int", (1,)))
                assert row == (1,)
            assert not any(sleeper.done() for sleeper in sleepers)
            await ended(sleepers)
        await reader.close()

    asyncio.run(gone_on())


def sleeping() -> int:
    sleepers = "datname = current_database() AND pid <> pg_backend_pid() AND query = :query AND state = 'active'"
    with session() as work:
        return work.scalar(text(f"SELECT count(*) FROM pg_stat_activity WHERE {sleepers}"), {"query": SLEEP}) or 0


async def ended(tasks: Sequence[asyncio.Task[object]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
