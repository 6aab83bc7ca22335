"""Announcements of uploads while a statement waits for them that nobody may wait for any more."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from sqlalchemy import ColumnElement, func, select, text, update
from sqlalchemy.orm import Session

from shared.config import Settings
from shared.db import session
from shared.errors import IncompleteUpload
from shared.kernel import erasure
from shared.kernel.orders import JobOrder
from shared.kernel.submission import new_jobs
from shared.models import Erasure, Job
from tests.service.gateway import PATIENCE_S, eventually
from tests.service.kernel.test_window import announce, by_one_statement, order_of, written


@pytest.mark.parametrize("how", ["it is ended", "its time passes"])
def test_a_whole_submission_that_waited_looks_at_the_clock(owner: uuid.UUID, how: str) -> None:
    """While it waits for the announcement its gateway may have gone, and whoever holds the announcement removes the
    object: then it makes no job, though the announcement held when it began."""
    order = order_of(owner, uuid.uuid4().hex)
    statement = new_jobs.statement(order, Settings())
    assert statement
    with ThreadPoolExecutor(1) as pool:
        with held(order, seconds=3600 if how == "it is ended" else 5) as lock:
            writing = pool.submit(asyncio.run, written(statement.sql))
            await_waiter(lock)
            if how == "it is ended":
                lock.execute(update(Erasure).values(created_at=func.clock_timestamp()).where(of(order)))
            else:
                over = select(Erasure.job_id).where(of(order), Erasure.created_at < func.clock_timestamp())
                eventually(lambda: lock.scalar(over), "the time is over")
        assert writing.result(PATIENCE_S) is None
    with session() as work:
        assert work.get(Job, order.job_id) is None


def test_an_announcement_that_was_waited_for_is_taken_back_by_the_clock(owner: uuid.UUID) -> None:
    """The same where several statements make the job."""
    order = order_of(owner, uuid.uuid4().hex)

    def keep() -> None:
        with session() as work:
            erasure.keep(work, order.job_id)

    with ThreadPoolExecutor(1) as pool:
        with held(order, seconds=3600) as lock:
            keeping = pool.submit(keep)
            await_waiter(lock)
            lock.execute(update(Erasure).values(created_at=func.clock_timestamp()).where(of(order)))
        with pytest.raises(IncompleteUpload):
            keeping.result(PATIENCE_S)


def test_a_hastened_announcement_is_no_job(owner: uuid.UUID) -> None:
    """It tells a job from an upload, and what is sent later makes no job of the upload."""
    order = order_of(owner, uuid.uuid4().hex)
    announce(order, seconds=3600)
    with session() as work:
        assert erasure.hasten(work, order.job_id)
    statement = new_jobs.statement(order, Settings())
    assert statement
    assert asyncio.run(written(statement.sql)) is None
    other = order_of(owner, uuid.uuid4().hex)
    assert by_one_statement(other) is not None
    with session() as work:
        assert not erasure.hasten(work, other.job_id)


def of(order: JobOrder) -> ColumnElement[bool]:
    return Erasure.job_id == order.job_id


@contextmanager
def held(order: JobOrder, *, seconds: float) -> Iterator[Session]:
    """The upload is announced, for so long, and its announcement is locked in the block."""
    announce(order, seconds=seconds)
    with session() as lock:
        assert lock.scalar(select(Erasure.job_id).where(of(order)).with_for_update())
        yield lock


def await_waiter(lock: Session) -> None:
    pid = lock.scalar(select(func.pg_backend_pid()))
    waits = text("SELECT count(*) FROM pg_stat_activity WHERE :pid = ANY(pg_blocking_pids(pid))")

    def is_waited_for() -> bool:
        with session() as work:
            return bool(work.scalar(waits, {"pid": pid}))

    eventually(is_waited_for, "somebody waits for the lock")
