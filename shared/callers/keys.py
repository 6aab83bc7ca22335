"""API keys: made, looked up, revoked. Only a SHA-256 is stored; the key itself is shown once."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from sqlalchemy import and_, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from shared.callers.key_strength import weakness
from shared.callers.limits import Limits
from shared.db import Query, first_row
from shared.errors import InvalidRequest, NotFound, Unauthorized
from shared.models import ApiKey

SCOPES = ("transcribe", "admin")
KEY_BYTES = 32
"""256 random bits: a plain SHA-256 is enough to store such a key, there is nothing to guess."""

PUBLIC_BYTES = 4
"""Each made key begins with an id of its own, which is no part of the secret: it is shown in lists."""

FINGERPRINT_CHARS = 12
"""Of the SHA-256, by which a key is told from others that was chosen by hand: nothing of it may be shown."""

ENVIRONMENT_NAME = "first key"
ENVIRONMENT_LOCK = 0x50524B59
"""Advisory lock of whoever makes the environment's key valid."""


COLUMNS = ", ".join(("k.id", "k.name", "k.scopes", *(f"k.{field.name}" for field in fields(Limits))))
"""Of the table `api_keys k`, as `caller` takes them."""

WIDTH = COLUMNS.count(",") + 1

IS_VALID = "k.digest = %(digest)s AND k.revoked_at IS NULL"

IS_SIGNED_IN = (
    "k.id = (SELECT owner_id FROM browser_sessions WHERE digest = %(digest)s AND expires_at > now())"
    " AND k.revoked_at IS NULL"
)
"""The same of a key that a session stands for: shared/callers/browser_sessions.py."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking."""

    id: uuid.UUID
    name: str
    scopes: frozenset[str]
    limits: Limits


def is_valid(key: str) -> str:
    """The condition by which a key, or the token of a session, is found under its digest."""
    return IS_SIGNED_IN if key.startswith("~") else IS_VALID


def digest(key: str) -> str:
    """What is stored of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


def create(
    session: Session, name: str, scopes: tuple[str, ...] = ("transcribe",), limits: Limits | None = None
) -> tuple[ApiKey, str]:
    """A new key: its row and the key itself, which cannot be retrieved later."""
    if not scopes or not set(scopes) <= set(SCOPES):
        raise InvalidRequest(f"scopes are {', '.join(SCOPES)}", parameter="scopes")
    public = f"pk_{secrets.token_hex(PUBLIC_BYTES)}_"
    key = public + secrets.token_urlsafe(KEY_BYTES)
    row = ApiKey(
        name=name,
        prefix=public,
        digest=digest(key),
        scopes=list(scopes),
        from_environment=False,
        **asdict(limits or Limits()),
    )
    session.add(row)
    session.flush()
    return row, key


def fingerprint(key_digest: str) -> str:
    """What lists show of a key that was chosen by hand: the beginning of its SHA-256."""
    return f"sha256:{key_digest[:FINGERPRINT_CHARS]}"


def bootstrap(session: Session, key: str) -> bool:
    """Make the environment's key (`API_KEY`) valid, with all scopes, and its earlier values invalid, at once.

    Of several gateways that start with different values the last one's is valid. False when an administrator has
    revoked this very key: it stays invalid. Raises InvalidRequest for a key that is easily guessed.
    """
    if reason := weakness(key):
        raise InvalidRequest(f"API_KEY {reason}")
    session.execute(select(func.pg_advisory_xact_lock(ENVIRONMENT_LOCK)))
    adopt(session)
    key_digest = digest(key)
    row = {"name": ENVIRONMENT_NAME, "prefix": fingerprint(key_digest), "digest": key_digest, "scopes": list(SCOPES)}
    session.execute(
        insert(ApiKey).values(row | {"from_environment": True}).on_conflict_do_nothing(index_elements=["digest"])
    )
    of_environment = (
        update(ApiKey).where(ApiKey.from_environment.is_(True)).execution_options(synchronize_session=False)
    )
    session.execute(
        of_environment.where(ApiKey.digest != key_digest, ApiKey.revoked_at.is_(None)).values(revoked_at=func.now())
    )
    session.execute(of_environment.where(ApiKey.digest == key_digest).values(revoked_at=None))
    return bool(session.scalar(select(ApiKey.revoked_at.is_(None)).where(ApiKey.digest == key_digest)))


def adopt(session: Session) -> None:
    """Mark the keys that 0.1 makes while both releases run, as migration 0006 has marked those before it."""
    is_environments = and_(ApiKey.name == ENVIRONMENT_NAME, ApiKey.scopes == list(SCOPES), ApiKey.revoked_at.is_(None))
    session.execute(
        update(ApiKey)
        .where(ApiKey.from_environment.is_(None))
        .values(
            from_environment=is_environments,
            prefix=func.concat("sha256:", func.left(ApiKey.digest, FINGERPRINT_CHARS)),
        )
        .execution_options(synchronize_session=False)
    )


def authenticate(session: Session, key: str | None) -> Caller:
    """The caller that holds `key`. Raises Unauthorized."""
    if not key:
        return caller(None)
    query = f"SELECT {COLUMNS} FROM api_keys k WHERE {is_valid(key)}"  # noqa: S608 - made of constants
    return caller(first_row(session, Query(query, {"digest": digest(key)})))


def caller(row: Sequence[Any] | None) -> Caller:
    """The caller whose COLUMNS are the first of a row. Raises Unauthorized when there is none."""
    if row is None:
        raise Unauthorized("Send a valid API key as `Authorization: Bearer KEY` or `X-API-Key: KEY`.")
    key_id, name, scopes, *limits = row[:WIDTH]
    return Caller(key_id, name, frozenset(scopes), Limits(*limits))


def revoked(session: Session, key_ids: Sequence[uuid.UUID]) -> set[uuid.UUID]:
    """Those of the keys that are not valid any more."""
    return set(session.scalars(select(ApiKey.id).where(ApiKey.id.in_(key_ids), ApiKey.revoked_at.is_not(None))))


def page(session: Session, *, limit: int, before: uuid.UUID | None = None) -> tuple[Sequence[ApiKey], uuid.UUID | None]:
    """All keys, newest first, and the id to pass as `before` for the next page (None at the end)."""
    query = select(ApiKey).order_by(ApiKey.id.desc()).limit(limit + 1)
    if before:
        query = query.where(ApiKey.id < before)
    rows = session.scalars(query).all()
    return rows[:limit], rows[limit - 1].id if len(rows) > limit else None


def change_limits(session: Session, key_id: uuid.UUID, changes: Mapping[str, int | None]) -> ApiKey:
    """Set some limits of a key; the others stay. They hold for its next request. Raises NotFound."""
    row = session.get(ApiKey, key_id, with_for_update={"key_share": True})
    if row is None:
        raise NotFound("There is no such key.")
    for name, value in changes.items():
        setattr(row, name, value)
    session.flush()
    return row


def revoke(session: Session, key_id: uuid.UUID) -> None:
    """Make a key invalid at once and for good, the environment's as well. What it owns stays."""
    result = session.execute(
        update(ApiKey)
        .where(ApiKey.id == key_id, ApiKey.revoked_at.is_(None))
        .values(revoked_at=func.now(), from_environment=False)
    )
    if not result.rowcount:  # type: ignore[attr-defined]
        raise NotFound("There is no such key.")
