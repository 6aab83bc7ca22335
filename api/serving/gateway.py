"""uvicorn as the gateway needs it; api/server.py says how it ends."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable

import uvicorn
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from api import waiting
from api.live.bells import bells
from api.serving.connections import Doors


class Farewell:
    """Around the app: once `is_due`, every answer is the last one on its connection."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.is_due = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_last(message: Message) -> None:
            if self.is_due and message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        await self._app(scope, receive, send_last)


class Peers:
    """Around the app: `state.peer` is who has connected, `client` whom a trusted proxy names in its place."""

    def __init__(self, app: ASGIApp, trusted: str) -> None:
        self._app = ProxyHeadersMiddleware(app, trusted_hosts=trusted) if trusted else app  # type: ignore[arg-type]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope.setdefault("state", {})["peer"] = scope["client"]
        await self._app(scope, receive, send)  # type: ignore[arg-type]


class Gateway(uvicorn.Server):
    """uvicorn, but for its end. `linger_s`: how long connections without a request stay open then."""

    def __init__(self, config: uvicorn.Config, farewell: Farewell, doors: Doors, linger_s: float) -> None:
        super().__init__(config)
        self._farewell, self._doors, self._linger_s = farewell, doors, linger_s

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say it when no more connections can be accepted."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._doors.on_loop_error)
        self._watch = loop.create_task(self._doors.watch(), name="descriptors")
        await super().startup(sockets)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Refuse what is new, answer the rest, let everybody go."""
        self._farewell.is_due = True
        waiting.let_go()
        bells.let_go()
        await self._stop_listening()
        loop = asyncio.get_running_loop()
        end = loop.time() + self._linger_s
        while self.server_state.connections and not self.force_exit and loop.time() < end:
            await asyncio.sleep(0.05)
        await super().shutdown(sockets)
        self._watch.cancel()

    async def _stop_listening(self) -> None:
        """The kernel has made connections that nobody has taken yet; closing the port alone would reset those."""
        loop = asyncio.get_running_loop()
        for server in self.servers:
            doubles = [socket.socket(fileno=os.dup(listening.fileno())) for listening in server.sockets]
            server.close()
            for connection in [one for double in doubles for one in _accept_all(double)]:
                await loop.connect_accepted_socket(self._protocol(), connection)

    def _protocol(self) -> Callable[[], asyncio.Protocol]:
        """What uvicorn makes for each connection that it accepts itself."""
        config, state, app_state = self.config, self.server_state, self.lifespan.state
        kind = config.http_protocol_class
        return lambda: kind(config=config, server_state=state, app_state=app_state)  # type: ignore[call-arg]


def _accept_all(listening: socket.socket) -> list[socket.socket]:
    """What waits to be accepted; then it is closed, in the same breath."""
    accepted = list[socket.socket]()
    with listening:
        listening.setblocking(False)
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:  # nobody waits any more, or this process may open no more files
                return accepted
            connection.setblocking(False)
            accepted.append(connection)
