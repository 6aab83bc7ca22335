"""A receiver of webhooks on loopback: it notes what it is sent, and its answers can be chosen, late, or none."""

from __future__ import annotations

import threading
from collections import defaultdict
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any, cast

from standardwebhooks.webhooks import Webhook

from tests.service.listener import Listener, Server


@dataclass(frozen=True)
class Received:
    """One request, as it arrived."""

    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def verified(self, secret: str) -> dict[str, Any]:
        """The payload. Raises WebhookVerificationError unless the secret's signature is among those sent."""
        payload: dict[str, Any] = Webhook(secret).verify(self.body, self.headers)
        return payload


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        receiver = cast(Receiver, cast(Server, self.server).listener)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        requests = receiver.requests[self.path]
        requests.append(Received({name.lower(): value for name, value in self.headers.items()}, body))
        statuses = receiver.answers.get(self.path, [204])
        status = statuses[min(len(requests), len(statuses)) - 1]
        if event := receiver.held.get(self.path):
            event.wait(60)
        self.send_response(status)
        if 300 <= status < 400:
            self.send_header("Location", receiver.location)
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


class Receiver(Listener):
    """Each path is an address of its own.

    `answers` maps a path to the statuses of its first, second, ... request; the last one stays, 204 is the default.
    A path in `held` gets no answer before its event is set.
    """

    handler = _Handler

    def __init__(self) -> None:
        self.answers: dict[str, list[int]] = {}
        self.location = ""
        self.held: dict[str, threading.Event] = {}
        self.requests: dict[str, list[Received]] = defaultdict(list)
        super().__init__()

    def url(self, path: str) -> str:
        return f"http://{self.host}{path}"
