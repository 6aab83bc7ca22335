"""A stream of unknown length on its way into the store: a piece leaves while the next one arrives."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Generic, Protocol, TypeVar


class Piece(Protocol):
    """Bytes in memory, written in order."""

    size: int

    @property
    def is_full(self) -> bool: ...

    def write(self, data: bytes | memoryview) -> int:
        """Take as many bytes as fit; returns how many."""
        ...

    def views(self) -> AbstractContextManager[Iterator[bytes | memoryview]]:
        """The bytes as they lie."""
        ...

    def clear(self) -> None:
        """Forget the bytes and give the memory back."""
        ...


P = TypeVar("P", bound=Piece)


class Writer(ABC):
    """Collects a stream, hashes it and hands it on piece by piece. Call `close` or `abort` at the end.

    When `write` says that a piece is full, `flush` is due, which does the store's work; or, if `turn` is True, `send`,
    during which `write` may go on with the next piece, in another thread. What does not fit into a piece is held in
    memory, too.
    """

    @abstractmethod
    def write(self, data: bytes | memoryview) -> bool:
        """Take some bytes; True means that a piece is full."""

    @abstractmethod
    def turn(self) -> bool:
        """Begin a new piece, so that the full one can be sent meanwhile; False when there is no memory for two."""

    @abstractmethod
    def send(self) -> None:
        """Hand on the piece that was full at the last turn."""

    @abstractmethod
    def flush(self) -> None:
        """Hand on every piece that is full."""

    @abstractmethod
    def close(self) -> str:
        """Finish: the object exists afterwards. Returns its SHA-256 in hex."""

    @abstractmethod
    def abort(self) -> None:
        """Leave nothing behind: neither parts nor an object, whichever request's answer was lost. Safe to repeat."""


class PieceWriter(Writer, Generic[P]):
    """A writer whose pieces are of one kind. Without `hashes`, what `close` returns is the SHA-256 of nothing."""

    def __init__(self, *, hashes: bool = True) -> None:
        self._piece, self._full, self._rest = self._new(), self._new(), b""
        self._digest, self._hashes = hashlib.sha256(), hashes
        self._is_touched = False

    def write(self, data: bytes | memoryview) -> bool:
        if self._rest:
            self._rest += data
        else:
            self._fill(data)
        return self._piece.is_full

    def turn(self) -> bool:
        if not self._may_read_ahead():
            return False
        self._piece, self._full = self._full, self._piece
        self._fill(self._rest)
        return True

    def send(self) -> None:
        self._deliver(self._full)

    def flush(self) -> None:
        while self._piece.is_full:
            self._deliver(self._piece)
            self._fill(self._rest)

    def close(self) -> str:
        self.flush()
        self._is_touched = True
        self._hash(self._piece)
        self._finish(self._piece)
        self._piece.clear()
        return self._digest.hexdigest()

    def abort(self) -> None:
        self._piece.clear()
        self._full.clear()
        self._rest = b""
        if self._is_touched:
            self._forget()

    def _fill(self, data: bytes | memoryview) -> None:
        self._rest = bytes(data[self._piece.write(data) :])

    def _deliver(self, piece: P) -> None:
        self._is_touched = True
        self._hash(piece)
        self._send(piece)
        piece.clear()

    def _hash(self, piece: P) -> None:
        if not self._hashes:
            return
        with piece.views() as views:
            for view in views:
                self._digest.update(view)

    def _may_read_ahead(self) -> bool:
        return True

    @abstractmethod
    def _new(self) -> P:
        """An empty piece."""

    @abstractmethod
    def _send(self, piece: P) -> None:
        """Store a full piece."""

    @abstractmethod
    def _finish(self, rest: P) -> None:
        """Store what is left, perhaps nothing, and make all of it an object."""

    @abstractmethod
    def _forget(self) -> None:
        """Remove what was stored, the object too."""
