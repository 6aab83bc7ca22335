"""A container that arrives by a pipe -> samples, in the child that tasks/sandbox/stream describes."""

from __future__ import annotations

import json
import os
import select
from collections.abc import Iterator
from typing import Any

from tasks.sandbox.decoder import media
from tasks.sandbox.decoder.pcm import BYTES_PER_SAMPLE, SAMPLE_RATE, Refused
from tasks.sandbox.decoder.tracks import select as select_track
from tasks.sandbox.stream import wire

CONTAINERS = ((0, b"\x1aE\xdf\xa3", "matroska"), (0, b"OggS", "ogg"), (4, b"ftyp", "mov"))
"""Place and magic of the containers, and FFmpeg's demuxer for them."""

CODECS = ("opus", "libopus", "aac", "vorbis")
"""What browsers record sound with, within the bytes of a second that a session may have."""

HEAD_BYTES = 8
PROBE_BYTES = 32_768
"""How far FFmpeg looks before the first packet; it stops as soon as it knows the codec, which the header names."""

BUFFER_BYTES = 4_096
BLOCK_BYTES = 1 << 15
"""A second of samples is said at once, where there is so much."""

MIN_RATE, MAX_RATE, MAX_CHANNELS = 8_000, 96_000, 8

MIN_GAP_S, MAX_GAP_S, MAX_LEAD_S = 0.1, 60.0, 1.0
"""As in tasks/sandbox/decoder/timeline.py, but for the longest: a few bytes must not be an hour."""


class Inlet:
    """The bytes of a pipe, as a file that FFmpeg reads. Before it waits for more, all that is decoded is said."""

    def __init__(self, pipe: int, outlet: Outlet) -> None:
        self._pipe, self._outlet = pipe, outlet
        self._count = 0
        self._head = b""
        self.is_over = False

    def head(self, size: int) -> bytes:
        """At least so many of the first bytes, where there are so many. They are read again."""
        while len(self._head) < size and not self.is_over:
            self._head += self._next(BUFFER_BYTES)
        return self._head

    def read(self, size: int) -> bytes:
        """Up to so many, at least one before the end."""
        if self._head:
            data, self._head = self._head[:size], self._head[size:]
            return data
        return self._next(size)

    def _next(self, size: int) -> bytes:
        if not select.select([self._pipe], [], [], 0)[0]:
            self._outlet.want(self._count)
        data = os.read(self._pipe, size)
        self._count += len(data)
        self.is_over = self.is_over or not data
        return data


