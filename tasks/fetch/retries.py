"""A server that is busy, or away for a moment, is asked again before an attempt is lost."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from shared.errors import ExtractionError
from shared.telemetry.logs import get_logger
from shared.transcript import Progress

log = get_logger(__name__)

LONGEST_PAUSE_S = 60.0
"""A server that asks for more patience than that has its answer told at once."""

TEMPORARY = frozenset({408, 425, 429})
LOOK_S = 0.5
"""How soon a cancelled job is noticed in a pause."""


def open_stream(
    client: httpx.Client, request: httpx.Request, pauses_s: Sequence[float], progress: Progress
) -> httpx.Response:
    """The first answer that is no temporary one, or the last; its body is yet to be read, and the caller closes it.

    pauses_s : before each further try; `Retry-After` may make one longer

    Raises ExtractionError for a certificate that is not valid, what httpx raises, and what `progress` raises.
    """
    for pause_s in pauses_s:
        try:
            response = _send(client, request)
        except httpx.ConnectError:
            pass
        else:
            asked_s = _retry_after_s(response.headers)
            if not is_temporary(response.status_code) or asked_s > LONGEST_PAUSE_S:
                return response
            response.close()
            pause_s = max(pause_s, asked_s)
        log.info("source_away", pause_s=pause_s)
        pause(pause_s, progress)
    return _send(client, request)


def is_temporary(status: int) -> bool:
    """Whether the same request may be answered otherwise soon."""
    return status >= 500 or status in TEMPORARY


def pause(pause_s: float, progress: Progress) -> None:
    """Wait. Raises what `progress` raises, when a job is cancelled."""
    until = time.monotonic() + pause_s
    while (left_s := until - time.monotonic()) > 0:
        progress(0.0)
        time.sleep(min(LOOK_S, left_s))


def _send(client: httpx.Client, request: httpx.Request) -> httpx.Response:
    try:
        return client.send(request, stream=True)
    except httpx.ConnectError as error:
        if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error)):
            raise ExtractionError("The certificate of the server of the URL is not valid.") from error
        raise


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _retry_after_s(headers: Mapping[str, str]) -> float:
    """What a server asks for in seconds or as a date; 0 where it asks for nothing that can be read."""
    value = headers.get("retry-after", "")
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError, OverflowError):  # no date, one without a zone, a zone beyond all clocks
        return 0.0
