"""A recording that was uploaded before: from the request's fields to an order for a job over it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from api.bodies.submission import UploadSubmission
from api.intake import by_url, parameters
from api.intake.submission import Order
from shared.config import Settings
from shared.db import session
from shared.errors import InvalidRequest, NotFound
from shared.intake import uploads

UPLOAD_ID = "upload_id"


def is_named(fields: Mapping[str, str]) -> bool:
    """Whether the fields name an upload."""
    return bool(fields.get(UPLOAD_ID, "").strip())


def order(
    fields: Mapping[str, str], config: Settings, *, job_id: uuid.UUID, owner_id: uuid.UUID, request_id: str
) -> Order:
    """What is asked for. Raises InvalidRequest, ModelNotAllowed, NotFound, and WrongState unless it is complete."""
    if fields.get(by_url.URL, "").strip():
        raise InvalidRequest(f"Send only one of {by_url.URL}, {UPLOAD_ID}.", parameter=UPLOAD_ID)
    body = parameters.read(UploadSubmission, fields)
    spec = parameters.spec(body, config)
    try:
        upload_id = uuid.UUID(body.upload_id.strip())
    except ValueError as error:
        raise NotFound("There is no such upload.") from error
    with session() as work:
        source = uploads.recording(work, owner_id, upload_id)
    return Order(job_id, owner_id, source, spec, request_id, upload_id=upload_id)
