"""A recording that is named by its URL: from the request's fields to an order for a job that will fetch it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from api.intake import parameters
from api.intake.submission import Order
from shared.config import Settings
from shared.errors import InvalidRequest
from shared.intake import sources
from shared.kernel.orders import RemoteSource

URL, REFRESH = "url", "refresh"
FIELDS = frozenset({URL, REFRESH})
"""Fields beside those of parameters.NAMES."""

_YES, _NO = ("true", "1", "yes", "on"), ("false", "0", "no", "off", "")


def order(
    fields: Mapping[str, str], config: Settings, *, job_id: uuid.UUID, owner_id: uuid.UUID, request_id: str
) -> Order:
    """What is asked for. Raises InvalidRequest, ModelNotAllowed, InvalidUrl, BlockedAddress and AdapterDisabled."""
    options = {name: value for name, value in fields.items() if name not in FIELDS}
    if not fields.get(URL, "").strip():
        raise InvalidRequest("Send the recording as a file, or its address as url.", parameter=URL)
    refresh = wants_refresh(fields)
    spec = parameters.parse(options, config)
    url = sources.check(fields[URL], config)
    source = RemoteSource(url, sources.fingerprint(url, str(job_id) if refresh else ""))
    return Order(job_id, owner_id, source, spec, request_id)


def wants_refresh(fields: Mapping[str, str]) -> bool:
    """Whether the recording is to be fetched again although it is known. Raises InvalidRequest."""
    value = fields.get(REFRESH, "").strip().lower()
    if value not in (*_YES, *_NO):
        raise InvalidRequest("refresh must be true or false.", parameter=REFRESH)
    return value in _YES
