"""Stands between a gateway and PostgreSQL, and breaks connections where they hurt most."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Cut:
    """Breaks the connection on which a message with `marker` goes up, which arrives, late or never, or does not."""

    marker: bytes
    arrives: bool
    is_made: threading.Event = field(default_factory=threading.Event)
    is_due: threading.Event = field(default_factory=threading.Event)
    is_answered: threading.Event = field(default_factory=threading.Event)


class Proxy:
    """Passes bytes in both directions, until it is told to cut."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._cuts: list[Cut] = []
        self._made: dict[socket.socket, Cut] = {}
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def open(self) -> set[socket.socket]:
        """The connections that the server has not ended, or whose end has not been passed on yet."""
        return set(self._open)

    @contextlib.contextmanager
    def cut(self, marker: bytes, *, arrives: bool, late: bool = False) -> Iterator[Cut]:
        """Cut once, at the next message with `marker`, which must come in the block.

        arrives : the message is passed on, and only its answer is lost; `is_answered` says that it was given
        late : it is passed on when `is_due` is set, long after the connection has ended for the gateway
        """
        cut = Cut(marker, arrives)
        if not late:
            cut.is_due.set()
        self._cuts.append(cut)
        yield cut
        assert cut.is_made.is_set(), "no such message came"

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed
                return
            try:
                server = socket.create_connection(self._target)
            except OSError:  # PostgreSQL is away, and so are we
                client.close()
                continue
            self._open.add(server)
            for work in (self._up, self._down):
                threading.Thread(target=work, args=(client, server), daemon=True).start()

    def _up(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                cut = next((cut for cut in self._cuts if cut.marker in data), None)
                if cut:
                    self._cuts.remove(cut)
                    self._made[server] = cut
                    client.shutdown(socket.SHUT_RDWR)
                    cut.is_made.set()
                    if not cut.arrives:
                        break
                    cut.is_due.wait()
                    server.sendall(data)
                    return
                server.sendall(data)
        _end(client, server)

    def _down(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                if cut := self._made.get(server):
                    cut.is_answered.set()
                    break
                client.sendall(data)
        _end(client, server)
        self._open.discard(server)


def _end(*ends: socket.socket) -> None:
    for end in ends:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
