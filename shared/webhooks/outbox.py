"""Telling others what happened: the outbox. A row per event and address, inserted in the transaction of the event.

So an event that took place is told, whatever dies afterwards, and one that was rolled back is not. Workers empty the
outbox: deliveries.py has the rules, tasks/webhooks.py the HTTP. What is told names the task and how it ended, never a
word of what was said in the recording.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from shared.config import Settings, link
from shared.egress import policy
from shared.ledger import counts
from shared.models import Batch, Job, WebhookDelivery, WebhookEndpoint
from shared.options import PRIORITIES
from shared.rings import Ring, level
from shared.states import JobState


class Event(StrEnum):
    """What an endpoint can be told of."""

    TASK_COMPLETED = "task.completed"
    TASK_FAILED = "task.failed"
    TASK_CANCELLED = "task.cancelled"
    BATCH_COMPLETED = "batch.completed"


TEST_EVENT = "webhook.test"
"""Sent on demand, to one endpoint, whatever its filter."""

ENDS: Mapping[str, Event] = {
    JobState.DONE: Event.TASK_COMPLETED,
    JobState.ERROR: Event.TASK_FAILED,
    JobState.CANCELLED: Event.TASK_CANCELLED,
}
"""The event of each terminal state."""


class DeliveryState(StrEnum):
    """Where a delivery stands. `sending` lasts at most until `next_at`: then whoever sent it is taken for dead."""

    PENDING = "pending"
    SENDING = "sending"
    DELIVERED = "delivered"
    FAILED = "failed"


def check_url(url: str, config: Settings) -> str:
    """An address for webhooks in its normal form. Raises InvalidUrl and BlockedAddress.

    The addresses behind a host's name are checked when connecting.
    """
    target = policy.parse(url.strip())
    policy.guard(config).check(target.host, target.port)
    return target.url


def announce_job(session: Session, job: Job) -> tuple[Ring, ...]:
    """The job has just come to a terminal state. Gives the doorbell to ring after the commit."""
    return _announce(session, job.owner_id, ENDS[job.state], _about_job(job), job.webhook_url, job_id=job.id)


def announce_batch(session: Session, batch: Batch) -> tuple[Ring, ...]:
    """The last task of the batch has ended and `finished_at` is set. Gives the doorbell to ring after the commit."""
    tasks: Counter[str] = Counter()
    for part in counts.batches(session, [batch.id])[batch.id]:
        tasks[part.state] += part.count
    data = _about_batch(batch, tasks)
    return _announce(session, batch.owner_id, Event.BATCH_COMPLETED, data, batch.webhook_url, batch_id=batch.id)


def announce_test(session: Session, endpoint: WebhookEndpoint) -> tuple[WebhookDelivery, Ring]:
    """An event that means nothing, for its owner to see that it arrives."""
    data = {"endpoint_id": str(endpoint.id)}
    delivery = _delivery(endpoint.owner_id, TEST_EVENT, data, endpoint.url, endpoint_id=endpoint.id)
    session.add(delivery)
    session.flush()
    return delivery, doorbell(delivery.id)


def doorbell(delivery_id: uuid.UUID) -> Ring:
    """Wakes a worker that sends what is due; which delivery rang does not matter."""
    return Ring(delivery_id, "deliver", 0, "io", level(PRIORITIES["normal"], is_first=True))


def _announce(
    session: Session, owner_id: uuid.UUID, event: Event, data: dict[str, Any], url: str | None, **about: uuid.UUID
) -> tuple[Ring, ...]:
    # locked, so that none of them is deleted before the rows that refer to it are committed
    listening = (
        select(WebhookEndpoint)
        .where(WebhookEndpoint.owner_id == owner_id, WebhookEndpoint.disabled_at.is_(None))
        .where(WebhookEndpoint.events.any_() == event)
        .order_by(WebhookEndpoint.id)
        .with_for_update(read=True, key_share=True)
    )
    deliveries = [
        _delivery(owner_id, event, data, endpoint.url, endpoint_id=endpoint.id, **about)
        for endpoint in session.scalars(listening)
    ]
    if url:
        deliveries.append(_delivery(owner_id, event, data, url, **about))
    session.add_all(deliveries)
    session.flush()
    return (doorbell(deliveries[0].id),) if deliveries else ()


def _delivery(
    owner_id: uuid.UUID, event: str, data: dict[str, Any], url: str, **about: uuid.UUID | None
) -> WebhookDelivery:
    return WebhookDelivery(
        id=uuid7(),
        owner_id=owner_id,
        url=url,
        event=event,
        payload={"type": event, "timestamp": datetime.now(UTC).isoformat(), "data": data},
        state=DeliveryState.PENDING,
        next_at=func.now(),
        **about,
    )


def _about_job(job: Job) -> dict[str, Any]:
    is_done = job.state == JobState.DONE
    return {
        "task_id": str(job.id),
        "status": job.state,
        "reference": job.reference,
        "tags": job.tags,
        "batch_id": str(job.batch_id) if job.batch_id else None,
        "result_url": link(f"/result/{job.id}") if is_done else None,
        "error": {"code": job.error_code, "message": job.error_message} if job.error_code else None,
        "language": job.language,
        "duration": job.duration,
        "model": job.model,
        "speakers": job.speakers,
        "cached": job.cached,
        "created_at": _rfc3339(job.created_at),
        "finished_at": _rfc3339(job.finished_at),
    }


def _about_batch(batch: Batch, tasks: Mapping[str, int]) -> dict[str, Any]:
    return {
        "batch_id": str(batch.id),
        "reference": batch.reference,
        "total": batch.total,
        **{str(state): tasks.get(state, 0) for state in ENDS},
        "deleted": batch.total - sum(tasks.values()),
        "created_at": _rfc3339(batch.created_at),
        "finished_at": _rfc3339(batch.finished_at),
    }


def _rfc3339(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat() if moment else None
