"""Links that show one task to whoever has them, until they expire. Only a SHA-256 of a link's secret is stored."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from shared.callers import keys
from shared.callers.keys import Caller
from shared.db import Query, first_row
from shared.errors import NotFound, TooManyShares
from shared.models import Job, Share

PREFIX = "sh_"
MOST = 100
"""Of one task. Those that have expired do not count."""

# ruff: noqa: S608 - made of constants
_OPEN = f"""
    SELECT {keys.COLUMNS}, s.job_id, s.has_audio, s.expires_at FROM shares s JOIN api_keys k ON k.id = s.owner_id
    WHERE s.digest = %(digest)s AND s.expires_at > now() AND k.revoked_at IS NULL
"""


@dataclass(frozen=True, slots=True)
class OpenShare:
    """What a link shows, and the key whose limits its visitors use."""

    owner: Caller
    job_id: uuid.UUID
    has_audio: bool
    expires_at: datetime


def create(
    work: Session, owner_id: uuid.UUID, job_id: uuid.UUID, *, has_audio: bool, lifetime: timedelta
) -> tuple[str, Share]:
    """A link to a task of this owner: its secret, which cannot be retrieved later, and its row.

    Raises NotFound and TooManyShares.
    """
    own = select(Job.id).where(Job.id == job_id, Job.owner_id == owner_id)
    if work.scalar(own.with_for_update(key_share=True)) is None:
        raise NotFound("There is no such task.")
    work.execute(delete(Share).where(Share.job_id == job_id, Share.expires_at < func.now()))
    if (work.scalar(select(func.count()).where(Share.job_id == job_id)) or 0) >= MOST:
        raise TooManyShares(f"A task may have {MOST} links: revoke one first.", max_shares=MOST)
    token = PREFIX + secrets.token_urlsafe(keys.KEY_BYTES)
    now = work.execute(select(func.now())).scalar_one()
    row = Share(
        digest=keys.digest(token),
        job_id=job_id,
        owner_id=owner_id,
        has_audio=has_audio,
        created_at=now,
        expires_at=now + lifetime,
    )
    work.add(row)
    work.flush()
    return token, row


def of_task(work: Session, owner_id: uuid.UUID, job_id: uuid.UUID) -> Sequence[Share]:
    """Links to a task of this owner that are valid, newest first. Raises NotFound."""
    if work.scalar(select(Job.id).where(Job.id == job_id, Job.owner_id == owner_id)) is None:
        raise NotFound("There is no such task.")
    valid = (Share.job_id == job_id, Share.expires_at > func.now())
    return work.scalars(select(Share).where(*valid).order_by(Share.id.desc())).all()


def revoke(work: Session, owner_id: uuid.UUID, job_id: uuid.UUID, share_id: uuid.UUID) -> None:
    """Make a link invalid at once. Raises NotFound."""
    named = (Share.id == share_id, Share.job_id == job_id, Share.owner_id == owner_id)
    if work.scalar(delete(Share).where(*named).returning(Share.id)) is None:
        raise NotFound("There is no such link.")


def opened(work: Session, token: str) -> OpenShare:
    """What a link shows now. Raises NotFound when it has expired, was revoked, or its key or task has gone."""
    row = first_row(work, Query(_OPEN, {"digest": keys.digest(token)}))
    if row is None:
        raise NotFound("There is no such link, or it has expired.")
    return OpenShare(keys.caller(row), *row[keys.WIDTH :])
