"""The sandboxed child that turns any media into 16 kHz mono PCM.

tasks/stages/convert.py runs this file as a program of its own, `python -I decoder.py JOB`, because FFmpeg's parsers
are C and the bytes are a stranger's. The child gets two open files and no names, lowers its own limits, gives up
every right that it can do without, and only then looks at the first byte. It answers on stdout with JSON lines:
`{"progress": 0.4}` now and then, at last either `{"conversion": {...}}` or `{"error": {"code", "message"}}`.

It imports nothing of Parley but its sandbox and its tables, so that no setting and no secret is ever in its memory.
docs/decisions/decoder.md says why it is built like this.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import sys
import time
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn

sys.path.append(str(Path(__file__).resolve().parent.parent))  # -I leaves our own folder out

from tasks.accepted import CODECS, CONTAINERS, NOT_MEDIA
from tasks.sandbox import close_the_door, set_limits

SAMPLE_RATE = 16_000
BYTES_PER_SAMPLE = 2
WAV_HEADER_BYTES = 44

TIMED_CONTAINERS = ("mov", "matroska", "asf", "flv", "mpeg", "mpegts")
"""Containers whose packets carry a clock of their own; in the others FFmpeg derives times from byte counts."""

MIN_SAMPLE_RATE, MAX_SAMPLE_RATE = 4_000, 384_000
"""Hz. Telephones send 8 kHz, studios up to 384; one second at a claimed 1 Hz would resample to 16,000."""

MAX_CHANNELS = 32
"""Largest mixer that FFmpeg's resampler folds to mono without a declared layout; 64 fails."""

PROBE_BYTES, PROBE_US = 20_000_000, 30_000_000
"""How far to look for the sound of a file whose video starts first: 20 MB, 30 s. FFmpeg's own 5 MB miss some."""

MIN_GAP_S, MAX_GAP_S, MAX_LEAD_S = 0.1, 3600.0, 1.0
"""A clock that jumps forward by MIN..MAX is a pause that was not recorded and becomes silence. A larger jump, or one
back by more than MAX_LEAD_S, is a clock set anew. Below MIN lie the rounding of containers and codec delay."""

MAX_READ_ERRORS = 64
"""Consecutive failed reads after which a damaged file counts as ended; some demuxers fail without moving on."""

PROGRESS_INTERVAL_S = 0.2
WRITE_BUFFER_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class Job:
    """What the parent asks for, as JSON in argv[1]. The files are inherited descriptors, never paths."""

    source_fd: int
    target_fd: int
    parent_pid: int
    max_duration_s: float
    cpu_s: int
    memory_bytes: int