class Outlet:
    """The pipe to the parent."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe
        self._pcm = bytearray()

    def add(self, pcm: bytes | memoryview) -> None:
        """Samples, which are said in blocks."""
        self._pcm += pcm
        while len(self._pcm) >= BLOCK_BYTES:
            self._say(wire.SAMPLES, bytes(self._pcm[:BLOCK_BYTES]))
            del self._pcm[:BLOCK_BYTES]

    def want(self, count: int) -> None:
        """All of `count` bytes is decoded as far as it can be."""
        self.flush()
        self._say(wire.WANTS, wire.COUNT.pack(count))

    def refuse(self, code: str, message: str) -> None:
        """Behind what was decoded."""
        self.flush()
        self._say(wire.REFUSAL, json.dumps({"code": code, "message": message}).encode())

    def end(self) -> None:
        self.flush()
        self._say(wire.END)

    def flush(self) -> None:
        if self._pcm:
            self._say(wire.SAMPLES, bytes(self._pcm))
            self._pcm.clear()

    def _say(self, kind: bytes, body: bytes = b"") -> None:
        data = memoryview(wire.message(kind, body))
        while data:
            data = data[os.write(self._pipe, data) :]


def decode(inlet: Inlet, outlet: Outlet) -> None:
    """Say the sound of the container that comes by the inlet, to its end. Raises Refused and MemoryError."""
    container = _opened(inlet)
    stream = select_track(container, 0)
    if stream.codec_context.name not in CODECS:
        raise Refused("unsupported_media", "The sound of a live session is Opus, AAC or Vorbis.")
    mix, clock = Mix(), Clock()
    for packet in media.packets(container, stream):
        for frame in media.frames(packet) or ():
            _check(frame)
            for silence in clock.silence(frame.time):
                outlet.add(silence)
            for pcm in mix.feed(frame):
                clock.sample_count += len(pcm) // BYTES_PER_SAMPLE
                outlet.add(pcm)
    for pcm in mix.flush():
        outlet.add(pcm)
    if not inlet.is_over:
        raise Refused("decode_failed", "The container cannot be read any further.")


def _opened(inlet: Inlet) -> Any:
    """Its header is read as far as it is needed. Raises Refused."""
    import av

    head = inlet.head(HEAD_BYTES)
    name = next((name for place, magic, name in CONTAINERS if head[place:].startswith(magic)), None)
    if name is None:
        raise Refused("unsupported_media", "The session is neither WebM nor Ogg nor fragmented MP4.")
    if name == "mov":
        inlet.head(BUFFER_BYTES)  # FFmpeg goes back a little in its header, and has only what it has read at once
    options = {
        "format_whitelist": name,
        "codec_whitelist": ",".join(CODECS),
        "protocol_whitelist": "none",
        "enable_drefs": "0",
        "use_absolute_path": "0",
        "probesize": str(PROBE_BYTES),
        "analyzeduration": "0",
        "fflags": "nobuffer",
    }
    try:
        return av.open(
            inlet,
            format=name,
            options=options,
            buffer_size=BUFFER_BYTES,
            metadata_errors="replace",
            io_open=media.open_no_other,
        )
    except MemoryError:
        raise
    except av.FFmpegError:
        raise Refused("no_audio", "Nothing in the container can be decoded as sound.") from None


def _check(frame: Any) -> None:
    if not (MIN_RATE <= frame.sample_rate <= MAX_RATE and 0 < frame.layout.nb_channels <= MAX_CHANNELS):
        raise Refused("unsupported_media", "The rate or the channels of the sound are none that browsers record.")


class Mix:
    """Frames of any kind in, PCM of one channel at 16 kHz out."""

    def __init__(self) -> None:
        self._resampler: Any = None
        self._kind: tuple[str, str, int] | None = None

    def feed(self, frame: Any) -> Iterator[memoryview]:
        import av

        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if kind != self._kind:
            yield from self.flush()
            self._resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
            self._kind = kind
        frame.pts = None  # samples follow each other: what a clock says is not the resampler's business
        yield from self._pass(frame)

    def flush(self) -> Iterator[memoryview]:
        """What the resampler still holds."""
        if self._resampler is not None:
            yield from self._pass(None)
        self._resampler = self._kind = None

    def _pass(self, frame: Any) -> Iterator[memoryview]:
        for mixed in self._resampler.resample(frame):
            yield memoryview(mixed.planes[0])[: mixed.samples * BYTES_PER_SAMPLE]


class Clock:
    """Times of frames, held against the samples so far, `sample_count`."""

    def __init__(self) -> None:
        self.sample_count = 0
        self._origin_s: float | None = None

    def silence(self, time_s: float | None) -> Iterator[bytes]:
        """What belongs before a frame of this time, counted as written."""
        if time_s is None:
            return
        now_s = self.sample_count / SAMPLE_RATE
        if self._origin_s is None:
            self._origin_s = time_s - now_s
        gap_s = time_s - self._origin_s - now_s
        if gap_s > MAX_GAP_S or gap_s < -MAX_LEAD_S:
            self._origin_s = time_s - now_s
        elif gap_s > MIN_GAP_S:
            remaining = round(gap_s * SAMPLE_RATE)
            self.sample_count += remaining
            while remaining > 0:
                yield bytes(min(remaining, SAMPLE_RATE) * BYTES_PER_SAMPLE)
                remaining -= SAMPLE_RATE
