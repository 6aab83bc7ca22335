"""Live sessions: a job's recording while it arrives, and what is heard in it.

Chunks and events refer to the session, not to the job: to insert one must not wait for whoever has locked the job's
row and may want the session's next.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, ForeignKey, Index, Integer, LargeBinary, SmallInteger, func, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.base import Base


class LiveSession(Base):
    """A live session, beside its job: how much has come, whose socket brings it, and who listens.

    holder : number of the socket that may append; the next one takes the session over
    seq, bytes : frames and bytes that are stored
    fence : number of the listener that may write events; each claim raises it
    attempt : claims at the place where the next listener goes on
    event : id of the newest event
    utterance, resume_s, language : where the next listener goes on, behind the last final
    """

    __tablename__ = "live_sessions"

    job_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    owner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("api_keys.id"))
    encoding: Mapped[str]
    rate: Mapped[int]
    holder: Mapped[int] = mapped_column(Integer, server_default=text("1"))
    seq: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    bytes: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    seen_at: Mapped[datetime] = mapped_column(server_default=func.now())
    ended_at: Mapped[datetime | None]
    end_reason: Mapped[str | None]
    fence: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    attempt: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    worker: Mapped[str | None]  # who listens, or has heard the end
    lease_until: Mapped[datetime | None]
    event: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    language: Mapped[str | None]
    utterance: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    resume_s: Mapped[float] = mapped_column(server_default=text("0"))
    heard_at: Mapped[datetime | None]  # the end was heard, or nobody listens any more

    has_chunks: Mapped[bool] = mapped_column(Boolean, server_default=text("true"))  # false once they are forgotten

    __table_args__ = (
        # neither has what changes with each chunk or heartbeat, so that those are cheap in-page updates
        Index("live_sessions_open", "owner_id", postgresql_where=text("ended_at IS NULL")),
        Index("live_sessions_unheard", "job_id", postgresql_where=text("heard_at IS NULL")),
        Index("live_sessions_kept", "job_id", postgresql_where=text("has_chunks")),
    )


class LiveVoices(Base):
    """What the voices of a live session sound like, as `tasks.listening.speakers` writes it, for the listener that
    takes it over. Kept no longer than the session is listened to, and apart from its row: each chunk and heartbeat
    writes that anew."""

    __tablename__ = "live_voices"

    job_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("live_sessions.job_id", ondelete="CASCADE"), primary_key=True)
    voices: Mapped[bytes] = mapped_column(LargeBinary)


class LiveChunk(Base):
    """A piece of a live session's recording, as the client sent it. `seq` is its last frame, `start` its first byte."""

    __tablename__ = "live_chunks"

    job_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("live_sessions.job_id", ondelete="CASCADE"), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    start: Mapped[int] = mapped_column(BigInteger)
    data: Mapped[bytes] = mapped_column(LargeBinary)


class LiveEvent(Base):
    """What a live session's listener has heard: shared/live_events.py. Of partials only the newest is kept."""

    __tablename__ = "live_events"

    job_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("live_sessions.job_id", ondelete="CASCADE"), primary_key=True)
    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    kind: Mapped[str]
    utterance: Mapped[int]
    data: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
