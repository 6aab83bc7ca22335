"""Who is told of what: addresses, secrets, deliveries and their attempts."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, SmallInteger, func, text
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

from shared.models.base import Base


class WebhookEndpoint(Base):
    """An address that a key has its events sent to."""

    __tablename__ = "webhook_endpoints"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid7)
    owner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("api_keys.id"))
    url: Mapped[str]
    events: Mapped[list[str]]
    description: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    disabled_at: Mapped[datetime | None]
    disabled_reason: Mapped[str | None]

    __table_args__ = (Index("webhook_endpoints_by_owner", "owner_id", "id"),)


class WebhookSecret(Base):
    """What deliveries are signed with: an endpoint's own, or (without one) that of a key's `webhook_url` requests.

    While a secret is being rotated two are valid, and every delivery carries the signatures of both.
    """

    __tablename__ = "webhook_secrets"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid7)
    owner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("api_keys.id"))
    endpoint_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("webhook_endpoints.id", ondelete="CASCADE"))
    secret: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime | None]

    __table_args__ = (Index("webhook_secrets_by_owner", "owner_id", "endpoint_id"),)


class WebhookDelivery(Base):
    """One event for one address. Inserted in the transaction that made the event happen, sent by a worker."""

    __tablename__ = "webhook_deliveries"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid7)
    owner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("api_keys.id"))
    endpoint_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("webhook_endpoints.id", ondelete="CASCADE"))
    job_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    batch_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("batches.id", ondelete="CASCADE"))
    url: Mapped[str]
    event: Mapped[str]
    payload: Mapped[dict[str, Any]]
    state: Mapped[str]
    attempts: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    # when it is tried (again); while it is being sent, when its sender is taken for dead; null when it is over
    next_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    delivered_at: Mapped[datetime | None]

    __table_args__ = (
        Index("webhook_deliveries_by_owner", "owner_id", "id"),
        Index("webhook_deliveries_by_endpoint", "endpoint_id", "id"),
        Index("webhook_deliveries_by_job", "job_id"),
        Index("webhook_deliveries_by_batch", "batch_id"),
        Index("webhook_deliveries_waiting", "owner_id", postgresql_where=text("state IN ('pending', 'sending')")),
        Index("webhook_deliveries_due", "next_at", postgresql_where=text("next_at IS NOT NULL")),
    )


class WebhookAttempt(Base):
    """One try of a delivery: the receiver's status, or why there was none."""

    __tablename__ = "webhook_attempts"

    delivery_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("webhook_deliveries.id", ondelete="CASCADE"), primary_key=True
    )
    attempt: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=func.now())
    status: Mapped[int | None]
    error: Mapped[str | None]
    seconds: Mapped[float]
