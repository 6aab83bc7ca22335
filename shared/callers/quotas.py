"""What one API key may keep here: uploads that are open, bytes, webhooks that wait. None is unlimited by default.

Each check counts within the transaction that adds something, behind a lock of the key, so that fifty requests at once
do not pass a limit together. It comes last in the transaction: whoever holds the lock waits for nobody. What is deleted
is free in the same moment, as it is counted and not booked.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from shared.callers import keys
from shared.callers.limits import Limits
from shared.config import Settings
from shared.db import Query, first_row
from shared.errors import (
    RateLimited,
    StorageQuotaExceeded,
    TooManyDeliveries,
    TooManyUploads,
    Unauthorized,
)
from shared.models import (
    Job,
    KeyStorage,
    StorageChange,
    WebhookEndpoint,
    WebhookTestMinute,
)
from shared.states import TERMINAL, JobState

# ruff: noqa: S608 - the texts are made of names in this package; values are parameters
LOCKS = 7_275_542
"""Advisory locks of keys; any constant that nothing else has."""

FOLDED_AT_ONCE = 10_000
LIVE = [state for state in JobState if state not in TERMINAL]

RETRY_AFTER_S = 60
"""Uploads are finished and receivers come back within minutes, if at all."""


@dataclass(frozen=True, slots=True)
class Quota:
    """What a key uses of one limit. A `limit` of 0 is none."""

    used: int
    limit: int


@dataclass(frozen=True, slots=True)
class Usage:
    """What a key uses of its quotas: open uploads and their bytes, bytes in storage, webhooks that wait.

    has_webhooks : whether it has an endpoint that is told of its tasks
    """

    open_uploads: int
    announced_bytes: int
    stored_bytes: int
    waiting_deliveries: int
    has_webhooks: bool


_OPEN_UPLOADS = "FROM uploads WHERE owner_id = k.id AND state <> 'complete' AND expires_at > now()"
_ANNOUNCED = f"(SELECT coalesce(sum(bytes), 0)::bigint {_OPEN_UPLOADS})"
_STORED = """
    coalesce((SELECT bytes FROM key_storage WHERE owner_id = k.id), 0)
        + coalesce((SELECT sum(bytes)::bigint FROM storage_changes WHERE owner_id = k.id), 0)
        + coalesce((SELECT sum(bytes)::bigint FROM live_sessions WHERE owner_id = k.id AND has_chunks), 0)
"""
_LISTENS = "EXISTS (SELECT FROM webhook_endpoints WHERE owner_id = k.id AND disabled_at IS NULL)"
COLUMNS = f"""
    (SELECT count(*) {_OPEN_UPLOADS}),
    {_ANNOUNCED}, {_STORED},
    (SELECT count(*) FROM webhook_deliveries WHERE owner_id = k.id AND state IN ('pending', 'sending')),
    {_LISTENS}
"""
"""Of the table `api_keys k`, as `Usage` takes them. In one statement, as the sweep moves bytes between two tables.
Those of live sessions are in PostgreSQL until they are a recording."""

LEEWAY_BYTES = 4 * 1024**3
FAR_BYTES = LEEWAY_BYTES // 128
"""What a key that IS_FAR may add without a lock, and how much each time: 128 such statements may be at work at once."""

IS_FAR = f"""
    NOT {_LISTENS} AND (
        coalesce(k.max_stored_bytes, :max_stored_bytes) = 0
        OR {_STORED} + {_ANNOUNCED} + {LEEWAY_BYTES} <= coalesce(k.max_stored_bytes, :max_stored_bytes)
    )
