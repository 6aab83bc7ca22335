"""What the history is searched by (shared/search)."""

from __future__ import annotations

import uuid

from sqlalchemy import ForeignKey, Index
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.base import Base


class SearchEntry(Base):
    """The words of one task: transcript, file name, tags, reference. Beside jobs, so that writing one rewrites no job.

    `keys` is a set without positions, of which PostgreSQL keeps 256 per word: phrases are compared with `text`.
    """

    __tablename__ = "search_entries"

    job_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    owner_id: Mapped[uuid.UUID]
    keys: Mapped[str] = mapped_column(TSVECTOR)
    text: Mapped[str]

    __table_args__ = (
        Index("search_entries_by_owner", "owner_id", "job_id"),
        Index("search_entries_by_key", "keys", postgresql_using="gin"),
    )


class SearchBacklog(Base):
    """Tasks without a SearchEntry of this release. Until the sweep has made it they are found by `jobs.search`."""

    __tablename__ = "search_backlog"

    job_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
