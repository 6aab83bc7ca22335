"""API keys: made, looked up, revoked. Only a SHA-256 is stored; the key itself is shown once."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from shared.errors import InvalidRequest, NotFound, Unauthorized
from shared.limits import Limits
from shared.models import ApiKey

SCOPES = ("transcribe", "admin")
KEY_BYTES = 32
"""256 random bits: a plain SHA-256 is enough to store such a key, there is nothing to guess."""

PREFIX_CHARS = 12
MIN_GIVEN_CHARS = 24
"""Shortest key that `API_KEY` may set by hand; 24 characters of base64 hold 144 bits, of hex 96."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking."""

    id: uuid.UUID
    name: str
    scopes: frozenset[str]
    limits: Limits


def digest(key: str) -> str:
    """What is stored of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


def create(
    session: Session, name: str, scopes: tuple[str, ...] = ("transcribe",), limits: Limits | None = None
) -> tuple[ApiKey, str]:
    """A new key: its row and the key itself, which is not to be had again."""
    if not scopes or not set(scopes) <= set(SCOPES):
        raise InvalidRequest(f"scopes are {', '.join(SCOPES)}", parameter="scopes")
    key = "pk_" + secrets.token_urlsafe(KEY_BYTES)
    row = ApiKey(
        name=name, prefix=key[:PREFIX_CHARS], digest=digest(key), scopes=list(scopes), **asdict(limits or Limits())
    )
    session.add(row)
    session.flush()
    return row, key


def bootstrap(session: Session, key: str) -> None:
    """Make the operator's own key (`API_KEY`) valid, with all scopes. Safe to repeat and to run twice at once."""
    if len(key) < MIN_GIVEN_CHARS:
        raise InvalidRequest(f"API_KEY is shorter than {MIN_GIVEN_CHARS} characters")
    row = {"name": "first key", "prefix": key[:PREFIX_CHARS], "digest": digest(key), "scopes": list(SCOPES)}
    session.execute(insert(ApiKey).values(row).on_conflict_do_nothing(index_elements=["digest"]))


def authenticate(session: Session, key: str | None) -> Caller:
    """The caller that holds `key`. Raises Unauthorized."""
    if key:
        found = session.scalars(
            select(ApiKey).where(ApiKey.digest == digest(key), ApiKey.revoked_at.is_(None))
        ).one_or_none()
        if found:
            return Caller(found.id, found.name, frozenset(found.scopes), Limits.of(found))
    raise Unauthorized("Send a valid API key as `Authorization: Bearer KEY` or `X-API-Key: KEY`.")


def page(session: Session, *, limit: int, before: uuid.UUID | None = None) -> tuple[Sequence[ApiKey], uuid.UUID | None]:
    """All keys, newest first, and the id to pass as `before` for the next page (None at the end)."""
    wanted = select(ApiKey).order_by(ApiKey.id.desc()).limit(limit + 1)
    if before:
        wanted = wanted.where(ApiKey.id < before)
    rows = session.scalars(wanted).all()
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
    """Make a key invalid at once. What it owns stays."""
    done = session.execute(
        update(ApiKey).where(ApiKey.id == key_id, ApiKey.revoked_at.is_(None)).values(revoked_at=func.now())
    )
    if not done.rowcount:  # type: ignore[attr-defined]
        raise NotFound("There is no such key.")
