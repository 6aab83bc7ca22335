"""The way from decoded frames to the WAV: one rate, one channel or each of them, gaps filled, cut off at the limit."""

from __future__ import annotations

import wave
from collections.abc import Iterable, Iterator
from typing import IO, Any

SAMPLE_RATE = 16_000
BYTES_PER_SAMPLE = 2
WAV_HEADER_BYTES = 44

MIN_SAMPLE_RATE, MAX_SAMPLE_RATE = 4_000, 384_000
"""Hz. Telephones send 8 kHz, studios up to 384; one second at a claimed 1 Hz would resample to 16,000."""

MAX_CHANNELS = 64
"""What FFmpeg's resampler can hold (SWR_CH_MAX)."""

MAX_SPLIT_CHANNELS = 8
"""Channels that are kept apart at most: the tracks of common field recorders. Each costs as much as a recording."""

MAX_WAV_BYTES = 2**32 - 1 - WAV_HEADER_BYTES
"""Samples that a WAV can hold: its sizes have 32 bits. Eight channels reach it after 4.6 hours."""

TIMED_CONTAINERS = ("mov", "matroska", "asf", "flv", "mpeg", "mpegts")
"""Containers whose packets carry a clock of their own; in the others FFmpeg derives times from byte counts."""

MIN_GAP_S, MAX_GAP_S, MAX_LEAD_S = 0.1, 3600.0, 1.0
"""A clock that jumps forward by MIN..MAX is a pause that was not recorded and becomes silence. A larger jump, or one
back by more than MAX_LEAD_S, is a clock set anew. Below MIN lie the rounding of containers and codec delay."""


class Refused(Exception):
    """The file cannot become a recording; `code` is one of shared/errors.py."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Mixdown:
    """Decoded frames of any rate, layout and sample format in, 16 kHz signed 16-bit samples out.

    `channels` is 1, or with `split` as many as the first frame has, interleaved. A later frame with another number of
    channels is mixed and put on the first, so that nothing of it is lost.
    """

    def __init__(self, *, split: bool) -> None:
        self._split = split
        self._graph: Any = None
        self._source: tuple[str, str, int] | None = None
        self.channels = 0

    def begin(self, frame: Any) -> int:
        """Settle `channels` by the first frame. Raises Refused."""
        self.channels = frame.layout.nb_channels if self._split else 1
        if self.channels > MAX_SPLIT_CHANNELS:
            raise Refused("unsupported_media", f"More than {MAX_SPLIT_CHANNELS} channels cannot be kept apart.")
        return self.channels

    def feed(self, frame: Any) -> Iterator[memoryview]:
        """Samples that are ready. A frame unlike the one before starts a new filter graph. Raises Refused."""
        source = (frame.format.name, frame.layout.name, frame.sample_rate)
        if source != self._source:
            yield from self.flush()
            self._graph, self._source = _graph(frame, self.channels), source
        yield from self._pass(frame)

    def flush(self) -> Iterator[memoryview]:
        """Samples that the resampler still holds."""
        if self._graph is not None:
            yield from self._pass(None)
        self._graph = self._source = None

    def _pass(self, frame: Any) -> Iterator[memoryview]:
        self._graph.push(frame)
        while True:
            try:
                mixed = self._graph.pull()
            except (BlockingIOError, EOFError):  # it wants more, or has given all
                return
            yield memoryview(mixed.planes[0])[: mixed.samples * self.channels * BYTES_PER_SAMPLE]


def _graph(frame: Any, target: int) -> Any:
    """The FFmpeg filters from frames like this one to `target` channels at 16 kHz. Raises Refused."""
    from av.filter import Graph  # after set_limits

    channels = frame.layout.nb_channels
    if not MIN_SAMPLE_RATE <= frame.sample_rate <= MAX_SAMPLE_RATE:
        raise Refused("unsupported_media", f"A sample rate of {frame.sample_rate} Hz is not accepted.")
    if channels > MAX_CHANNELS:
        raise Refused("unsupported_media", f"More than {MAX_CHANNELS} channels are not accepted.")
    graph = Graph()
    filters = [
        graph.add(
            "abuffer",
            sample_rate=str(frame.sample_rate),
            sample_fmt=frame.format.name,
            channel_layout=frame.layout.name,
            time_base=f"1/{frame.sample_rate}",
        )
    ]
    if channels == target > 1:
        filters.append(graph.add("aformat", sample_rates=str(SAMPLE_RATE), sample_fmts="s16"))
    else:
        if channels > 2 and frame.layout.name == f"{channels} channels":
            # As many microphones, not loudspeakers: FFmpeg would guess surround and drop what it takes for bass.
            terms = "+".join(f"{1 / channels}*c{number}" for number in range(channels))
            filters.append(graph.add("pan", f"mono|c0={terms}"))
        filters.append(graph.add("aformat", sample_rates=str(SAMPLE_RATE), sample_fmts="s16", channel_layouts="mono"))
        if target > 1:
            filters.append(graph.add("pan", f"{target}c|c0=c0"))
    filters.append(graph.add("abuffersink"))
    graph.link_nodes(*filters).configure()
    return graph


class Recording:
    """The WAV file that grows, cut off at `max_duration_s`. `samples` are those of one channel."""

    def __init__(self, file: IO[bytes], max_duration_s: float, channels: int) -> None:
        self._wav = wave.Wave_write(file)
        self._wav.setparams((channels, BYTES_PER_SAMPLE, SAMPLE_RATE, 0, "NONE", ""))
        self._frame_bytes = channels * BYTES_PER_SAMPLE
        self._max_duration_s = min(max_duration_s, MAX_WAV_BYTES // self._frame_bytes // SAMPLE_RATE)
        self.samples = 0

    @property
    def duration(self) -> float:
        """Seconds written so far, counted in samples."""
        return self.samples / SAMPLE_RATE

    def write(self, pcm: bytes | memoryview) -> None:
        """Append samples. Raises Refused (media_too_long)."""
        self.samples += len(pcm) // self._frame_bytes
        if self.duration > self._max_duration_s:
            raise Refused("media_too_long", f"The recording is longer than {self._max_duration_s:g} seconds.")
        self._wav.writeframesraw(pcm)

    def write_all(self, blocks: Iterable[memoryview]) -> None:
        """Append each of `blocks`. Raises Refused (media_too_long)."""
        for pcm in blocks:
            self.write(pcm)

    def write_silence(self, seconds: float) -> None:
        """Append silence, a second at a time so that memory stays flat. Raises Refused (media_too_long)."""
        left = round(seconds * SAMPLE_RATE)
        while left > 0:
            self.write(bytes(min(left, SAMPLE_RATE) * self._frame_bytes))
            left -= SAMPLE_RATE

    def close(self) -> None:
        """Write the sizes into the header."""
        self._wav.writeframes(b"")
        self._wav.close()


class Timeline:
    """Compares the container's clock with the samples written, so that times match what a player shows."""

    def __init__(self, container: Any) -> None:
        timed = container.format.name.split(",")[0] in TIMED_CONTAINERS and container.start_time is not None
        self._origin_s = container.start_time / 1e6 if timed else None

    def gap(self, frame: Any, duration: float) -> float:
        """Seconds of silence that belong before `frame` when `duration` seconds are written, mostly 0."""
        if self._origin_s is None or frame.time is None:
            return 0.0
        gap: float = frame.time - self._origin_s - duration
        if MIN_GAP_S < gap <= MAX_GAP_S:
            return gap
        if gap > MAX_GAP_S or gap < -MAX_LEAD_S:
            self._origin_s = frame.time - duration
        return 0.0
