"""Servers behind the bridge that a test has in hand: one that never ends its answer, and one that passes all on."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

DRIP_S = 0.5
"""Far below any timeout for silence."""


@dataclass
class Relay:
    """The address of a server, and what was sent to it, by connection."""

    url: str
    streams: list[bytearray] = field(default_factory=list)

    def requests(self) -> list[str]:
        """Method and path of each, those of one connection in their order."""
        lines = (re.findall(rb"^([A-Z]+ /\S*) HTTP/1\.1\r$", bytes(stream), re.MULTILINE) for stream in self.streams)
        return [line.decode() for matches in lines for line in matches]


@contextmanager
def relay(url: str) -> Iterator[Relay]:
    """Passes everything on to the server at `url`."""
    address = urlsplit(url)

    def serve(client: socket.socket, stream: bytearray) -> None:
        with client, socket.create_connection((address.hostname, address.port)) as server:
            back = threading.Thread(target=_pass_on, args=(server, client, bytearray()), daemon=True)
            back.start()
            _pass_on(client, server, stream)
            back.join()

    with _listening() as (listener, own):
        running = Relay(own)

        def accept() -> None:
            with suppress(OSError):  # the listener is closed
                while True:
                    client, _ = listener.accept()
                    running.streams.append(stream := bytearray())
                    threading.Thread(target=serve, args=(client, stream), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield running


@contextmanager
def endless() -> Iterator[tuple[str, threading.Event]]:
    """Its URL, and whether it was asked. It sends a byte of a header now and then: no client's timeout ends that."""
    is_asked = threading.Event()

    def drip(client: socket.socket) -> None:
        with client, suppress(OSError):
            client.sendall(b"HTTP/1.1 200 OK\r\nX-Endless: ")
            while not over.wait(DRIP_S):
                client.sendall(b"x")

    over = threading.Event()
    with _listening() as (listener, own):

        def accept() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    is_asked.set()
                    threading.Thread(target=drip, args=(client,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield own, is_asked
        finally:
            over.set()


@contextmanager
def _listening() -> Iterator[tuple[socket.socket, str]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        try:
            yield listener, f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # a thread that accepts would not notice that it is closed


def _pass_on(source: socket.socket, target: socket.socket, passed: bytearray) -> None:
    with suppress(OSError):
        while piece := source.recv(65536):
            passed += piece
            target.sendall(piece)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
