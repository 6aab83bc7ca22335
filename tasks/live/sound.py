"""The bytes of a session -> samples, as its listener takes them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np

from shared.config import Settings
from shared.live.age import Age
from shared.live.listeners import Claim
from shared.live.sessions import CONTAINER
from shared.transcript import SAMPLE_RATE
from tasks.pcm import FULL_SCALE, SAMPLE_BYTES, Samples
from tasks.sandbox.stream.decoder import StreamDecoder, stream_decoder
from tasks.worker.workspace import workspace

BLOCK_S = 10
BLOCK_BYTES = BLOCK_S * SAMPLE_RATE * SAMPLE_BYTES
"""No more is heard at once, and kept in memory."""

CPU_SHARE, CPU_S = 20, 60
"""The processor time of a session's decoder: a twentieth of the longest session, and what it takes to start."""


class Sound(Protocol):
    """Samples are float32 at 16 kHz in [-1, 1], shape (n,), from the session's place of resumption on.

    first : byte from which they can be heard
    """

    first: int

    @property
    def is_behind(self) -> bool:
        """Whether nothing that was fed lies behind that place yet."""

    @property
    def is_mute(self) -> bool:
        """Whether nothing that was fed was sound."""

    def hear(self, data: bytes) -> Iterator[Samples]:
        """What the next bytes are, as far as that can be told without those that follow."""

    def end(self) -> Iterator[Samples]:
        """What is left when no more come."""

    def seconds(self, size: int) -> float:
        """How long the first `size` bytes of the session are, as far as that is known."""

    def ahead_s(self) -> float:
        """How far the sound is ahead of the clock."""


@contextmanager
def opened(claim: Claim, config: Settings) -> Iterator[Sound]:
    """The sound of a session, for the time of the block. Linux ties a container's decoder to the calling thread."""
    if claim.encoding != CONTAINER:
        yield Pcm(claim.rate, claim.place.resume_s)
        return
    cpu_s = CPU_S + round(config.live_longest_s / CPU_SHARE)
    with workspace(config.scratch_dir, "listen") as folder, stream_decoder(folder, cpu_s) as decoder:
        yield Container(decoder, claim.place.resume_s, claim.age)


class Container:
    """A container that arrives. Whoever goes on with one decodes it from its header, and passes over what was heard."""

    first = 0

    def __init__(self, decoder: StreamDecoder, resume_s: float, age: Age) -> None:
        self._decoder, self._age = decoder, age
        self._fed = self._samples = 0
        self._remaining = round(resume_s * SAMPLE_RATE)

    @property
    def is_behind(self) -> bool:
        return self._remaining > 0

    def hear(self, data: bytes) -> Iterator[Samples]:
        """Raises NoAudio and UnsupportedMedia for what is no container that can be heard, and DecodeFailed."""
        self._fed += len(data)
        yield from self._blocks(self._decoder.feed(data))

    def end(self) -> Iterator[Samples]:
        """Raises as `hear`. A session without a byte is no container, and nobody's fault."""
        if self._fed:
            yield from self._blocks(self._decoder.end())

    def seconds(self, size: int) -> float:
        """Those that were not decoded yet count as those that were."""
        decoded_s = self._samples / SAMPLE_RATE
        return decoded_s * max(1.0, size / self._fed) if self._fed else 0.0

    def ahead_s(self) -> float:
        return self._samples / SAMPLE_RATE - self._age.now_s

    @property
    def is_mute(self) -> bool:
        return not self._samples

    def _blocks(self, pieces: Iterator[memoryview]) -> Iterator[Samples]:
        block = bytearray()
        for piece in pieces:
            block += self._behind(piece)
            if len(block) >= BLOCK_BYTES:
                yield _samples(block)
                block = bytearray()
        if block:
            yield _samples(block)

    def _behind(self, piece: memoryview) -> memoryview:
        """What is to be heard of it."""
        count = len(piece) // SAMPLE_BYTES
        passed = min(count, self._remaining)
        self._samples += count
        self._remaining -= passed
        return piece[passed * SAMPLE_BYTES :]


class Pcm:
    """16-bit PCM of one channel at `rate` Hz, in pieces of any length."""

    is_behind = is_mute = False

    def __init__(self, rate: int, resume_s: float = 0.0) -> None:
        self.first = round(resume_s * rate) * SAMPLE_BYTES
        self._rest = b""
        self._rate = rate
        self._resampler: Any = None
        if rate != SAMPLE_RATE:
            import av

            self._resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)

    def hear(self, data: bytes) -> Iterator[Samples]:
        size = BLOCK_S * self._rate * SAMPLE_BYTES
        for place in range(0, len(data), size):
            yield self.samples(data[place : place + size])

    def end(self) -> Iterator[Samples]:
        """Half a sample is none."""
        yield from ()

    def seconds(self, size: int) -> float:
        return size / (SAMPLE_BYTES * self._rate)

    def ahead_s(self) -> float:
        """Gateways take it no faster than it is spoken."""
        return 0.0

    def samples(self, data: bytes) -> Samples:
        """What is whole so far; half a sample waits for its other half."""
        data = self._rest + data
        whole = len(data) - len(data) % SAMPLE_BYTES
        self._rest = data[whole:]
        pcm = np.frombuffer(data[:whole], "<i2")
        if self._resampler is None or not len(pcm):
            return _samples(data[:whole])
        import av

        frame = av.AudioFrame.from_ndarray(pcm.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = self._rate
        parts = [each.to_ndarray()[0] for each in self._resampler.resample(frame)]
        resampled: Samples = np.concatenate(parts) if parts else np.zeros(0, np.float32)
        return resampled


def _samples(pcm: bytes | bytearray) -> Samples:
    """Of 16-bit PCM at 16 kHz."""
    samples: Samples = np.frombuffer(pcm, "<i2").astype(np.float32) / np.float32(FULL_SCALE)
    return samples