class Refused(Exception):
    """The file cannot become a recording; `code` is one of shared/errors.py."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


# ---- reading


def open_media(source: IO[bytes]) -> Any:
    """An av container over `source`. Raises Refused: unsupported_media for a known non-recording, else no_audio."""
    import av  # after set_limits

    head = source.read(512)
    source.seek(0)
    for offset, magic, name in NOT_MEDIA:
        if head[offset:].startswith(magic):
            raise Refused("unsupported_media", f"The file is a {name}, not a recording.")
    options = {
        "format_whitelist": ",".join(CONTAINERS),
        "codec_whitelist": ",".join(CODECS),
        "protocol_whitelist": "none",
        "enable_drefs": "0",  # mov: media data in other files
        "use_absolute_path": "0",
        "probesize": str(PROBE_BYTES),
        "analyzeduration": str(PROBE_US),
    }
    try:
        return av.open(source, options=options, metadata_errors="replace", io_open=_open_no_other)
    except MemoryError:
        raise
    except av.ArgumentError:  # what FFmpeg answers for a format that it knows and the whitelist does not
        raise Refused("unsupported_media", "The file is not an accepted kind of audio or video.") from None
    except av.FFmpegError:
        raise Refused("no_audio", "Nothing in the file can be decoded as sound.") from None


def _open_no_other(url: str, flags: int, options: dict[str, str]) -> NoReturn:
    raise Refused("unsupported_media", "The file refers to other files.")


def audio_stream(container: Any) -> Any:
    """The stream that a player would choose, or the first that can be decoded. Raises Refused (no_audio)."""
    import av

    best = container.streams.best("audio")
    for stream in (best, *container.streams.audio):
        if stream is not None and stream.codec_context is not None and stream.codec_context.name in CODECS:
            break
    else:
        raise Refused("no_audio", "The file holds no sound that can be decoded.")
    for other in container.streams:
        if other is not stream:
            other.discard = av.stream.Discard.all
    stream.codec_context.thread_count = 1
    return stream


def packets(container: Any, stream: Any) -> Iterator[Any]:
    """The packets of `stream`; None for each place that could not be read."""
    import av

    errors = 0
    while errors < MAX_READ_ERRORS:
        try:
            for packet in container.demux(stream):
                errors = 0
                yield packet
            return
        except MemoryError:
            raise
        except av.FFmpegError:
            errors += 1
            yield None


# ---- writing


class Mixdown:
    """Decoded frames of any rate, layout and sample format in, 16 kHz mono signed 16-bit samples out."""

    def __init__(self) -> None:
        self._resampler: Any = None
        self._source: tuple[str, str, int] | None = None

    def feed(self, frame: Any) -> Iterator[memoryview]:
        """Samples that are ready. A frame unlike the one before starts a new resampler. Raises Refused."""
        import av

        source = (frame.format.name, frame.layout.name, frame.sample_rate)
        if source != self._source:
            yield from self.flush()
            if not MIN_SAMPLE_RATE <= frame.sample_rate <= MAX_SAMPLE_RATE:
                raise Refused("unsupported_media", f"A sample rate of {frame.sample_rate} Hz is not accepted.")
            if frame.layout.nb_channels > MAX_CHANNELS:
                raise Refused("unsupported_media", f"More than {MAX_CHANNELS} channels are not accepted.")
            self._resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
            self._source = source
        yield from map(_samples, self._resampler.resample(frame))

    def flush(self) -> Iterator[memoryview]:
        """Samples that the resampler still holds."""
        if self._resampler is not None:
            yield from map(_samples, self._resampler.resample(None))
        self._resampler = self._source = None


def _samples(frame: Any) -> memoryview:
    return memoryview(frame.planes[0])[: frame.samples * BYTES_PER_SAMPLE]


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


def decode(source: IO[bytes], target: IO[bytes], max_duration_s: float) -> dict[str, Any]:
    """Decode packet by packet into `target`; returns the fields of a Conversion. Raises Refused, MemoryError."""
    import av

    container = open_media(source)
    stream = audio_stream(container)
    recording, timeline, mixdown = Recording(target, max_duration_s), Timeline(container), Mixdown()
    size, told, skipped = max(container.size, 1), time.monotonic(), 0
    for packet in packets(container, stream):
        try:
            frames = packet.decode() if packet is not None else None
        except MemoryError:
            raise
        except av.FFmpegError:
            frames = None
        if frames is None:
            skipped += 1
            continue
        for frame in frames:
            gap = timeline.gap(frame, recording.duration)
            if gap:
                for pcm in mixdown.flush():
                    recording.write(pcm)
                recording.write_silence(gap)
            for pcm in mixdown.feed(frame):
                recording.write(pcm)
        if packet.pos is not None and time.monotonic() - told >= PROGRESS_INTERVAL_S:
            told = time.monotonic()
            tell(progress=min(max(packet.pos / size, 0.0), 1.0))
    for pcm in mixdown.flush():
        recording.write(pcm)
    if not recording.samples:
        raise Refused("no_audio", "Nothing in the file can be decoded as sound.")
    recording.close()
    target.flush()
    return {
        "duration": recording.duration,
        "skipped_packets": skipped,
        "container": container.format.name,
        "codec": stream.codec_context.name,
    }


def tell(**message: Any) -> None:
    """One JSON line to the parent."""
    os.write(1, json.dumps(message).encode() + b"\n")


def load_av() -> None:
    """All of PyAV, some of which would otherwise be loaded on first use, when no file can be opened any more."""
    import av

    for module in pkgutil.walk_packages(av.__path__, "av."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def main() -> None:
    """Limits first, then FFmpeg's code, then the lock, then the stranger's bytes."""
    job = Job(**json.loads(sys.argv[1]))
    wav_bytes = int(job.max_duration_s * SAMPLE_RATE * BYTES_PER_SAMPLE) + WAV_HEADER_BYTES
    set_limits(job.parent_pid, cpu_s=job.cpu_s, memory_bytes=job.memory_bytes, file_bytes=wav_bytes + (1 << 20))
    load_av()
    source = os.fdopen(job.source_fd, "rb", buffering=0)
    target = os.fdopen(job.target_fd, "wb", buffering=WRITE_BUFFER_BYTES)
    close_the_door()
    try:
        tell(conversion=decode(source, target, job.max_duration_s))
    except Refused as refused:
        tell(error={"code": refused.code, "message": refused.message})
    except MemoryError:
        tell(error={"code": "decode_failed", "message": "Decoding the file takes more memory than is allowed."})


if __name__ == "__main__":
    main()
