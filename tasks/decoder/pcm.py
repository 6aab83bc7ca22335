"""The way from decoded frames to the WAV: one rate, one channel, gaps filled, cut off at the limit."""

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
    """Decoded frames of any rate, layout and sample format in, 16 kHz mono signed 16-bit samples out."""

    def __init__(self) -> None:
        self._graph: Any = None
        self._source: tuple[str, str, int] | None = None

    def feed(self, frame: Any) -> Iterator[memoryview]:
        """Samples that are ready. A frame unlike the one before starts a new filter graph. Raises Refused."""
        source = (frame.format.name, frame.layout.name, frame.sample_rate)
        if source != self._source:
            yield from self.flush()
            self._graph, self._source = _mixing_graph(frame), source
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
            yield memoryview(mixed.planes[0])[: mixed.samples * BYTES_PER_SAMPLE]


def _mixing_graph(frame: Any) -> Any:
    """The FFmpeg filters from frames like this one to 16 kHz mono. Raises Refused."""
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
    if channels > 2 and frame.layout.name == f"{channels} channels":
        # As many microphones, not loudspeakers: FFmpeg would guess a surround layout and drop what it takes for bass.
        terms = "+".join(f"{1 / channels}*c{number}" for number in range(channels))
        filters.append(graph.add("pan", f"mono|c0={terms}"))
    filters.append(graph.add("aformat", sample_rates=str(SAMPLE_RATE), sample_fmts="s16", channel_layouts="mono"))
    filters.append(graph.add("abuffersink"))
    graph.link_nodes(*filters).configure()
    return graph


class Recording:
    """The WAV file that grows, cut off at `max_duration_s`."""

    def __init__(self, file: IO[bytes], max_duration_s: float) -> None:
        self._wav = wave.Wave_write(file)
        self._wav.setparams((1, BYTES_PER_SAMPLE, SAMPLE_RATE, 0, "NONE", ""))
        self._max_duration_s = max_duration_s
        self.samples = 0

    @property
    def duration(self) -> float:
        """Seconds written so far, counted in samples."""
        return self.samples / SAMPLE_RATE

    def write(self, pcm: bytes | memoryview) -> None:
        """Append samples. Raises Refused (media_too_long)."""
        self.samples += len(pcm) // BYTES_PER_SAMPLE
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
            self.write(bytes(min(left, SAMPLE_RATE) * BYTES_PER_SAMPLE))
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
