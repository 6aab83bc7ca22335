"""The gateway's side of its connections: how long each may be silent, and how many there may be.

uvicorn waits for a request's head, and reads a body that nobody wants, for as long as the client likes.
"""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import time
from contextlib import suppress
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from shared.telemetry.logs import get_logger

log = get_logger(__name__)

HEAD_S = 10.0
"""From the connection, or from the first byte of a further request, to the end of the request's head."""

UNREAD_S = 30.0
UNREAD_BYTES = 64 * 1024**2
"""What is read of a body when its request has been answered. Clients that send a body to its end before they look for
the answer would lose it if the connection was cut at once."""

OTHER_FILES = 512
"""Descriptors that are left for the object store, the database and files."""

MOST = 8192
MINUTE_S = 60.0

PROBE_S = 1.0
"""How often it is looked whether another connection could be accepted."""


def most_connections() -> int:
    """As many as this process may open files for, after it has taken all that it may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if soft == resource.RLIM_INFINITY else max(16, min(MOST, soft - OTHER_FILES))


def quiet_refusals() -> None:
    """uvicorn takes a handshake that was refused with an answer for one that was forgotten, and says so each time."""
    forgotten = "ASGI callable returned without completing handshake."
    logging.getLogger("uvicorn.error").addFilter(lambda record: record.getMessage() != forgotten)


class Doors:
    """The connections of this process that wait for a request, longest first, and the bound of all."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.idle: dict[Connection, None] = {}
        self._failed, self._told_at = 0, -MINUTE_S

    def make_room(self, newcomer: Connection) -> bool:
        """Whether the newcomer may stay. With the doors full whoever has been silent longest goes, if anybody is."""
        if len(newcomer.connections) <= self.most:
            return True
        silent = next(iter(self.idle), None)
        if silent is None:
            return False
        silent.leave()
        return True

    def on_loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Of connections that cannot be accepted, one line a minute: the event loop would write thousands a second."""
        if str(context.get("message", "")).startswith("socket.accept()"):
            self._note_failure(context.get("exception"))
        else:
            loop.default_exception_handler(context)

    async def watch(self) -> None:
        """Notice that no more connections can be accepted: uvloop closes them without a word."""
        while True:
            await asyncio.sleep(PROBE_S)
            try:
                os.close(os.open(os.devnull, os.O_RDONLY))
            except OSError as error:
                self._note_failure(error)

    def _note_failure(self, error: BaseException | None) -> None:
        self._failed += 1
        now = time.monotonic()
        if now - self._told_at >= MINUTE_S:
            log.error("accept_failed", reason=f"{type(error).__name__}: {error}", times=self._failed)
            self._failed, self._told_at = 0, now


class Connection(H11Protocol):
    """uvicorn's, with an end to each of its waits but that for the app."""

    def __init__(self, doors: Doors, **options: Any) -> None:
        super().__init__(**options)
        self._doors = doors
        self._timer: asyncio.TimerHandle | None = None
        self._unread, self._is_draining = 0, False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if not self._doors.make_room(self):
            transport.abort()
            return
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._doors.idle.pop(self, None)
        self._set_timer(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        was_answered = self._is_answered
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self.conn.their_state is h11.IDLE:
            if self._timer is None or self._is_draining:  # the first bytes of a further request, or the last of a body
                self._is_draining = False
                self._await_head()
        elif was_answered and self._is_answered:
            self._unread += len(data)
            if self._unread > UNREAD_BYTES:
                self.transport.abort()
        elif not self._is_answered:  # a request has come
            self._doors.idle.pop(self, None)
            self._set_timer(None)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():
            return
        if self.conn.their_state is h11.SEND_BODY:
            self._unread, self._is_draining = 0, True
            self._set_timer(UNREAD_S)
        elif self._is_answered:
            self._set_timer(None)
            self._doors.idle[self] = None

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Hand the connection over; from now on its app says when it ends."""
        self._doors.idle.pop(self, None)
        self._set_timer(None)
        super().handle_websocket_upgrade(event)

    def leave(self) -> None:
        """Close a connection that has no request."""
        self._doors.idle.pop(self, None)
        if self.transport.is_closing():
            return
        is_asking = bool(self.conn.trailing_data[0])
        with suppress(h11.LocalProtocolError):
            if is_asking and self.conn.our_state is h11.IDLE:
                head = h11.Response(status_code=408, headers=[("Connection", "close"), ("Content-Length", "0")])
                self.transport.write(self.conn.send(head) or b"")
        self.transport.close()

    @property
    def _is_answered(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _await_head(self) -> None:
        self._doors.idle.setdefault(self)
        self._set_timer(HEAD_S)

    def _set_timer(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(seconds, self._is_late) if seconds else None

    def _is_late(self) -> None:
        self._timer = None
        if self.conn.their_state is h11.SEND_BODY:
            self.transport.abort()
        else:
            self.leave()
