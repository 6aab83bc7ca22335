"""What is told of jobs with the commits of the kernel, and how those who wait hear of it."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from uuid_utils.compat import uuid7

from api import waiting
from api.postgres.listener import listen
from shared.claims import Answer, Claim
from shared.db import session
from shared.kernel import erasure, events, jobs, leases
from shared.kernel.orders import JobOrder, Source
from shared.kernel.submission import new_jobs
from shared.options import JobOptions
from shared.states import JobState
from shared.transcript import Segment
from tests.service.gateway import PATIENCE_S, SUMMARY, eventually, work_on

Tell = Callable[[uuid.UUID | None], None]

SOON_S = 0.3
"""For what must not be heard: what is told comes within milliseconds. What must be heard is waited for."""


def submit(owner: uuid.UUID) -> uuid.UUID:
    job_id = uuid7()
    with session() as work:
        source = Source(f"{owner}/{job_id}/upload", uuid.uuid4().hex, 10, "call.wav")
        new_jobs.submit(work, JobOrder(job_id=job_id, owner_id=owner, source=source, options=JobOptions()))
    return job_id


def complete(claim: Claim) -> None:
    key = f"{claim.owner_id}/{claim.job_id}/{claim.stage}/{claim.fence}.json"
    with session() as work:
        leases.complete(work, claim, Answer(key, 1, SUMMARY))


def cancel(owner: uuid.UUID, job_id: uuid.UUID) -> None:
    with session() as work:
        jobs.cancel(work, owner, job_id)


@asynccontextmanager
async def ears(tell: Tell) -> AsyncIterator[None]:
    """Somebody listens for the time of the block."""
    is_there = asyncio.Event()

    def note_news(job_id: uuid.UUID | None) -> None:
        is_there.set()
        tell(job_id)

    listening = asyncio.create_task(listen(note_news))
    try:
        await asyncio.wait_for(is_there.wait(), PATIENCE_S)
        yield
    finally:
        listening.cancel()


async def hearing(tell: Tell, act: Callable[[], None]) -> None:
    """Do something in a thread while somebody listens."""
    async with ears(tell):
        await asyncio.to_thread(act)


def test_what_changes_is_told(owner: uuid.UUID) -> None:
    """The first claim, the probe, segments and the end of a job, in that order; progress is not."""
    job_id = submit(owner)
    news: list[uuid.UUID | None] = []
    counts: list[int] = []

    def note(expected: int) -> None:
        eventually(lambda: news.count(job_id) >= expected, f"news number {expected}")
        time.sleep(SOON_S)
        counts.append(news.count(job_id))

    def act() -> None:
        convert = work_on(job_id, "convert")
        note(1)
        complete(convert)
        note(2)
        transcribe = work_on(job_id, "transcribe")
        with session() as work:
            leases.heartbeat(work, transcribe, progress=0.5, lease_s=30)
        note(2)
        with session() as work:
            events.publish(work, transcribe, [Segment(0, 0.0, 1.0, "Hello.", 0.9)])
        note(3)
        complete(transcribe)
        complete(work_on(job_id, "merge"))
        note(3)
        complete(work_on(job_id, "store"))
        note(4)

    asyncio.run(hearing(news.append, act))
    assert counts == [1, 2, 2, 3, 3, 4]


@pytest.mark.parametrize("act", [jobs.cancel, erasure.erase])
def test_an_end_is_told_if_it_is_committed(owner: uuid.UUID, act: Callable[..., Any]) -> None:
    """Nothing is heard of a cancellation or deletion that is rolled back, and once of one that is committed."""
    job_id = submit(owner)
    news: list[uuid.UUID | None] = []

    def both() -> None:
        with pytest.raises(ZeroDivisionError), session() as work:
            act(work, owner, job_id)
            raise ZeroDivisionError
        time.sleep(SOON_S)
        assert job_id not in news
        with session() as work:
            act(work, owner, job_id)
        eventually(lambda: job_id in news, "the end is told")
        time.sleep(SOON_S)

    asyncio.run(hearing(news.append, both))
    assert news.count(job_id) == 1


def test_a_ring_ends_a_wait(owner: uuid.UUID) -> None:
    """Whoever waits hears of each news when it is rung, by a poller that looks for itself once in ten minutes."""
    job_id = submit(owner)
    poller = waiting.Poller(shortest_s=600, longest_s=600)

    async def states() -> list[JobState]:
        async with ears(poller.ring), asyncio.timeout(PATIENCE_S):
            with poller.waiter(job_id, owner, stays=True) as waiter:
                history = [(await waiter.next()).standing.state]
                await asyncio.to_thread(work_on, job_id, "convert")
                history.append((await waiter.next()).standing.state)
                await asyncio.to_thread(cancel, owner, job_id)
                history.append((await waiter.next()).standing.state)
                return history

    assert asyncio.run(states()) == [JobState.QUEUED, JobState.PROCESSING, JobState.CANCELLING]
