"""Deliveries of the outbox: who may send what, what follows from the receiver's answer, and the log of it all.

A claim pushes `next_at` ahead, so that two workers do not send the same thing at once and that what a killed worker
was sending is sent again. So a receiver hears of every event at least once, each time under the same id.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session, aliased

from shared.errors import NotFound
from shared.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint
from shared.rings import Ring
from shared.webhooks.endpoints import check_enabled, disable, signing
from shared.webhooks.outbox import DeliveryState, doorbell

RETRY_AFTER_S = (5, 30, 120, 600, 1800, 7200, 21_600, 43_200, 86_400, 86_400)
"""Waits after the first, second, ... failed attempt: 69 hours in all, so that a receiver that dies on a Friday evening
hears of the weekend on Monday. Behind the last one the delivery is `failed`."""

JITTER = 0.2
"""Each wait is longer or shorter by up to this share: what failed together does not come back together."""

AT_ONCE = 8
"""Deliveries of one key that are sent side by side, by one worker: a key whose receivers hang holds one slot at most,
as long as one timeout."""

CLAIM_TIMEOUTS = 3
"""A claim lasts so many times as long as sending may take, for slow DNS and a database that is away for a moment. One
that runs out though its worker lives costs a second request under the same id, nothing worse."""

CLAIM_LOCK = 7_275_541
"""Advisory lock, any constant: claims are made one after another, so that a key is never served by two workers."""

KEPT = timedelta(days=30)
"""How long the log remembers a delivery."""

SWEPT_AT_ONCE = 5000
GONE = 410
"""The status by which a receiver asks for nothing any more."""

LOST = "The worker that sent this was lost."
NO_LONGER_WANTED = "The receiver answered 410 Gone."
UNFINISHED = (DeliveryState.PENDING, DeliveryState.SENDING)


@dataclass(frozen=True, slots=True)
class Errand:
    """A delivery to be sent now. `attempt` counts from 1; `secrets` sign it, newest first."""

    id: uuid.UUID
    attempt: int
    url: str
    payload: dict[str, Any]
    secrets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of it: the receiver's HTTP status, or why there was none."""

    status: int | None
    error: str | None
    seconds: float


def claim(session: Session, timeout_s: float) -> list[Errand]:
    """Take what is due, of every key that no worker is sending for right now; each attempt is given `timeout_s`."""
    session.execute(select(func.pg_advisory_xact_lock(CLAIM_LOCK)))
    busy = aliased(WebhookDelivery)
    served = select(busy.owner_id).where(busy.state == DeliveryState.SENDING, busy.next_at > func.now())
    order = (WebhookDelivery.next_at, WebhookDelivery.id)
    place = func.row_number().over(partition_by=WebhookDelivery.owner_id, order_by=order)
    due = (
        select(WebhookDelivery.id, place.label("place"))
        .where(WebhookDelivery.state.in_(UNFINISHED), WebhookDelivery.next_at <= func.now())
        .where(WebhookDelivery.owner_id.not_in(served))
        .subquery()
    )
    rows = session.scalars(
        select(WebhookDelivery)
        .where(WebhookDelivery.id.in_(select(due.c.id).where(due.c.place <= AT_ONCE)))
        .order_by(*order)
        .limit(AT_ONCE)
        .with_for_update(skip_locked=True)
    ).all()
    return [errand for row in rows if (errand := _take(session, row, timeout_s))]


def _take(session: Session, row: WebhookDelivery, timeout_s: float) -> Errand | None:
    if row.state == DeliveryState.SENDING:
        session.add(WebhookAttempt(delivery_id=row.id, attempt=row.attempts, error=LOST, seconds=0.0))
    if row.endpoint_id:
        endpoint = session.get_one(WebhookEndpoint, row.endpoint_id)
        if endpoint.disabled_at is not None:  # while another worker was sending this
            row.state, row.next_at = DeliveryState.FAILED, None
            return None
        row.url = endpoint.url  # it may have moved
    row.state, row.attempts = DeliveryState.SENDING, row.attempts + 1
    row.next_at = func.now() + timedelta(seconds=CLAIM_TIMEOUTS * timeout_s)
    secrets = tuple(signing(session, row.owner_id, row.endpoint_id))
    session.flush()
    return Errand(row.id, row.attempts, row.url, row.payload, secrets)