"""
"""Of the table `api_keys k`: so far from its limits that FAR_BYTES more need no lock, and nobody is to be told. A large
upload that is counted in this very moment may pass the limit by what such statements add. `limits_of` has parameters.
"""


def limits_of(config: Settings) -> dict[str, int]:
    """The parameters of IS_FAR."""
    return {"max_stored_bytes": config.max_stored_bytes}


def of_key(key: str) -> Query:
    """The key, as `keys.caller` takes it, and behind its columns its usage. No row when it is not valid."""
    return Query(
        f"SELECT {keys.COLUMNS}, {COLUMNS} FROM api_keys k WHERE {keys.is_valid(key)}", {"digest": keys.digest(key)}
    )


def of_owner(owner_id: uuid.UUID) -> Query:
    """The same of a key that is known by its id."""
    query = f"SELECT {keys.COLUMNS}, {COLUMNS} FROM api_keys k WHERE k.id = %(id)s AND k.revoked_at IS NULL"
    return Query(query, {"id": owner_id})


def usage(row: Sequence[Any] | None) -> Usage:
    """What a row of `of_key` or `of_owner` says of the usage. Raises Unauthorized when there is none."""
    if row is None:
        raise Unauthorized("The API key has been revoked.")
    return Usage(*row[keys.WIDTH :])


def of(session: Session, owner_id: uuid.UUID) -> Usage:
    """What this key uses now. Raises Unauthorized when it was revoked."""
    return usage(first_row(session, of_owner(owner_id)))


def lock(session: Session, owner_id: uuid.UUID) -> tuple[Limits, Usage]:
    """Wait until nobody else counts for this key; holds until the transaction ends. Gives what holds now.

    Raises Unauthorized when the key has been revoked since it was looked at.
    """
    session.execute(select(func.pg_advisory_xact_lock(LOCKS, func.hashtext(str(owner_id)))))
    row = first_row(session, of_owner(owner_id))
    now = usage(row)
    return keys.caller(row).limits, now


def used(session: Session, owner_id: uuid.UUID, limits: Limits, config: Settings) -> dict[str, Quota]:
    """Everything that a key has quotas of, by the names of the limits."""
    now = of(session, owner_id)
    counts = {
        "max_open_uploads": now.open_uploads,
        "max_announced_bytes": now.announced_bytes,
        "max_stored_bytes": now.stored_bytes,
        "max_waiting_deliveries": now.waiting_deliveries,
        "webhook_tests_per_minute": _tests(session, owner_id),
    }
    return {name: Quota(number, limits.value(name, config)) for name, number in counts.items()}


def check_uploads(session: Session, owner_id: uuid.UUID, config: Settings) -> None:
    """Call when an upload has been added, its announced bytes with it.

    Raises TooManyUploads, StorageQuotaExceeded and Unauthorized.
    """
    limits, now = lock(session, owner_id)
    if (most := limits.value("max_open_uploads", config)) and now.open_uploads > most:
        raise TooManyUploads(
            f"This API key has {now.open_uploads - 1} open uploads and may have {most}: complete or abort one first.",
            max_open_uploads=most,
            retry_after_s=RETRY_AFTER_S,
        )
    if (most := limits.value("max_announced_bytes", config)) and now.announced_bytes > most:
        raise StorageQuotaExceeded(
            f"With this one the open uploads of this API key would have {now.announced_bytes} bytes; "
            f"they may have {most}.",
            max_announced_bytes=most,
        )
    _check_stored(limits, now, config)


def check_stored(session: Session, owner_id: uuid.UUID, config: Settings) -> Usage:
    """Call when a recording has been added. Raises StorageQuotaExceeded and Unauthorized."""
    limits, now = lock(session, owner_id)
    _check_stored(limits, now, config)
    return now


def check_door(now: Usage, limits: Limits, config: Settings, size: int) -> None:
    """Whether a key that is about to send so many bytes has room for them now, and for what it will be told.

    Raises StorageQuotaExceeded and TooManyDeliveries. It is but a look: what is added is checked when it is.
    """
    _check_stored(limits, now, config, size)
    if (most := limits.value("max_waiting_deliveries", config)) and now.waiting_deliveries >= most:
        raise _too_many_deliveries(most)


def check_deliveries(session: Session, owner_id: uuid.UUID, config: Settings) -> None:
    """Call when tasks, endpoints or deliveries have been added. Those of tasks that are to be told of count already.

    Raises TooManyDeliveries and Unauthorized.
    """
    limits, now = lock(session, owner_id)
    if most := limits.value("max_waiting_deliveries", config):
        listening = (WebhookEndpoint.owner_id == owner_id, WebhookEndpoint.disabled_at.is_(None))
        endpoints = session.scalar(select(func.count()).where(*listening)) or 0
        live = select(func.count(), func.count(Job.webhook_url)).where(Job.owner_id == owner_id, Job.state.in_(LIVE))
        tasks, named = session.execute(live).one()
        if now.waiting_deliveries + tasks * endpoints + named > most:
            raise _too_many_deliveries(most)


def has_webhooks(session: Session, owner_id: uuid.UUID) -> bool:
    """Whether a key has an endpoint that is told of its tasks."""
    return of(session, owner_id).has_webhooks


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
    changes = (
        delete(StorageChange)
        .where(StorageChange.id.in_(old))
        .returning(StorageChange.owner_id, StorageChange.bytes)
        .cte("gone")
    )
    summed = (
        select(changes.c.owner_id, func.sum(changes.c.bytes)).group_by(changes.c.owner_id).order_by(changes.c.owner_id)
    )
    folded = insert(KeyStorage).from_select(["owner_id", "bytes"], summed)
    session.execute(
        folded.on_conflict_do_update(
            index_elements=["owner_id"], set_={"bytes": KeyStorage.bytes + folded.excluded.bytes}
        )
    )
    session.execute(delete(WebhookTestMinute).where(WebhookTestMinute.minute < func.now() - timedelta(hours=1)))


def _check_stored(limits: Limits, now: Usage, config: Settings, more: int = 0) -> None:
    most = limits.value("max_stored_bytes", config)
    if most and (total := now.stored_bytes + now.announced_bytes + more) > most:
        raise StorageQuotaExceeded(
            f"This API key would have {total} bytes in storage, with those announced, and may have {most}: "
            "delete tasks or uploads first.",
            max_stored_bytes=most,
        )


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
