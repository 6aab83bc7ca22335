"""The gateway's process: `python -m api.server --host 0.0.0.0 --port 8000`.

Told to end by SIGTERM, it leaves so that a proxy in front loses no request. What comes on a connection that has been
made is answered, and the answer says that it is the connection's last. New connections are refused, which a proxy
notices before it has sent anything, so it asks another gateway.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import uvicorn
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from api import waiting
from api.connections import Connection, Doors, most_connections

LINGER_S = 3.0
"""More than the 2 s for which our Caddy keeps an idle connection (deploy/caddy/api.caddy): it closes them, not we, and
so none is closed while a request is being sent on it."""

KEEP_ALIVE_S = 75
"""More than proxies keep an idle connection, for the same reason."""

GRACE_S = 25
"""What requests get that take longer; then they are cut off."""

START_FAILED = 3


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
        asyncio.get_running_loop().set_exception_handler(self._doors.on_loop_error)
        await super().startup(sockets)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Refuse what is new, answer the rest, let everybody go."""
        self._farewell.is_due = True
        waiting.let_go()
        await self._stop_listening()
        loop = asyncio.get_running_loop()
        end = loop.time() + self._linger_s
        while self.server_state.connections and not self.force_exit and loop.time() < end:
            await asyncio.sleep(0.05)
        await super().shutdown(sockets)

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


def main() -> int:
    """Serve until a signal; 3 when it could not start."""
    parser = argparse.ArgumentParser(description="The gateway's process.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    parser.add_argument("--port", type=int, default=8000, help="port to listen on (default %(default)s)")
    parser.add_argument(
        "--forwarded-allow-ips",
        default="",
        metavar="PROXIES",
        help="addresses or networks whose X-Forwarded-For is believed, by commas; * for all (default: nobody's)",
    )
    parser.add_argument(
        "--linger",
        type=float,
        default=LINGER_S,
        metavar="SECONDS",
        help="how long idle connections stay open at the end: longer than a proxy keeps them (default %(default)s)",
    )
    parser.add_argument(
        "--grace",
        type=int,
        default=GRACE_S,
        metavar="SECONDS",
        help="what running requests get to end after that (default %(default)s)",
    )
    parser.add_argument(
        "--max-connections",
        type=int,
        default=most_connections(),
        metavar="N",
        help="how many there may be at once; with so many, whoever is silent longest goes (default %(default)s)",
    )
    arguments = parser.parse_args()
    from api import startup  # with the settings, without which there should be help all the same
    from api.main import create_app
    from shared.config import settings

    startup.check(settings())
    farewell = Farewell(create_app())
    doors = Doors(arguments.max_connections)
    config = uvicorn.Config(
        Peers(farewell, arguments.forwarded_allow_ips),
        proxy_headers=False,
        http=partial(Connection, doors),  # type: ignore[arg-type]
        host=arguments.host,
        port=arguments.port,
        ws="none",
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=arguments.grace,
        server_header=False,
        log_config=None,
        access_log=False,  # its lines in our format; api/middleware.py logs requests, without queries
    )
    gateway = Gateway(config, farewell, doors, arguments.linger)
    with suppress(KeyboardInterrupt):  # uvicorn raises it again when all is done
        gateway.run()
    return 0 if gateway.started else START_FAILED


if __name__ == "__main__":
    sys.exit(main())
