"""Sessions of browsers: a cookie stands for a key, so that no script has to hold it. Only a SHA-256 is stored.

A session is rotated by its page: the cookie gets another value, and the one before is valid for some seconds more, for
requests that are on their way. It ends after LIFETIME without that, after LONGEST in any case, when somebody signs out,
and with its key.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import uuid
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from shared.callers import keys
from shared.errors import Unauthorized
from shared.models import BrowserSession

TOKEN = re.compile(r"~[A-Za-z0-9_-]{43}", re.ASCII)
"""No key looks like this: keys.py tells the two by it, and a token in a header of a key is none."""

LIFETIME, LONGEST = timedelta(hours=12), timedelta(days=7)
GRACE = timedelta(seconds=30)

MOST = 50
"""Of one key. One more, and the oldest ends."""


def csrf_token(token: str) -> str:
    """What a page shows with a call that changes something: who can only have the cookie sent does not know it."""
    return hashlib.sha256(f"csrf {token}".encode()).hexdigest()


def is_csrf_token(token: str, guess: str) -> bool:
    """Whether this is it. `guess` is whatever a client has sent; as bytes, because no other text can be compared."""
    return hmac.compare_digest(csrf_token(token).encode(), guess.encode())


def begin(work: Session, owner_id: uuid.UUID) -> tuple[str, BrowserSession]:
    """A new session of a key, and its token."""
    now = work.execute(select(func.now())).scalar_one()
    newest = select(BrowserSession.digest).where(BrowserSession.owner_id == owner_id)
    newest = newest.order_by(BrowserSession.created_at.desc()).limit(MOST - 1)
    work.execute(
        delete(BrowserSession).where(BrowserSession.owner_id == owner_id, BrowserSession.digest.not_in(newest))
    )
    return _new(work, owner_id, uuid7(), now, now)


def rotate(work: Session, token: str) -> tuple[str, BrowserSession]:
    """The same session under another token. Raises Unauthorized, also for one that was rotated before."""
    now = work.execute(select(func.now())).scalar_one()
    conditions = (BrowserSession.digest == keys.digest(token), BrowserSession.expires_at > now)
    row = work.scalars(select(BrowserSession).where(*conditions).with_for_update()).one_or_none()
    if row is None or row.is_rotated:
        raise Unauthorized("This session has ended, or was renewed already.")
    row.is_rotated = True
    row.expires_at = min(row.expires_at, now + GRACE)
    return _new(work, row.owner_id, row.family, row.began_at, now)


def end(work: Session, token: str) -> None:
    """Sign out, under every token that the session has had."""
    family = select(BrowserSession.family).where(BrowserSession.digest == keys.digest(token)).scalar_subquery()
    work.execute(delete(BrowserSession).where(BrowserSession.family == family))


def family(work: Session, token: str) -> uuid.UUID:
    """What all tokens of the session have in common. Raises Unauthorized."""
    family_id = work.scalar(select(BrowserSession.family).where(BrowserSession.digest == keys.digest(token)))
    if family_id is None:
        raise Unauthorized("This session has ended.")
    return family_id


def check(work: Session, family: uuid.UUID) -> None:
    """Raises Unauthorized when the session has ended under each of its tokens."""
    tokens = select(BrowserSession.digest).where(
        BrowserSession.family == family, BrowserSession.expires_at > func.now()
    )
    if work.scalar(tokens.limit(1)) is None:
        raise Unauthorized("This session has ended.")


def expiry(work: Session, token: str) -> datetime:
    """When the session ends unless it is rotated. Raises Unauthorized."""
    moment = work.scalar(select(BrowserSession.expires_at).where(BrowserSession.digest == keys.digest(token)))
    if moment is None:
        raise Unauthorized("This session has ended.")
    return moment


def sweep(work: Session) -> None:
    """Forget sessions that are over."""
    work.execute(delete(BrowserSession).where(BrowserSession.expires_at < func.now()))


def _new(
    work: Session, owner_id: uuid.UUID, family: uuid.UUID, began_at: datetime, now: datetime
) -> tuple[str, BrowserSession]:
    token = "~" + secrets.token_urlsafe(keys.KEY_BYTES)
    row = BrowserSession(
        digest=keys.digest(token),
        owner_id=owner_id,
        family=family,
        began_at=began_at,
        expires_at=min(now + LIFETIME, began_at + LONGEST),
        is_rotated=False,
    )
    work.add(row)
    work.flush()
    return token, row
