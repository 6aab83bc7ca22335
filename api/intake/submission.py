"""From a stored upload to a job, so that each upload ends as exactly one of two: a job, or nothing.

Before the first byte is stored the upload is announced (shared/kernel/erasure.py): the sweep will remove it. The
transaction that inserts the job takes the announcement back. So a gateway that dies at any moment leaves nothing for
good, and a COMMIT whose answer was lost can be asked about afterwards: the announcement is gone if and only if the job
is there.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.exc import IntegrityError, NoResultFound
from sqlalchemy.orm import Session

from api.intake.ingest import in_thread
from api.intake.parameters import JobSpec
from api.postgres.reader import reader
from api.postgres.writes import AnswerLost, writes
from shared.callers import quotas
from shared.config import settings
from shared.db import session
from shared.errors import DatabaseUnavailable, NotFound, StorageUnavailable
from shared.intake import uploads
from shared.kernel import erasure, fleet, idempotency, job_views
from shared.kernel.idempotency import Once
from shared.kernel.jobs import Outcome
from shared.kernel.orders import JobOrder, RemoteSource, Source
from shared.kernel.submission import new_jobs
from shared.kernel.submission.new_jobs import JobStatement
from shared.models import Job
from shared.storage import Storage, Writer
from shared.telemetry.logs import get_logger
from tasks.app import ring

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Order:
    """All that a job is made of. A request with an `idempotency_key` makes one job however often it is sent.

    `upload_id` says that the source came in parts, or as a clip, and is kept by that upload.
    """

    job_id: uuid.UUID
    owner_id: uuid.UUID
    source: Source | RemoteSource
    spec: JobSpec
    request_id: str
    idempotency_key: str | None = None
    upload_id: uuid.UUID | None = None

    @property
    def job_order(self) -> JobOrder:
        """As the kernel takes it."""
        return JobOrder(
            job_id=self.job_id,
            owner_id=self.owner_id,
            source=self.source,
            options=self.spec.options,
            priority=self.spec.priority,
            notes=self.spec.notes,
            request_id=self.request_id,
        )

    @property
    def once(self) -> Once | None:
        """The request as one that must not be carried out twice."""
        key, spec = self.idempotency_key, self.spec
        if not key:
            return None
        return idempotency.once(self.owner_id, key, self.source, spec.options, spec.priority, spec.notes)


async def announce(owner_id: uuid.UUID, job_id: uuid.UUID) -> None:
    """Call before the first byte is stored. Raises DatabaseUnavailable."""
    await reader.first_row(erasure.announcement(owner_id, job_id))


def withdraw(job_id: uuid.UUID, writer: Writer) -> None:
    """The upload will not be a job: remove what was stored, now or, if storage is away, as soon as it is back."""
    tidy_up: Callable[[Session, uuid.UUID], object] = erasure.forget
    try:
        writer.abort()
    except StorageUnavailable:
        tidy_up = erasure.hasten
    try:
        with session() as work:
            tidy_up(work, job_id)
    except DatabaseUnavailable:
        log.warning("upload_stays_announced", job_id=str(job_id))  # the sweep finds it when its time is over


async def place(order: Order, writer: Writer, storage: Storage) -> Job:
    """Make the stored upload a job and tell the workers. A repeated request is answered with its first job. What has
    begun goes on to its end, also when the request is cancelled.

    Raises IdempotencyConflict, StorageQuotaExceeded, TooManyDeliveries, ModelNotInstalled, Unauthorized for a key that
    was revoked meanwhile, and DatabaseUnavailable. Then there is no job, or PostgreSQL does not even answer
    whether there is one: the object stays where it is, the sweep removes it unless the job exists.
    """
    placing = asyncio.create_task(_place(order, writer, storage))
    _placing.add(placing)
    placing.add_done_callback(_placing.discard)
    return await asyncio.shield(placing)


_placing: set[asyncio.Task[Job]] = set()
"""An event loop keeps no task that nobody waits for."""


async def _place(order: Order, writer: Writer, storage: Storage) -> Job:
    statement, row, is_lost = None, None, False
    try:
        if not order.idempotency_key:
            statement = new_jobs.statement(order.job_order, settings())
        if statement:
            row = await writes.first_row(statement.sql)
    except AnswerLost as error:
        log.warning("answer_lost", job_id=str(order.job_id), reason=type(error.__cause__).__name__)
        is_lost = True
    except DatabaseUnavailable:
        pass  # it was not sent
    except Exception:
        await in_thread(withdraw, order.job_id, writer)
        raise
    if not statement or not row:
        return await in_thread(_place_by_several, order, writer, storage, is_lost)
    try:
        await _ring(statement, row)
    except Exception:  # the job is there, whatever fails now: the sweep rings for it
        log.exception("not_rung", job_id=str(order.job_id))
    return statement.job


async def _ring(statement: JobStatement, row: Sequence[Any]) -> None:
    rings = statement.complete(row)
    if rings is None:
        await in_thread(_ring_behind, statement, row)
    elif rings:
        await in_thread(ring, rings)


def _ring_behind(statement: JobStatement, row: Sequence[Any]) -> None:
    with session() as work:
        rings = statement.rings_behind(work, row)
    ring(rings)


def _place_by_several(order: Order, writer: Writer, storage: Storage, is_lost: bool) -> Job:
    """By several statements. `is_lost`: the answer of one was, which has made the job, or still may until the
    announcement has ended. So nothing is removed before that is asked.
    """
    try:
        job, outcome = _insert(order)
    except _FateUnknown as error:
        job, outcome = _ask_afterwards(order, writer, error)
    except BaseException as error:
        if not is_lost:
            withdraw(order.job_id, writer)
            raise
        job, outcome = _ask_afterwards(order, writer, error)
    if job.id != order.job_id:
        withdraw(order.job_id, writer)
    ring(outcome.rings)
    if outcome.duplicate and isinstance(order.source, Source):
        _delete(storage, order.source.key)
    return job


def place_remote(order: Order) -> Job:
    """Make a recording that is still to be fetched, or was uploaded before, a job and tell the workers.

    A repeated request has its first job. Raises IdempotencyConflict, ModelNotInstalled, DatabaseUnavailable, and
    NotFound when the upload has gone meanwhile.
    """
    try:
        job, outcome = _insert(order)
    except _FateUnknown as error:
        with session() as work:
            try:
                return job_views.owned(work, order.owner_id, order.job_id)  # the sweep rings for it
            except NotFound:
                raise error from None
    ring(outcome.rings)
    return job


class _FateUnknown(DatabaseUnavailable):
    """COMMIT was sent and nobody knows whether it took place."""


def _insert(order: Order) -> tuple[Job, Outcome]:
    try:
        return _insert_once(order)
    except (IntegrityError, NoResultFound):
        # the equal recording that this one was found to repeat has just been erased
        pass
    try:
        return _insert_once(order)
    except (IntegrityError, NoResultFound) as error:
        raise DatabaseUnavailable("The same recording is being erased; try again in a moment.") from error


def _insert_once(order: Order) -> tuple[Job, Outcome]:
    is_complete, once = False, order.once
    try:
        with session() as work:
            if once and (job := idempotency.first(work, once)):
                return job, Outcome()
            if order.upload_id:
                uploads.recording(work, order.owner_id, order.upload_id)  # so that it is not erased meanwhile
            elif isinstance(order.source, Source):
                erasure.keep(work, order.job_id)
            result = new_jobs.submit(work, order.job_order)
            fleet.check_model(work, order.job_id, order.spec.options.model, settings())
            _check_quotas(work, order, *result)
            if once:
                idempotency.note(work, once, result[0])
            is_complete = True
    except DatabaseUnavailable as error:
        if is_complete:
            raise _FateUnknown(error.message) from error
        raise
    return result


def _check_quotas(work: Session, order: Order, job: Job, outcome: Outcome) -> None:
    """With all that the job adds. Raises StorageQuotaExceeded and TooManyDeliveries."""
    usage = None
    if isinstance(order.source, Source) and not order.upload_id and not outcome.duplicate:
        usage = quotas.check_stored(work, order.owner_id, settings())
    check_deliveries(work, job, usage)


def check_deliveries(work: Session, job: Job, usage: quotas.Usage | None = None) -> None:
    """Raises TooManyDeliveries."""
    if job.webhook_url or (usage or quotas.of(work, job.owner_id)).has_webhooks:
        quotas.check_deliveries(work, job.owner_id, settings())


def _ask_afterwards(order: Order, writer: Writer, cause: BaseException) -> tuple[Job, Outcome]:
    try:
        with session() as work:
            if not erasure.hasten(work, order.job_id):
                # it is a job; the sweep rings for it, and a superfluous object goes when the job is deleted
                return job_views.owned(work, order.owner_id, order.job_id), Outcome()
    except DatabaseUnavailable as error:
        raise error from cause
    except NotFound:  # deleted already, or announced too long ago: what is left is the sweep's
        raise cause from None
    withdraw(order.job_id, writer)
    raise cause


def _delete(storage: Storage, key: str) -> None:
    try:
        storage.delete([key])
    except StorageUnavailable:
        log.warning("duplicate_stays", key=key)  # it goes when the job is deleted
