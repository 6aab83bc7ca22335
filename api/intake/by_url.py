"""A recording that is named by its URL: from the request's fields to an order for a job that will fetch it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from api.bodies.submission import UrlSubmission
from api.intake import parameters
from api.intake.submission import Order
from shared.config import Settings
from shared.errors import InvalidRequest
from shared.intake import sources
from shared.kernel.orders import RemoteSource

URL = "url"


def order(
    fields: Mapping[str, str], config: Settings, *, job_id: uuid.UUID, owner_id: uuid.UUID, request_id: str
) -> Order:
    """What is asked for. Raises InvalidRequest, ModelNotAllowed, InvalidUrl, BlockedAddress and AdapterDisabled."""
    if not fields.get(URL, "").strip():
        raise InvalidRequest("Send the recording as a file, or its address as url.", parameter=URL)
    body = parameters.read(UrlSubmission, fields)
    spec = parameters.spec(body, config)
    url = sources.check(body.url, config)
    source = RemoteSource(url, sources.fingerprint(url, str(job_id) if body.refresh or body.max_duration else ""))
    return Order(job_id, owner_id, source, spec, request_id)
