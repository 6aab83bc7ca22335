"""The local stack before a PostgreSQL that is late."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from scripts.local.stack import Stack


@contextmanager
def late(port: int) -> Iterator[tuple[int, list[socket.socket]]]:
    """A port of its own that leads to this one, but for the first connection, which nobody answers; all connections."""
    connections: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as door:

        def serve() -> None:
            while True:
                try:
                    connection, _ = door.accept()
                except OSError:
                    return
                connections.append(connection)
                if len(connections) > 1:
                    inner = socket.create_connection(("127.0.0.1", port))
                    for pair in ((connection, inner), (inner, connection)):
                        threading.Thread(target=copy, args=pair, daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield door.getsockname()[1], connections
        door.shutdown(socket.SHUT_RDWR)
    for connection in connections:
        connection.close()


def copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while content := source.recv(65_536):
            target.sendall(content)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return


def test_a_migration_that_came_too_early_is_tried_again(servers: Stack, tmp_path: Path) -> None:
    """Where the first connection gets no answer in time, the start goes on with the next one."""
    url = servers.env["DATABASE_URL"]
    address = urlsplit(url)
    assert address.port is not None
    with late(address.port) as (port, connections):
        environ = {
            "DATABASE_URL": url.replace(f":{address.port}/", f":{port}/"),
            "REDIS_URL": servers.env["REDIS_URL"],
            "OBJECT_STORE": str(tmp_path / "objects"),
        }
        with Stack(tmp_path / "home", apps=(), environ=environ):
            assert len(connections) > 1
