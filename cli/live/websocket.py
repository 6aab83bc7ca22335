"""As much of RFC 6455 as /ws/stream needs, so that the command line needs no package for it.

One thread may read while another writes.
"""

from __future__ import annotations

import base64
import hashlib
import os
import select
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlencode, urlsplit

import httpx

from cli import VERSION
from cli.connection import refusal
from cli.failures import Unreachable

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
MAX_HEAD_BYTES = 64 * 1024
MAX_MESSAGE_BYTES = 16 * 1024**2
CONNECT_S, SILENT_S = 10.0, 40.0
"""The server pings every ten seconds: three that are missing mean that nobody is there any more."""

CONTINUED, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA


class Closed(OSError):
    """The connection is over. `code` is that of its close, 1006 without one."""

    def __init__(self, code: int = 1006) -> None:
        super().__init__(f"the connection was closed with {code}")
        self.code = code


class WebSocket:
    """A client's end. Raises Refused where the server answers the handshake otherwise, Unreachable, and OSError."""

    def __init__(self, url: str, path: str, query: dict[str, str], key: str | None) -> None:
        self._lock = threading.Lock()
        self._rest = b""
        self._socket = _connected(url)
        try:
            self._shake_hands(url, f"{urlsplit(url).path.rstrip('/')}{path}?{urlencode(query)}", key)
        except BaseException:
            self._socket.close()
            raise

    def send(self, message: bytes | str) -> None:
        """A binary message, or one of text. Raises OSError."""
        if isinstance(message, bytes):
            self._write(BINARY, message)
        else:
            self._write(TEXT, message.encode())

    def messages(self) -> Iterator[str]:
        """Each message of text, until the connection ends. Raises Closed, and other OSErrors."""
        text = b""
        while True:
            is_last, kind, data = self._frame()
            if kind == CLOSE:
                with suppress(OSError):
                    self._write(CLOSE, data)
                raise Closed(int.from_bytes(data[:2], "big") if len(data) >= 2 else 1005)
            if kind == PING:
                try:
                    self._write(PONG, data)
                except TimeoutError:
                    raise
                except OSError:
                    pass  # the server is gone, and what it said behind the ping is still to be read
            elif kind in (TEXT, CONTINUED):
                text += data
                if len(text) > MAX_MESSAGE_BYTES:
                    raise Closed(1009)
                if is_last:
                    yield text.decode()
                    text = b""

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _shake_hands(self, url: str, target: str, key: str | None) -> None:
        nonce = base64.b64encode(os.urandom(16)).decode()
        lines = [
            f"GET {target} HTTP/1.1",
            f"Host: {urlsplit(url).netloc.rpartition('@')[2]}",
            f"User-Agent: parley-cli/{VERSION}",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {nonce}",
            *([f"Authorization: Bearer {key}"] if key else []),
        ]
        self._socket.sendall("\r\n".join([*lines, "", ""]).encode())
        answer = self._head()
        if answer.status_code != 101:
            raise refusal(httpx.Response(answer.status_code, headers=answer.headers, content=self._body(answer)))
        proof = base64.b64encode(hashlib.sha1(f"{nonce}{GUID}".encode(), usedforsecurity=False).digest()).decode()
        if answer.headers.get("sec-websocket-accept") != proof:
            raise Unreachable(f"{url} answers, but not as Parley does. Is PARLEY_URL right?")

    def _head(self) -> httpx.Response:
        while b"\r\n\r\n" not in self._rest:
            if len(self._rest) > MAX_HEAD_BYTES:
                raise Closed
            self._rest += self._some()
        head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        status = first.split(" ")[1] if first.startswith("HTTP/1.") else ""
        if not status.isdecimal():
            raise Closed
        pairs = (line.partition(":") for line in lines)
        return httpx.Response(int(status), headers=[(name.strip(), value.strip()) for name, _, value in pairs])

    def _body(self, answer: httpx.Response) -> bytes:
        """Of a refusal: as long as it says, or to the end of the connection."""
        length = answer.headers.pop("content-length", "")
        answer.headers.pop("content-encoding", None)
        most = min(int(length), MAX_HEAD_BYTES) if length.isdecimal() else MAX_HEAD_BYTES
        with suppress(OSError):
            while len(self._rest) < most:
                self._rest += self._some()
        return self._rest[:most]

    def _frame(self) -> tuple[bool, int, bytes]:
        first, size = self._exactly(2)
        size &= 0x7F
        if size >= 126:
            size = int.from_bytes(self._exactly(2 if size == 126 else 8), "big")
        if size > MAX_MESSAGE_BYTES:
            raise Closed(1009)
        return bool(first & 0x80), first & 0x0F, self._exactly(size)

    def _exactly(self, size: int) -> bytes:
        while len(self._rest) < size:
            self._rest += self._some()
        data, self._rest = self._rest[:size], self._rest[size:]
        return data

    def _some(self) -> bytes:
        """What has arrived. TLS is not for two threads at once, so nobody waits for bytes with the lock in hand."""
        is_there = isinstance(self._socket, ssl.SSLSocket) and self._socket.pending()
        if not is_there and not select.select([self._socket], [], [], SILENT_S)[0]:
            raise Closed
        with self._lock:
            data = self._socket.recv(64 * 1024)
        if not data:
            raise Closed
        return data

    def _write(self, kind: int, data: bytes) -> None:
        size = len(data)
        head = bytes([0x80 | kind, 0x80 | (size if size < 126 else 126 if size < 65536 else 127)])
        if size >= 126:
            head += struct.pack(">H" if size < 65536 else ">Q", size)
        mask = os.urandom(4)
        pattern = (mask * (size // 4 + 1))[:size]
        masked = (int.from_bytes(data, "big") ^ int.from_bytes(pattern, "big")).to_bytes(size, "big")
        with self._lock:
            self._socket.sendall(head + mask + masked)


def _connected(url: str) -> socket.socket:
    """Raises OSError, and Unreachable for what is no address."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Unreachable(f"{url} is not the address of a server.")
    is_secret = parts.scheme == "https"
    plain = socket.create_connection((parts.hostname, parts.port or (443 if is_secret else 80)), CONNECT_S)
    plain.settimeout(SILENT_S)
    if not is_secret:
        return plain
    return ssl.create_default_context().wrap_socket(plain, server_hostname=parts.hostname)
