"""What was said so far, as a WAV in memory of a bounded size."""

from __future__ import annotations

import io
import wave
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from cli.failures import Failure
from cli.wyoming.frames import Garbled

BUDGET_BYTES = 256 * 1024**2
"""For the recordings of all connections together: two hours as Home Assistant sends them."""

LARGEST = {"rate": 384_000, "width": 4, "channels": 64}
"""Of a format: Hz, bytes, number."""


class Budget:
    """Bytes that recordings may still take."""

    def __init__(self, size: int = BUDGET_BYTES) -> None:
        self._remaining = size

    def take(self, size: int) -> None:
        """Raises Failure when so many are not left."""
        if size > self._remaining:
            raise Failure("busy", "The recordings of other connections fill the memory. Try again in a moment.")
        self._remaining -= size

    def give_back(self, size: int) -> None:
        self._remaining += size


@dataclass(frozen=True, slots=True)
class Format:
    """Of samples: rate in Hz, width in bytes, number of channels."""

    rate: int
    width: int
    channels: int

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Self:
        """The format that an event says. Raises Garbled."""
        for name, largest in LARGEST.items():
            value = data.get(name)
            if type(value) is not int or not 1 <= value <= largest:
                raise Garbled(f"{name} of audio is a number from 1 to {largest}.")
        return cls(data["rate"], data["width"], data["channels"])

    @property
    def bytes_per_second(self) -> int:
        return self.rate * self.width * self.channels

    def __str__(self) -> str:
        return f"{self.rate} Hz, {8 * self.width} bits, channels: {self.channels}"


class Recording:
    """Grows by pieces; `close` returns its memory. Samples of one byte are unsigned in WAV, as in `wyoming`'s own."""

    def __init__(self, format: Format, max_seconds: float, budget: Budget) -> None:
        self.format = format
        self._max_seconds, self._budget = max_seconds, budget
        self._max_bytes = int(max_seconds * format.bytes_per_second)
        self._bytes = 0
        self._content = io.BytesIO()
        self._wav = wave.open(self._content, "wb")  # noqa: SIM115 - closed when the recording is complete
        self._wav.setframerate(format.rate)
        self._wav.setsampwidth(format.width)
        self._wav.setnchannels(format.channels)

    @property
    def seconds(self) -> float:
        return self._bytes / self.format.bytes_per_second

    def expect(self, size: int) -> None:
        """Raises Failure when so many more bytes would be too many."""
        if self._bytes + size > self._max_bytes:
            raise Failure("too_long", f"A recording may last {self._max_seconds:g} s; this one lasts longer.")

    def add(self, piece: bytes) -> None:
        """Raises Failure when all recordings together would be too large."""
        self._budget.take(len(piece))
        self._bytes += len(piece)
        self._wav.writeframesraw(piece)

    def wav(self) -> io.BytesIO:
        """The file; nothing is added any more."""
        self._wav.close()
        return self._content

    def close(self) -> None:
        self._budget.give_back(self._bytes)
        self._bytes = 0
        self._content = io.BytesIO()