def settle(session: Session, errand: Errand, answer: Answer, first_retry_s: float) -> DeliveryState | None:
    """Note an attempt and what follows from it. None when the delivery was deleted or somebody else sends it by now.

    `first_retry_s` is the wait after the first failure; the later ones keep their proportion to it.
    """
    is_gone = answer.status == GONE
    endpoint = None
    if is_gone:  # an endpoint is locked before its deliveries, here as everywhere
        endpoint_id = select(WebhookDelivery.endpoint_id).where(WebhookDelivery.id == errand.id).scalar_subquery()
        endpoint = session.scalars(
            select(WebhookEndpoint).where(WebhookEndpoint.id == endpoint_id).with_for_update(key_share=True)
        ).one_or_none()
    conditions = (WebhookDelivery.id == errand.id, WebhookDelivery.attempts == errand.attempt)
    row = session.scalars(
        select(WebhookDelivery).where(*conditions, WebhookDelivery.state == DeliveryState.SENDING).with_for_update()
    ).one_or_none()
    if row is None:
        return None
    session.add(
        WebhookAttempt(
            delivery_id=row.id, attempt=errand.attempt, status=answer.status, error=answer.error, seconds=answer.seconds
        )
    )
    if answer.status is not None and 200 <= answer.status < 300:
        row.state, row.next_at, row.delivered_at = DeliveryState.DELIVERED, None, func.now()
    elif is_gone or errand.attempt > len(RETRY_AFTER_S):
        row.state, row.next_at = DeliveryState.FAILED, None
    else:
        row.state, row.next_at = DeliveryState.PENDING, func.now() + _wait(errand.attempt, first_retry_s)
    session.flush()
    if endpoint is not None and endpoint.disabled_at is None:
        disable(session, endpoint, NO_LONGER_WANTED)
    return DeliveryState(row.state)


def _wait(attempt: int, first_retry_s: float) -> timedelta:
    planned = RETRY_AFTER_S[attempt - 1] * first_retry_s / RETRY_AFTER_S[0]
    return timedelta(seconds=planned * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311 - no secret


def due(session: Session) -> tuple[Ring, ...]:
    """The doorbell to ring when something is due."""
    first = select(WebhookDelivery.id).where(
        WebhookDelivery.state.in_(UNFINISHED), WebhookDelivery.next_at <= func.now()
    )
    delivery_id = session.scalar(first.limit(1))
    return (doorbell(delivery_id),) if delivery_id else ()


def sweep(session: Session) -> None:
    """Forget what is older than the log remembers. A UUIDv7 begins with its time, so ids stand for ages."""
    oldest_ms = int((datetime.now(UTC) - KEPT).timestamp() * 1000)
    old = select(WebhookDelivery.id).where(WebhookDelivery.id < uuid.UUID(int=oldest_ms << 80))
    ended = old.where(WebhookDelivery.state.not_in(UNFINISHED)).order_by(WebhookDelivery.id).limit(SWEPT_AT_ONCE)
    session.execute(delete(WebhookDelivery).where(WebhookDelivery.id.in_(ended)))


# ---- the log


def get(session: Session, owner_id: uuid.UUID, delivery_id: uuid.UUID) -> WebhookDelivery:
    """One of this owner's deliveries. Raises NotFound, also for another owner's."""
    query = select(WebhookDelivery).where(WebhookDelivery.id == delivery_id, WebhookDelivery.owner_id == owner_id)
    row = session.scalars(query).one_or_none()
    if row is None:
        raise NotFound("There is no such delivery.")
    return row


def attempts(session: Session, delivery_id: uuid.UUID) -> Sequence[WebhookAttempt]:
    """All finished attempts of a delivery, in order."""
    query = select(WebhookAttempt).where(WebhookAttempt.delivery_id == delivery_id)
    return session.scalars(query.order_by(WebhookAttempt.attempt)).all()


def page(
    session: Session,
    owner_id: uuid.UUID,
    *,
    limit: int,
    before: uuid.UUID | None = None,
    endpoint_id: uuid.UUID | None = None,
    job_id: uuid.UUID | None = None,
    state: DeliveryState | None = None,
) -> tuple[Sequence[WebhookDelivery], uuid.UUID | None]:
    """This owner's deliveries, newest first, and the id to pass as `before` for the next page (None at the end)."""
    query = select(WebhookDelivery).where(WebhookDelivery.owner_id == owner_id)
    if endpoint_id:
        query = query.where(WebhookDelivery.endpoint_id == endpoint_id)
    if job_id:
        query = query.where(WebhookDelivery.job_id == job_id)
    if state:
        query = query.where(WebhookDelivery.state == state)
    if before:
        query = query.where(WebhookDelivery.id < before)
    rows = session.scalars(query.order_by(WebhookDelivery.id.desc()).limit(limit + 1)).all()
    return rows[:limit], rows[limit - 1].id if len(rows) > limit else None


def replay(session: Session, owner_id: uuid.UUID, delivery_id: uuid.UUID) -> tuple[WebhookDelivery, Ring]:
    """Have a delivery sent now, under its id, whatever became of it. One that is being sent right now stays as it is.

    Raises NotFound, and WrongState when its endpoint is disabled.
    """
    row = get(session, owner_id, delivery_id)
    if row.endpoint_id:
        check_enabled(session.get_one(WebhookEndpoint, row.endpoint_id))
    session.refresh(row, with_for_update=True)
    if row.state != DeliveryState.SENDING:
        row.state, row.next_at = DeliveryState.PENDING, func.now()
        session.flush()
    return row, doorbell(row.id)
