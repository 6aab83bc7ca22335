"""Bodies of the calls about webhooks. What receivers are sent is in shared/webhooks/outbox.py."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.bodies.tasks import TASK_ID
from shared.webhooks.outbox import DeliveryState, Event

Url = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
Description = Annotated[str, StringConstraints(strip_whitespace=True, max_length=255, pattern=r"^[^\x00-\x1f]*$")]
Events = Annotated[list[Event], Field(min_length=1, max_length=100)]

EXAMPLE_URL = "https://intranet.example/parley"


class NewEndpoint(BaseModel):
    """A new endpoint."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"url": EXAMPLE_URL}})

    url: Url = Field(description="http or https, at a public address")
    events: Events = Field(list(Event), description="What it is told of; all unless given")
    description: Description | None = Field(None, description="For yourself")


class ChangedEndpoint(BaseModel):
    """Changes to an endpoint. Omitted fields stay as they are."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"events": ["task.failed"]}})

    url: Url | None = None
    events: Events | None = None
    description: Description | None = None
    enabled: bool | None = Field(None, description="false stops it, true lets it go on")


class Endpoint(BaseModel):
    """An address that events are sent to."""

    id: uuid.UUID
    url: str = Field(examples=[EXAMPLE_URL])
    events: list[str] = Field(examples=[["task.completed", "task.failed"]])
    description: str | None
    enabled: bool
    disabled_at: datetime | None
    disabled_reason: str | None = Field(examples=["The receiver answered 410 Gone."])
    created_at: datetime


class CreatedEndpoint(Endpoint):
    """A new endpoint. `secret` is shown this once."""

    secret: str = Field(examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw3mXmYUgGZ1E="])


class Endpoints(BaseModel):
    """All endpoints of the key, newest first."""

    items: list[Endpoint]


class Secret(BaseModel):
    """What deliveries are verified with. A key's own is for the `webhook_url` of its requests."""

    secret: str = Field(examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw3mXmYUgGZ1E="])
    created_at: datetime
    previous_valid_until: datetime | None = Field(None, description="Until then deliveries carry both signatures")


class Attempt(BaseModel):
    """One try of a delivery."""

    attempt: int
    at: datetime = Field(description="When it was over")
    status: int | None = Field(description="The receiver's HTTP status; null when there was none", examples=[503])
    error: str | None = Field(examples=["No answer within 10 s."])
    seconds: float


class Delivery(BaseModel):
    """One event for one address."""

    id: uuid.UUID = Field(description="The `webhook-id` that the receiver sees, in every attempt")
    event: str = Field(examples=["task.completed"])
    url: str = Field(examples=[EXAMPLE_URL])
    endpoint_id: uuid.UUID | None = Field(description="Null when it goes to a request's webhook_url")
    task_id: uuid.UUID | None = Field(examples=[TASK_ID])
    batch_id: uuid.UUID | None
    state: DeliveryState
    attempts: int
    next_attempt_at: datetime | None
    created_at: datetime
    delivered_at: datetime | None


class DeliveryDetail(Delivery):
    """A delivery with what was sent and what came of it."""

    payload: dict[str, Any]
    log: list[Attempt]


class Deliveries(BaseModel):
    """One page of deliveries, newest first."""

    items: list[Delivery]
    next_cursor: str | None
