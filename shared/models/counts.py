"""How many stages and tasks are in which state, known without counting their rows: shared/ledger.

Triggers of the tables stages and jobs insert a change for each count that a statement moved, in its own transaction, so
that no two transactions wait for one another. The sweep adds changes up: a count is its row and the changes of it.
"""

from __future__ import annotations

import uuid

from sqlalchemy import BigInteger, Identity, Index, SmallInteger, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.base import Base


class StageChange(Base):
    """Stages that came into a state, or with a negative `n` left it. Only `queued` and `running` are counted."""

    __tablename__ = "stage_changes"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    name: Mapped[str]
    priority: Mapped[int] = mapped_column(SmallInteger)
    state: Mapped[str]
    n: Mapped[int] = mapped_column(BigInteger)


class StageCount(Base):
    """The sum of changes that were folded: 36 rows with six stages, whatever the queue and the number of keys."""

    __tablename__ = "stage_counts"

    name: Mapped[str] = mapped_column(primary_key=True)
    priority: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    state: Mapped[str] = mapped_column(primary_key=True)
    n: Mapped[int] = mapped_column(BigInteger)


class JobChange(Base):
    """Jobs that came into a state or left it: unfinished ones of every key, and all of a batch.

    `has_begun` says of those of a batch whether a worker has begun them; it is false for others.
    """

    __tablename__ = "job_changes"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    owner_id: Mapped[uuid.UUID]
    batch_id: Mapped[uuid.UUID | None]
    state: Mapped[str]
    has_begun: Mapped[bool]
    n: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (
        Index("job_changes_by_owner", "owner_id"),
        Index("job_changes_by_batch", "batch_id", postgresql_where=text("batch_id IS NOT NULL")),
    )


class OwnerCount(Base):
    """Unfinished jobs of a key, folded. A count of 0 has no row."""

    __tablename__ = "owner_counts"

    owner_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(primary_key=True)
    n: Mapped[int] = mapped_column(BigInteger)


class BatchCount(Base):
    """Jobs of a batch, finished ones too, folded. A count of 0 has no row."""

    __tablename__ = "batch_counts"

    batch_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(primary_key=True)
    has_begun: Mapped[bool] = mapped_column(primary_key=True)
    n: Mapped[int] = mapped_column(BigInteger)
