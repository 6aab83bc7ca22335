"""What one API key may keep here: uploads that are open, bytes, webhooks that wait. None is unlimited by default.

Each check counts within the transaction that adds something, behind a lock of the key, so that fifty requests at once
do not pass a limit together. It comes last in the transaction: whoever holds the lock waits for nobody. What is deleted
is free in the same moment, as it is counted and not booked.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, func, literal, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from shared.callers.limits import Limits
from shared.config import Settings
from shared.errors import (
    RateLimited,
    StorageQuotaExceeded,
    TooManyDeliveries,
    TooManyUploads,
    Unauthorized,
)
from shared.models import (
    ApiKey,
    Job,
    KeyStorage,
    StorageChange,
    Upload,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookTestMinute,
)
from shared.states import TERMINAL, JobState

LOCKS = 7_275_542
"""Advisory locks of keys; any constant that nothing else has."""

FOLDED_AT_ONCE = 10_000
UNFINISHED = ("pending", "sending")
LIVE = [state for state in JobState if state not in TERMINAL]

RETRY_AFTER_S = 60
"""Uploads are finished and receivers come back within minutes, if at all."""


@dataclass(frozen=True, slots=True)
class Quota:
    """What a key uses of one limit. A `limit` of 0 is none."""

    used: int
    limit: int


def lock(session: Session, owner_id: uuid.UUID) -> Limits:
    """Wait until nobody else counts for this key; holds until the transaction ends. Gives the limits that hold now.

    Raises Unauthorized when the key has been revoked since it was looked at.
    """
    session.execute(select(func.pg_advisory_xact_lock(LOCKS, func.hashtext(str(owner_id)))))
    row = session.scalars(
        select(ApiKey).where(ApiKey.id == owner_id).execution_options(populate_existing=True)
    ).one_or_none()
    if row is None or row.revoked_at is not None:
        raise Unauthorized("The API key has been revoked.")
    return Limits.of(row)


def used(session: Session, owner_id: uuid.UUID, limits: Limits, config: Settings) -> dict[str, Quota]:
    """Everything that a key has quotas of, by the names of the limits."""
    count, announced = _announced(session, owner_id)
    counts = {
        "max_open_uploads": count,
        "max_announced_bytes": announced,
        "max_stored_bytes": _stored(session, owner_id),
        "max_waiting_deliveries": _waiting(session, owner_id),
        "webhook_tests_per_minute": _tests(session, owner_id),
    }
    return {name: Quota(number, limits.value(name, config)) for name, number in counts.items()}


def check_uploads(session: Session, owner_id: uuid.UUID, config: Settings) -> None:
    """Call when an upload has been added, its announced bytes with it.

    Raises TooManyUploads, StorageQuotaExceeded and Unauthorized.
    """
    limits = lock(session, owner_id)
    count, announced = _announced(session, owner_id)
    if (most := limits.value("max_open_uploads", config)) and count > most:
        raise TooManyUploads(
            f"This API key has {count - 1} open uploads and may have {most}: complete or abort one first.",
            max_open_uploads=most,
            retry_after_s=RETRY_AFTER_S,
        )
    if (most := limits.value("max_announced_bytes", config)) and announced > most:
        raise StorageQuotaExceeded(
            f"With this one the open uploads of this API key would have {announced} bytes; they may have {most}.",
            max_announced_bytes=most,
        )
    _check_stored(session, owner_id, limits, config, announced)


def check_stored(session: Session, owner_id: uuid.UUID, config: Settings) -> None:
    """Call when a recording has been added. Raises StorageQuotaExceeded and Unauthorized."""
    limits = lock(session, owner_id)
    _check_stored(session, owner_id, limits, config, _announced(session, owner_id)[1])


def check_door(session: Session, owner_id: uuid.UUID, limits: Limits, config: Settings, size: int) -> None:
    """Whether a key that is about to send so many bytes has room for them now, and for what it will be told.

    Raises StorageQuotaExceeded and TooManyDeliveries. It is but a look: what is added is checked when it is.
    """
    if limits.value("max_stored_bytes", config):
        _check_stored(session, owner_id, limits, config, _announced(session, owner_id)[1] + size)
    if (most := limits.value("max_waiting_deliveries", config)) and _waiting(session, owner_id) >= most:
        raise _too_many_deliveries(most)


def check_deliveries(session: Session, owner_id: uuid.UUID, config: Settings) -> None:
    """Call when tasks, endpoints or deliveries have been added. Those of tasks that are to be told of count already.

    Raises TooManyDeliveries and Unauthorized.
    """
    limits = lock(session, owner_id)
    if most := limits.value("max_waiting_deliveries", config):
        listening = (WebhookEndpoint.owner_id == owner_id, WebhookEndpoint.disabled_at.is_(None))
        endpoints = session.scalar(select(func.count()).where(*listening)) or 0
        live = select(func.count(), func.count(Job.webhook_url)).where(Job.owner_id == owner_id, Job.state.in_(LIVE))
        tasks, named = session.execute(live).one()
        if _waiting(session, owner_id) + tasks * endpoints + named > most:
            raise _too_many_deliveries(most)


def has_webhooks(session: Session, owner_id: uuid.UUID) -> bool:
    """Whether a key has an endpoint that is told of its tasks."""
    endpoints = select(WebhookEndpoint.id).where(
        WebhookEndpoint.owner_id == owner_id, WebhookEndpoint.disabled_at.is_(None)
    )
    return session.scalar(endpoints.limit(1)) is not None


def spend_test(session: Session, owner_id: uuid.UUID, limits: Limits, config: Settings) -> None:
    """Count a test or a replay of a webhook: each is a request to an address of the key's choice.

    Raises RateLimited.
    """
    most = limits.value("webhook_tests_per_minute", config)
    if not most:
        return
    minute = func.date_trunc("minute", func.now())
    statement = insert(WebhookTestMinute).values(owner_id=owner_id, minute=minute, tests=1)
    counted = statement.on_conflict_do_update(
        index_elements=["owner_id", "minute"],
        set_={"tests": WebhookTestMinute.tests + 1},
        where=WebhookTestMinute.tests < most,
    )
    if session.scalar(counted.returning(WebhookTestMinute.tests)) is None:
        left_s = session.scalar(select(60 - func.floor(func.extract("second", func.now()))))
        raise RateLimited(
            f"This API key may have {most} webhooks tested or sent again per minute.",
            webhook_tests_per_minute=most,
            retry_after_s=int(left_s or 60),
        )


def sweep(session: Session) -> None:
    """Add up what has been stored and removed, and forget minutes that are over."""
    old = select(StorageChange.id).order_by(StorageChange.id).limit(FOLDED_AT_ONCE).with_for_update(skip_locked=True)
    gone = (
        delete(StorageChange)
        .where(StorageChange.id.in_(old))
        .returning(StorageChange.owner_id, StorageChange.bytes)
        .cte("gone")
    )
    summed = select(gone.c.owner_id, func.sum(gone.c.bytes)).group_by(gone.c.owner_id).order_by(gone.c.owner_id)
    folded = insert(KeyStorage).from_select(["owner_id", "bytes"], summed)
    session.execute(
        folded.on_conflict_do_update(
            index_elements=["owner_id"], set_={"bytes": KeyStorage.bytes + folded.excluded.bytes}
        )
    )
    session.execute(delete(WebhookTestMinute).where(WebhookTestMinute.minute < func.now() - timedelta(hours=1)))


def _check_stored(session: Session, owner_id: uuid.UUID, limits: Limits, config: Settings, more: int) -> None:
    most = limits.value("max_stored_bytes", config)
    if most and (total := _stored(session, owner_id) + more) > most:
        raise StorageQuotaExceeded(
            f"This API key would have {total} bytes in storage, with those announced, and may have {most}: "
            "delete tasks or uploads first.",
            max_stored_bytes=most,
        )


def _stored(session: Session, owner_id: uuid.UUID) -> int:
    """In one statement, as the sweep moves bytes from one table to the other."""
    summed = select(KeyStorage.bytes).where(KeyStorage.owner_id == owner_id).scalar_subquery()
    changed = select(func.sum(StorageChange.bytes)).where(StorageChange.owner_id == owner_id).scalar_subquery()
    total = session.scalar(select(func.coalesce(summed, literal(0)) + func.coalesce(changed, literal(0))))
    return int(total or 0)


def _announced(session: Session, owner_id: uuid.UUID) -> tuple[int, int]:
    """Open uploads, and their bytes."""
    conditions = (Upload.owner_id == owner_id, Upload.state != "complete", Upload.expires_at > func.now())
    count, total = session.execute(
        select(func.count(), func.coalesce(func.sum(Upload.bytes), 0)).where(*conditions)
    ).one()
    return count, int(total)


def _waiting(session: Session, owner_id: uuid.UUID) -> int:
    conditions = (WebhookDelivery.owner_id == owner_id, WebhookDelivery.state.in_(UNFINISHED))
    return session.scalar(select(func.count()).where(*conditions)) or 0


def _tests(session: Session, owner_id: uuid.UUID) -> int:
    minute = func.date_trunc("minute", func.now())
    conditions = (WebhookTestMinute.owner_id == owner_id, WebhookTestMinute.minute == minute)
    return session.scalar(select(WebhookTestMinute.tests).where(*conditions)) or 0


def _too_many_deliveries(most: int) -> TooManyDeliveries:
    return TooManyDeliveries(
        f"This API key may have {most} webhooks waiting, with those of its unfinished tasks.",
        max_waiting_deliveries=most,
        retry_after_s=RETRY_AFTER_S,
    )
