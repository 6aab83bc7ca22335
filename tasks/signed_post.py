"""One signed POST to a receiver of webhooks, over in bounded time whatever the receiver does."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import httpx
from standardwebhooks.webhooks import Webhook

from shared.egress import http
from shared.egress.policy import Guard
from shared.errors import ParleyError
from shared.telemetry.logs import get_logger
from shared.webhooks.deliveries import Answer, Errand

log = get_logger(__name__)

USER_AGENT = "Parley-Webhooks"
CONNECTED = ("connection.connect_tcp.complete", "connection.start_tls.complete")


def send(errand: Errand, guard: Guard, timeout_s: float) -> Answer:
    """One signed POST. The answer's status counts, its body is not read, redirects are not followed. Never raises."""
    body = json.dumps(errand.payload, ensure_ascii=False, separators=(",", ":"))
    began, status, error = time.monotonic(), None, None
    try:
        with (
            http.client(guard, timeout_s=timeout_s, max_redirects=0) as client,
            _deadline(timeout_s) as trace,
            client.stream(
                "POST", errand.url, content=body.encode(), headers=sign(errand, body), extensions={"trace": trace}
            ) as response,
        ):
            status = response.status_code
            if response.has_redirect_location:
                error = "The receiver redirects, which is not followed."
    except ParleyError as refusal:  # of the guard
        error = refusal.message
    except httpx.TimeoutException:
        error = f"No answer within {timeout_s:g} s."
    except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError, OSError) as failure:
        is_late = time.monotonic() - began >= timeout_s
        error = f"No answer within {timeout_s:g} s." if is_late else f"The connection failed ({failure})."
    except Exception as failure:  # whatever a receiver provokes is that delivery's failure
        log.warning("webhook_failed", delivery_id=str(errand.id), exc_info=True)
        error = f"Sending failed ({type(failure).__name__})."
    return Answer(status, error, round(time.monotonic() - began, 3))


def sign(errand: Errand, body: str) -> dict[str, str]:
    """Headers of Standard Webhooks: the id stays from attempt to attempt, the time is that of this one."""
    now = datetime.now(UTC)
    signatures = (Webhook(secret).sign(str(errand.id), now, body) for secret in errand.secrets)
    return {
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        "webhook-id": str(errand.id),
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


@contextmanager
def _deadline(timeout_s: float) -> Iterator[Any]:
    """Ends the request after `timeout_s` in all. httpx bounds each silence, so a receiver that drips would hold us.

    What is yielded is httpcore's trace hook, by which the socket becomes known; shutting it down wakes whoever reads.
    """
    opened: list[socket.socket] = []
    is_over = threading.Event()

    def end() -> None:
        is_over.set()
        for one in opened:
            _shut(one)

    def trace(event: str, info: dict[str, Any]) -> None:
        if event in CONNECTED:
            opened.append(info["return_value"].get_extra_info("socket"))
            if is_over.is_set():
                _shut(opened[-1])

    timer = threading.Timer(timeout_s, end)
    timer.daemon = True
    timer.start()
    try:
        yield trace
    finally:
        timer.cancel()


def _shut(one: socket.socket) -> None:
    with suppress(OSError):  # closed already
        one.shutdown(socket.SHUT_RDWR)
