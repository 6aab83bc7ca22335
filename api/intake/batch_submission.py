"""From a checked batch to its tasks: one transaction, so that there are all or none, whatever dies meanwhile."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError, NoResultFound
from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from api.intake.batch_orders import BatchSpec, Item, named_item
from shared.callers import quotas
from shared.callers.keys import Caller
from shared.callers.limits import check_room
from shared.config import Settings
from shared.db import session
from shared.errors import DatabaseUnavailable, NotFound, ParleyError
from shared.intake import uploads
from shared.kernel import batches, fleet, idempotency
from shared.kernel.idempotency import Once
from shared.kernel.orders import JobOrder, RemoteSource, Source
from shared.kernel.submission import new_jobs
from shared.models import Batch, Job
from shared.rings import Ring
from tasks.app import ring


@dataclass(frozen=True, slots=True)
class BatchOrder:
    """All that a batch is made of. A request with an `idempotency_key` makes one however often it is sent."""

    batch_id: uuid.UUID
    caller: Caller
    spec: BatchSpec
    request_id: str
    idempotency_key: str | None

    @property
    def once(self) -> Once | None:
        """The request as one that must not be carried out twice."""
        if not self.idempotency_key:
            return None
        described = [
            (_recording(item), item.spec.options, item.spec.priority, item.spec.notes) for item in self.spec.items
        ]
        return idempotency.once_for_batch(self.caller.id, self.idempotency_key, described, self.spec.notes)


@dataclass(frozen=True, slots=True)
class Placed:
    """The batch and what is there of its tasks, in the order of the items."""

    batch: Batch
    tasks: Sequence[tuple[uuid.UUID, bool]]
    """Each with whether it was answered from what is known."""


def place(order: BatchOrder, config: Settings) -> Placed:
    """Make all tasks, and tell the workers. A repeated request is answered with its first batch.

    Raises TooManyQueued, QuotaExceeded, ServiceBusy, StorageQuotaExceeded and TooManyDeliveries for all together,
    ModelNotInstalled, IdempotencyConflict, NotFound and WrongState for an upload that is not there or not complete, and
    DatabaseUnavailable. Then there is no batch, or PostgreSQL does not even answer whether there is.
    """
    try:
        placed, rings = _insert(order, config)
    except (IntegrityError, NoResultFound):
        # an equal recording that one of these was found to repeat has just been erased
        try:
            placed, rings = _insert(order, config)
        except (IntegrityError, NoResultFound) as error:
            raise DatabaseUnavailable("A recording is being erased; try again in a moment.") from error
    except DatabaseUnavailable as error:
        # perhaps only the answer to COMMIT was lost: then the sweep rings
        with session() as work:
            try:
                return _placed(work, batches.get(work, order.caller.id, order.batch_id))
            except NotFound:
                raise error from None
    ring(rings)
    return placed


def _insert(order: BatchOrder, config: Settings) -> tuple[Placed, list[Ring]]:
    once, caller, items = order.once, order.caller, order.spec.items
    with session() as work:
        if once and (first := idempotency.first_batch(work, once)):
            return _placed(work, first), []
        check_room(work, caller.id, caller.limits, config, count=len(items))
        usage = quotas.of(work, caller.id)
        quotas.check_door(usage, caller.limits, config, 0)
        notes = order.spec.notes
        batch = Batch(
            id=order.batch_id,
            owner_id=caller.id,
            total=len(items),
            reference=notes.reference,
            webhook_url=notes.webhook_url,
        )
        work.add(batch)
        work.flush()
        sources = _sources(work, order)
        ids = sorted(uuid7() for _ in items)
        orders = [
            JobOrder(
                job_id=job_id,
                owner_id=caller.id,
                source=source,
                options=item.spec.options,
                priority=item.spec.priority,
                notes=item.spec.notes,
                batch_id=batch.id,
                request_id=order.request_id,
            )
            for job_id, source, item in zip(ids, sources, items, strict=True)
        ]
        rings = [*new_jobs.submit_many(work, orders)]
        for one in orders:
            fleet.check_model(work, one.job_id, one.options.model, config)
        rings += batches.settle(work, batch.id)
        urls = [notes.webhook_url, *(item.spec.notes.webhook_url for item in items)]
        if any(urls) or usage.has_webhooks:
            quotas.check_deliveries(work, caller.id, config)
        if once:
            idempotency.note(work, once, batch)
        return _placed(work, batch), rings


def _sources(work: Session, order: BatchOrder) -> list[Source | RemoteSource]:
    """The recordings. Uploads are held in one order, so that two batches do not wait for one another."""
    named = {item.source for item in order.spec.items if isinstance(item.source, uuid.UUID)}
    by_id: dict[uuid.UUID, Source] = {}
    for upload_id in sorted(named):
        try:
            by_id[upload_id] = uploads.recording(work, order.caller.id, upload_id)
        except ParleyError as error:
            place = next(number for number, item in enumerate(order.spec.items) if item.source == upload_id)
            error.detail.setdefault("parameter", "upload_id")
            raise named_item(error, place, ()) from error
    return [by_id[item.source] if isinstance(item.source, uuid.UUID) else item.source for item in order.spec.items]


def _placed(work: Session, batch: Batch) -> Placed:
    tasks = work.execute(select(Job.id, Job.cached).where(Job.batch_id == batch.id).order_by(Job.id))
    return Placed(batch, [(job_id, cached) for job_id, cached in tasks])


def _recording(item: Item) -> str:
    return item.source.url if isinstance(item.source, RemoteSource) else str(item.source)
