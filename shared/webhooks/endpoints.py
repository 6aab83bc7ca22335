"""The addresses that a key has its events sent to, and the secrets that deliveries are signed with.

An endpoint has a secret of its own; what goes to the `webhook_url` of a request is signed with the key's. Secrets are
stored as they are: whoever signs needs them.
"""

from __future__ import annotations

import base64
import secrets
import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.orm import Session

from shared.errors import InvalidRequest, NotFound, WrongState
from shared.models import ApiKey, WebhookDelivery, WebhookEndpoint, WebhookSecret
from shared.webhooks.outbox import DeliveryState, Event

MAX_ENDPOINTS = 20
"""Per key: every event is copied to each of them, within the transaction that ends a task."""

SECRET_BYTES = 32
"""Standard Webhooks asks for 24 to 64 random bytes; a longer key than SHA-256's digest adds nothing to an HMAC."""

OVERLAP = timedelta(hours=24)
"""How long the secret before the last rotation goes on signing, beside the new one."""

SWITCHED_OFF = "Switched off by its owner."


def create(
    session: Session, owner_id: uuid.UUID, url: str, events: Iterable[Event], description: str | None
) -> tuple[WebhookEndpoint, WebhookSecret]:
    """A new endpoint and its secret. `url` is in normal form. Raises InvalidRequest when the key has too many."""
    count = select(func.count()).where(WebhookEndpoint.owner_id == owner_id)
    if (session.scalar(count) or 0) >= MAX_ENDPOINTS:
        raise InvalidRequest(f"An API key can have {MAX_ENDPOINTS} endpoints; delete one first.")
    endpoint = WebhookEndpoint(owner_id=owner_id, url=url, events=_in_order(events), description=description)
    session.add(endpoint)
    session.flush()
    return endpoint, _new_secret(session, owner_id, endpoint.id)


def get(session: Session, owner_id: uuid.UUID, endpoint_id: uuid.UUID, *, lock: bool = False) -> WebhookEndpoint:
    """One of this owner's endpoints. Raises NotFound, also for another owner's."""
    query = select(WebhookEndpoint).where(WebhookEndpoint.id == endpoint_id, WebhookEndpoint.owner_id == owner_id)
    row = session.scalars(query.with_for_update(key_share=True) if lock else query).one_or_none()
    if row is None:
        raise NotFound("There is no such endpoint.")
    return row


def listing(session: Session, owner_id: uuid.UUID) -> Sequence[WebhookEndpoint]:
    """All of this owner's endpoints, newest first."""
    query = select(WebhookEndpoint).where(WebhookEndpoint.owner_id == owner_id)
    return session.scalars(query.order_by(WebhookEndpoint.id.desc())).all()


def change(
    session: Session,
    endpoint: WebhookEndpoint,
    *,
    url: str | None = None,
    events: Iterable[Event] | None = None,
    description: str | None = None,
    enabled: bool | None = None,
) -> None:
    """Set what is given. `endpoint` is locked. What is still to be sent goes to the new URL."""
    endpoint.url = url or endpoint.url
    endpoint.description = endpoint.description if description is None else description or None
    if events is not None:
        endpoint.events = _in_order(events)
    if enabled:
        endpoint.disabled_at = endpoint.disabled_reason = None
    elif enabled is False and endpoint.disabled_at is None:
        disable(session, endpoint, SWITCHED_OFF)
    session.flush()


def disable(session: Session, endpoint: WebhookEndpoint, reason: str) -> None:
    """Send it nothing any more, neither what happens nor what waits. `endpoint` is locked, before any delivery is."""
    endpoint.disabled_at, endpoint.disabled_reason = func.now(), reason
    session.flush()
    waiting = (WebhookDelivery.endpoint_id == endpoint.id, WebhookDelivery.state == DeliveryState.PENDING)
    session.execute(
        update(WebhookDelivery)
        .where(*waiting)
        .values(state=DeliveryState.FAILED, next_at=None)
        .execution_options(synchronize_session=False)
    )


def check_enabled(endpoint: WebhookEndpoint) -> None:
    """Raises WrongState when the endpoint is sent nothing."""
    if endpoint.disabled_at is not None:
        raise WrongState("The endpoint is disabled; enable it first.", endpoint_id=str(endpoint.id))


def remove(session: Session, endpoint: WebhookEndpoint) -> None:
    """Delete an endpoint with its secrets and its part of the log."""
    session.delete(endpoint)
    session.flush()


# ---- secrets


def secret(session: Session, owner_id: uuid.UUID) -> WebhookSecret:
    """The current secret of a key's `webhook_url` requests, made when it is first asked for."""
    row = _current(session, owner_id, None)
    if row is None:
        _lock_key(session, owner_id)  # two that ask at once get the same one
        row = _current(session, owner_id, None) or _new_secret(session, owner_id, None)
    return row


def signing(session: Session, owner_id: uuid.UUID, endpoint_id: uuid.UUID | None) -> list[str]:
    """The secrets that a delivery is signed with now, newest first."""
    if endpoint_id is None:
        secret(session, owner_id)
    valid = WebhookSecret.expires_at.is_(None) | (WebhookSecret.expires_at > func.now())
    query = select(WebhookSecret.secret).where(*_of(owner_id, endpoint_id), valid)
    return list(session.scalars(query.order_by(WebhookSecret.id.desc())))


def rotate(session: Session, owner_id: uuid.UUID, endpoint_id: uuid.UUID | None) -> tuple[WebhookSecret, datetime]:
    """A new secret, and until when the one before signs as well.

    The one before that is void at once: who rotates twice is rid of a secret that leaked.
    """
    if endpoint_id is None:
        _lock_key(session, owner_id)
    else:
        get(session, owner_id, endpoint_id, lock=True)
    conditions = _of(owner_id, endpoint_id)
    session.execute(delete(WebhookSecret).where(*conditions, WebhookSecret.expires_at.is_not(None)))
    session.execute(
        update(WebhookSecret)
        .where(*conditions)
        .values(expires_at=func.now() + OVERLAP)
        .execution_options(synchronize_session=False)
    )
    row = _new_secret(session, owner_id, endpoint_id)
    return row, row.created_at + OVERLAP


def sweep(session: Session) -> None:
    """Forget secrets that sign nothing any more."""
    session.execute(delete(WebhookSecret).where(WebhookSecret.expires_at < func.now()))


def _of(owner_id: uuid.UUID, endpoint_id: uuid.UUID | None) -> tuple[ColumnElement[bool], ...]:
    return WebhookSecret.owner_id == owner_id, WebhookSecret.endpoint_id.is_not_distinct_from(endpoint_id)


def _current(session: Session, owner_id: uuid.UUID, endpoint_id: uuid.UUID | None) -> WebhookSecret | None:
    query = select(WebhookSecret).where(*_of(owner_id, endpoint_id), WebhookSecret.expires_at.is_(None))
    return session.scalars(query).one_or_none()


def _new_secret(session: Session, owner_id: uuid.UUID, endpoint_id: uuid.UUID | None) -> WebhookSecret:
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
    row = WebhookSecret(owner_id=owner_id, endpoint_id=endpoint_id, secret=secret)
    session.add(row)
    session.flush()
    return row


def _lock_key(session: Session, owner_id: uuid.UUID) -> None:
    session.execute(select(ApiKey.id).where(ApiKey.id == owner_id).with_for_update(key_share=True))


def _in_order(events: Iterable[Event]) -> list[str]:
    selection = set(events)
    return [str(event) for event in Event if event in selection]
