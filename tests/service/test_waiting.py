"""Many who wait for jobs in one process."""

from __future__ import annotations

import asyncio
import threading
import uuid

import pytest
from sqlalchemy import func, select, text
from uuid_utils.compat import uuid7

from api.waiting import until_ended
from shared import erasure, jobs
from shared.db import session
from shared.errors import NotFound
from shared.jobs import Source
from shared.options import JobOptions
from shared.states import JobState

WAITERS = 1000


def submit(owner: uuid.UUID) -> uuid.UUID:
    job_id = uuid7()
    with session() as work:
        source = Source(f"{owner}/{job_id}/upload", uuid.uuid4().hex, 10, "call.wav")
        jobs.submit(work, job_id=job_id, owner_id=owner, source=source, options=JobOptions())
    return job_id


def cancel(owner: uuid.UUID, job_id: uuid.UUID) -> None:
    with session() as work:
        jobs.cancel(work, owner, job_id)


def connections() -> int:
    """Connections of all processes to the database."""
    with session() as work:
        here = text("datname = current_database()")
        return work.scalar(select(func.count()).select_from(text("pg_stat_activity")).where(here)) or 0


def test_a_wait_ends_with_the_job(owner: uuid.UUID) -> None:
    """The waiter learns of the end, whether it came after the wait began or before."""
    job_id = submit(owner)

    async def wait() -> list[JobState | None]:
        waiting = asyncio.create_task(until_ended(job_id, owner, 30))
        await asyncio.sleep(0.5)
        await asyncio.to_thread(cancel, owner, job_id)
        return [await waiting, await until_ended(job_id, owner, 30)]

    assert asyncio.run(wait()) == [JobState.CANCELLED, JobState.CANCELLED]


def test_a_wait_ends_with_its_time(owner: uuid.UUID) -> None:
    """A job that has not ended in time is answered with None and stays as it is."""
    job_id = submit(owner)
    assert asyncio.run(until_ended(job_id, owner, 0.6)) is None
    assert asyncio.run(until_ended(job_id, owner, 0)) is None


def test_nobody_waits_for_what_is_not_theirs(owner: uuid.UUID) -> None:
    """A job of another owner, and one that is deleted meanwhile, are not found."""
    job_id = submit(owner)
    with pytest.raises(NotFound):
        asyncio.run(until_ended(job_id, uuid7(), 30))

    async def deleted() -> None:
        waiting = asyncio.create_task(until_ended(job_id, owner, 30))
        await asyncio.sleep(0.3)
        with session() as work:
            erasure.erase(work, owner, job_id)
        await waiting

    with pytest.raises(NotFound):
        asyncio.run(deleted())


def test_a_thousand_wait_as_cheaply_as_one(owner: uuid.UUID) -> None:
    """1,000 waiters need one connection and one thread more, and all learn of the end."""
    job_ids = [submit(owner) for _ in range(20)]
    before = connections(), threading.active_count()

    async def wait() -> tuple[list[JobState | None], int, int]:
        waiting = [asyncio.create_task(until_ended(job_ids[i % 20], owner, 60)) for i in range(WAITERS)]
        await asyncio.sleep(1)
        threads = threading.active_count()
        during = await asyncio.to_thread(connections)
        for job_id in job_ids:
            await asyncio.to_thread(cancel, owner, job_id)
        return await asyncio.gather(*waiting), during, threads

    states, during, threads = asyncio.run(wait())
    assert states == [JobState.CANCELLED] * WAITERS
    assert (during - before[0], threads - before[1]) <= (2, 2)
