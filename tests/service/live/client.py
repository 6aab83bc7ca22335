"""A client of /ws/stream for the tests: it sends audio in frames, and keeps what it is told."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import numpy as np
from faster_whisper.audio import decode_audio
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from scripts.weights.fixtures import fixture

RATE = 16_000
FRAME_S = 0.25
PATIENCE_S = 120
READINGS = ("librivox-0870.wav", "librivox-0880.wav", "librivox-0890.wav")

Message = dict[str, Any]


def pcm(*names: str, pause_s: float = 1.0) -> bytes:
    """The recordings as 16-bit PCM at 16 kHz, with a pause behind each."""
    pause = np.zeros(round(pause_s * RATE), np.float32)
    parts = [part for name in names for part in (decode_audio(str(fixture(name)), sampling_rate=RATE), pause)]
    return (np.concatenate(parts) * 32767).astype("<i2").tobytes()


def frames(sound: bytes, seconds: float = FRAME_S, rate: int = RATE) -> list[bytes]:
    """Pieces of so many seconds."""
    size = round(seconds * rate) * 2
    return [sound[place : place + size] for place in range(0, len(sound), size)]


class Client:
    """One socket. A thread reads all that comes."""

    def __init__(
        self, url: str, key: str | None, query: Mapping[str, object] | None = None, subprotocols: Sequence[str] = ()
    ) -> None:
        address = f"{url.replace('http', 'ws', 1)}/ws/stream?{urlencode(query or {})}"
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.socket: ClientConnection = connect(
            address,
            additional_headers=headers,
            subprotocols=[Subprotocol(name) for name in subprotocols] or None,
            compression=None,
            max_size=None,
            proxy=None,
            open_timeout=PATIENCE_S,
            legacy=True,
        )
        self.messages: list[Message] = []
        self.closed_with: int | None = None
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def _read(self) -> None:
        try:
            for message in self.socket:
                with self._news:
                    self.messages.append(json.loads(message))
                    self._news.notify_all()
        except ConnectionClosed:
            pass
        with self._news:
            self.closed_with = self.socket.close_code or 1006
            self._news.notify_all()

    # ---- what it was told

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        """The condition's first true value."""
        with self._news:
            value = self._news.wait_for(lambda: condition() or (self.closed_with and condition()), PATIENCE_S)
        assert value, f"not within {PATIENCE_S} s: {what}; {self.messages[-3:]}, {self.closed_with}"
        return value

    def all(self, kind: str) -> list[Message]:
        return [message for message in self.messages if message["type"] == kind]

    def first(self, kind: str) -> Message:
        """Waits for it."""
        return dict(self.until(lambda: self.all(kind), kind)[0])

    def end_code(self) -> int:
        """By which the socket was closed. Waits for it."""
        return int(self.until(lambda: self.closed_with, "closed"))

    @property
    def acked(self) -> int:
        return max((message["seq"] for message in self.all("ack")), default=0)

    @property
    def text(self) -> str:
        return " ".join(final["text"].strip() for final in self.all("final"))

    # ---- what it says

    def say(self, message: Mapping[str, object]) -> None:
        self.socket.send(json.dumps(message))

    def send(self, pieces: Sequence[bytes], *, speed: float = 1.0, seconds: float = FRAME_S) -> None:
        """In real time, or `speed` times as fast."""
        for piece in paced(pieces, seconds / speed):
            self.socket.send(piece)

    def drop(self) -> None:
        """The line is cut: no goodbye."""
        with suppress(OSError):
            self.socket.socket.shutdown(socket.SHUT_RDWR)


def paced(pieces: Sequence[bytes], seconds: float) -> Iterator[bytes]:
    began = time.monotonic()
    for number, piece in enumerate(pieces):
        time.sleep(max(0.0, began + number * seconds - time.monotonic()))
        yield piece
