"""The gateway's process: `python -m api.server --host 0.0.0.0 --port 8000`.

Told to end by SIGTERM, it leaves so that a proxy in front loses no request. What comes on a connection that has been
made is answered, and the answer says that it is the connection's last. New connections are refused, which a proxy
notices before it has sent anything, so it asks another gateway.

With API_PROCESSES above 1 it is so many processes behind one port, and this one starts and watches them
(api/processes).
"""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from api.processes import supervision
from api.processes.table import Table

if TYPE_CHECKING:
    from starlette.types import ASGIApp

LINGER_S = 3.0
"""More than the 2 s for which our Caddy keeps an idle connection (deploy/caddy/api.caddy): it closes them, not we, and
so none is closed while a request is being sent on it."""

KEEP_ALIVE_S = 75
"""More than proxies keep an idle connection, for the same reason."""

GRACE_S = 25
"""What requests get that take longer; then they are cut off."""

START_FAILED = 3

PING_S, PONG_S = 10, 30
"""How often whoever holds a socket is asked whether they are there, and how long they have for the answer. It is not
read while a frame waits for the database."""


def main() -> int:
    """Serve until a signal; 3 when it could not start."""
    arguments = _arguments()
    from shared.config import settings  # behind the arguments: there should be help without any settings

    count = settings().api_processes
    if count == 1:
        return _serve(_app(), arguments, shares_port=False)
    with supervision.metrics_folder(), supervision.reserved_port(arguments.host, arguments.port) as is_free:
        if not is_free:
            print(f"port {arguments.port} of {arguments.host} cannot be listened on", file=sys.stderr)
            return START_FAILED
        app = _app()
        return supervision.run(Table(count), lambda: _serve(app, arguments, shares_port=True), START_FAILED)


def _arguments() -> argparse.Namespace:
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
        metavar="N",
        help="how many each process may have at once; with so many, whoever is silent longest goes (default: as many "
        "as it may open files for)",
    )
    return parser.parse_args()


def _app() -> ASGIApp:
    """Imported here: metrics of several processes need their folder to be named before."""
    from api import startup
    from api.main import create_app
    from shared.config import settings

    startup.check(settings())
    return create_app()


def _serve(app: ASGIApp, arguments: argparse.Namespace, *, shares_port: bool) -> int:
    """Until a signal."""
    import uvicorn

    from api.live.request import MAX_MESSAGE_BYTES
    from api.serving.connections import Connection, Doors, most_connections, quiet_refusals
    from api.serving.gateway import Farewell, Gateway, Peers
    from api.serving.sockets import Socket

    farewell, doors = Farewell(app), Doors(arguments.max_connections or most_connections())
    quiet_refusals()
    config = uvicorn.Config(
        Peers(farewell, arguments.forwarded_allow_ips),
        proxy_headers=False,
        http=partial(Connection, doors),  # type: ignore[arg-type]
        host=arguments.host,
        port=arguments.port,
        ws=Socket,
        ws_max_size=MAX_MESSAGE_BYTES,
        ws_ping_interval=PING_S,
        ws_ping_timeout=PONG_S,
        ws_per_message_deflate=False,  # sound is not worth it, and what unpacks is a bomb
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=arguments.grace,
        server_header=False,
        log_config=None,
        access_log=False,  # its lines in our format; api/middleware.py logs requests, without queries
    )
    gateway = Gateway(config, farewell, doors, arguments.linger)
    sockets = [supervision.shared_socket(arguments.host, arguments.port)] if shares_port else None
    with suppress(KeyboardInterrupt):  # uvicorn raises it again when all is done
        gateway.run(sockets)
    return 0 if gateway.started else START_FAILED


if __name__ == "__main__":
    sys.exit(main())
