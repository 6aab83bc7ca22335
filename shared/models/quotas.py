"""What keys use of their quotas (shared/callers/quotas.py), where that has to be known without counting rows."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import BigInteger, Identity, Index
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.base import Base


class KeyStorage(Base):
    """Bytes of all objects to which artifacts of a key refer, but for what is in StorageChange."""

    __tablename__ = "key_storage"

    owner_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    bytes: Mapped[int] = mapped_column(BigInteger)


class StorageChange(Base):
    """Bytes that artifacts of a key have gained or lost. Triggers of the table artifacts insert these rows, so that
    no two transactions of a key wait for one another; the sweep adds them up."""

    __tablename__ = "storage_changes"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    owner_id: Mapped[uuid.UUID]
    bytes: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (Index("storage_changes_by_owner", "owner_id"),)


class WebhookTestMinute(Base):
    """How many tests and replays of webhooks a key has asked for within one minute."""

    __tablename__ = "webhook_test_minutes"

    owner_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    minute: Mapped[datetime] = mapped_column(primary_key=True)
    tests: Mapped[int]
