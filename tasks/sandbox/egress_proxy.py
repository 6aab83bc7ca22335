"""An HTTP proxy on loopback through which a sandboxed child reaches the Internet, and nothing but the Internet.

Every connection that it makes is the Guard's: it resolves, checks and connects, so that the child needs neither DNS
nor a route of its own. HTTPS passes as CONNECT, unread. It lives as long as the download it serves.
"""

from __future__ import annotations

import selectors
import socket
import threading
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from types import TracebackType
from typing import cast

from shared.egress import policy
from shared.egress.policy import Guard
from shared.errors import BlockedAddress, InvalidUrl, ParleyError

LOOPBACK = "127.0.0.1"
CONNECT_TIMEOUT_S = 10.0
CHUNK_BYTES = 1 << 16
MAX_STATUS_LINE_BYTES = 1 << 16

OF_ONE_HOP = frozenset(
    {"connection", "keep-alive", "proxy-authorization", "proxy-connection", "te", "trailer", "upgrade", "host"}
)
"""Header fields that are for this proxy, not for the server (RFC 9110, 7.6.1); Host is written anew from the URL."""


class EgressProxy:
    """Use as a context manager; `address` is where it listens, `refused` what the guard forbade so far."""

    def __init__(self, guard: Guard, idle_timeout_s: float) -> None:
        self._server = _Server(guard, idle_timeout_s)
        self.address: tuple[str, int] = (LOOPBACK, self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="egress", daemon=True)

    @property
    def refused(self) -> tuple[ParleyError, ...]:
        """The guard's refusals, in order."""
        return tuple(self._server.refused)

    def __enter__(self) -> EgressProxy:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()  # shutdown() returns a little before the thread ends


class _Server(ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, guard: Guard, idle_timeout_s: float) -> None:
        self.guard, self.idle_timeout_s = guard, idle_timeout_s
        self.refused: list[ParleyError] = []
        super().__init__((LOOPBACK, 0), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that broke is the business of those at its ends."""


class _Handler(BaseHTTPRequestHandler):
    """One request per connection. Its body and the answer pass as they are, whatever they are."""

    rbufsize = 0  # what follows the head stays in the socket, for the relay
    timeout = CONNECT_TIMEOUT_S

    def do_CONNECT(self) -> None:
        host, _, port = self.path.rpartition(":")
        in_brackets = host.startswith("[")
        try:
            upstream = self._connect(policy.read_host(host.strip("[]"), in_brackets=in_brackets), int(port))
        except (ParleyError, ValueError, OSError) as error:
            self._refuse(error)
            return
        with upstream:
            self.connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            self._relay(upstream)

    def _pass_on(self) -> None:
        try:
            target = policy.parse(self.path)
            upstream = self._connect(target.host, target.port)
        except (ParleyError, OSError) as error:
            self._refuse(error)
            return
        named = {name.strip().lower() for name in self.headers.get("Connection", "").split(",")}
        head = [f"{self.command} {target.path} HTTP/1.1", f"Host: {target.netloc}", "Connection: close"]
        head += [f"{name}: {value}" for name, value in self.headers.items() if name.lower() not in OF_ONE_HOP | named]
        with upstream:
            upstream.sendall("\r\n".join([*head, "", ""]).encode("latin-1"))
            self._tell_close(upstream)
            self._relay(upstream)

    do_GET = do_HEAD = do_POST = do_PUT = do_OPTIONS = _pass_on  # noqa: N815

    def _connect(self, host: str, port: int) -> socket.socket:
        return self._proxy.guard.connect(host, port, min(CONNECT_TIMEOUT_S, self._proxy.idle_timeout_s))

    def _refuse(self, error: Exception) -> None:
        is_forbidden = isinstance(error, BlockedAddress | InvalidUrl)
        if is_forbidden:
            self._proxy.refused.append(cast(ParleyError, error))
        self.send_error(403 if is_forbidden else 502, "Forbidden" if is_forbidden else "Bad Gateway")

    def _tell_close(self, upstream: socket.socket) -> None:
        """Pass the status line on, with `Connection: close` behind it.

        A server need not repeat that it closes. A client that was not told sends its next request on this connection,
        and loses it when it is quicker than our closing.
        """
        upstream.settimeout(self._proxy.idle_timeout_s)
        start = b""
        while b"\n" not in start and len(start) < MAX_STATUS_LINE_BYTES:
            data = upstream.recv(CHUNK_BYTES)
            if not data:
                break
            start += data
        status_line, end, rest = start.partition(b"\n")
        self.connection.sendall(status_line + end + (b"Connection: close\r\n" if end else b"") + rest)

    def _relay(self, upstream: socket.socket) -> None:
        """Both ways until one side ends or both are silent for long."""
        other = {self.connection: upstream, upstream: self.connection}
        with selectors.DefaultSelector() as selector:
            for end in other:
                end.settimeout(self._proxy.idle_timeout_s)
                selector.register(end, selectors.EVENT_READ)
            while ready := selector.select(self._proxy.idle_timeout_s):
                for key, _ in ready:
                    source = cast(socket.socket, key.fileobj)
                    data = source.recv(CHUNK_BYTES)
                    if not data:
                        return
                    other[source].sendall(data)

    @property
    def _proxy(self) -> _Server:
        return cast(_Server, self.server)

    def log_message(self, format: str, *args: object) -> None:
        """The stage logs what came of it."""
