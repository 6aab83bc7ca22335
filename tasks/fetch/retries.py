"""A server that is busy, or away for a moment, is asked again before an attempt is lost."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from shared.errors import ExtractionError
from shared.telemetry.logs import get_logger
from shared.transcript import Progress
from tasks.stages.download import FetchLimits

log = get_logger(__name__)

PATIENCE_S = 60.0
"""The most that all pauses take. A server that asks for more has its answer told at once."""

TEMPORARY = frozenset({408, 425, 429})
TICK_S = 0.5
"""How soon a cancelled job is noticed in a pause."""


def open_stream(
    client: httpx.Client, request: httpx.Request, limits: FetchLimits, progress: Progress
) -> httpx.Response:
    """The first answer that is no temporary one, or the last; its body is yet to be read, and the caller closes it.

    Between the tries are the pauses of `limits`, where `Retry-After` does not make them longer.

    Raises ExtractionError for a certificate that is not valid, what httpx raises, and what `progress` raises.
    """
    patience_s = PATIENCE_S
    for pause_s in limits.retry_pauses_s:
        response = None
        try:
            response = _send(client, request)
        except (httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError) as error:
            if not _is_of_a_restart(error) or pause_s > patience_s:
                raise
        if response is not None:
            if not is_temporary(response.status_code):
                return response
            pause_s = max(pause_s, _retry_after_s(response.headers))
            if pause_s > patience_s:
                return response
            response.close()
        patience_s -= pause_s
        log.info("source_away", pause_s=pause_s)
        pause(pause_s, progress)
    return _send(client, request)


def is_temporary(status: int) -> bool:
    """Whether the same request may be answered otherwise soon."""
    return status >= 500 or status in TEMPORARY


def pause(pause_s: float, progress: Progress) -> None:
    """Wait. Raises what `progress` raises, when a job is cancelled."""
    end = time.monotonic() + pause_s
    while (rest_s := end - time.monotonic()) > 0:
        progress(0.0)
        time.sleep(min(TICK_S, rest_s))


def date(value: str) -> datetime | None:
    """A header's date; None for what is none, has no zone, or lies beyond all clocks."""
    try:
        parsed = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    return parsed if parsed.tzinfo else None


def _send(client: httpx.Client, request: httpx.Request) -> httpx.Response:
    try:
        return client.send(request, stream=True)
    except httpx.ConnectError as error:
        if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error)):
            raise ExtractionError("The certificate of the server of the URL is not valid.") from error
        raise


def _is_of_a_restart(error: httpx.TransportError) -> bool:
    """A server that refuses, or hangs up before it answers; not one that answers what is no HTTP."""
    return not isinstance(error, httpx.RemoteProtocolError) or "disconnected" in str(error)


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
    moment = date(value)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds()) if moment else 0.0
