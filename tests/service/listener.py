"""A server of the outside world on loopback, which can be closed and opened again."""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LOOPBACK = "127.0.0.1"


class Listener:
    """Listens on one port. What arrives is the business of `handler`, which finds this object as `server.listener`."""

    handler: type[BaseHTTPRequestHandler]

    def __init__(self) -> None:
        # bound for good and never listening: while this is closed, nobody else is given the port
        self._place = socket.socket()
        self._place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as HTTPServer's has it
        self._place.bind((LOOPBACK, 0))
        self._port = int(self._place.getsockname()[1])
        self.open()

    @property
    def host(self) -> str:
        return f"{LOOPBACK}:{self._port}"

    def open(self) -> None:
        self._server = Server((LOOPBACK, self._port), self)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """Connections are refused from now on."""
        self._server.shutdown()
        self._server.server_close()


class Server(ThreadingHTTPServer):
    """A thread for each connection."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], listener: Listener) -> None:
        self.listener = listener
        super().__init__(address, listener.handler)
