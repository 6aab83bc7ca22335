"""The program that the package describes; see __init__.py."""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn

sys.path.append(str(Path(__file__).resolve().parents[3]))  # -I leaves our own folder out

from tasks.sandbox.decoder.accepted import CODECS, CONTAINERS, NOT_MEDIA
from tasks.sandbox.decoder.chained import Tail, next_link
from tasks.sandbox.decoder.pcm import (
    BYTES_PER_SAMPLE,
    MAX_SPLIT_CHANNELS,
    SAMPLE_RATE,
    WAV_HEADER_BYTES,
    Mixdown,
    Recording,
    Refused,
    Timeline,
)
from tasks.sandbox.lockdown import close_the_door, set_limits

PROBE_BYTES, PROBE_US = 20_000_000, 30_000_000
"""How far to look for the sound of a file whose video starts first: 20 MB, 30 s. FFmpeg's own 5 MB miss some."""

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
    split: bool


def open_media(source: IO[bytes] | Tail) -> Any:
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
        except IndexError:  # PyAV flushes ours first, then trips over a stream that appeared in the middle of the file
            return
        except av.FFmpegError as problem:
            if isinstance(problem, av.PatchWelcomeError) and container.format.name == "ogg":
                return  # the next link of a chain
            errors += 1
            yield None


def decode(source: IO[bytes], target: IO[bytes], max_duration_s: float, *, split: bool) -> dict[str, Any]:
    """Decode packet by packet into `target`; returns the fields of a Conversion. Raises Refused, MemoryError."""
    container = open_media(source)
    stream = audio_stream(container)
    result = {"container": container.format.name, "codec": stream.codec_context.name}
    recording: Recording | None = None
    mixdown, skipped, start = Mixdown(split=split), 0, 0
    say_progress = _progress(os.fstat(source.fileno()).st_size)
    while True:
        timeline, position = Timeline(container), 0
        for packet in packets(container, stream):
            frames = _frames(packet)
            skipped += frames is None
            for frame in frames or ():
                recording = recording or Recording(target, max_duration_s, mixdown.begin(frame))
                gap = timeline.gap(frame, recording.duration)
                if gap:
                    recording.write_all(mixdown.flush())
                    recording.write_silence(gap)
                recording.write_all(mixdown.feed(frame))
            if packet is not None and packet.pos is not None:
                position = max(position, packet.pos)
                say_progress(start + position)
        link = next_link(source, start + position + 1) if container.format.name == "ogg" else None
        if link is None:
            break
        start = link
        try:
            container = open_media(Tail(source, start))
            stream = audio_stream(container)
        except Refused:
            skipped += 1
            break
    if recording is not None:
        recording.write_all(mixdown.flush())
    if recording is None or not recording.samples:
        raise Refused("no_audio", "Nothing in the file can be decoded as sound.")
    recording.close()
    target.flush()
    return result | {"duration": recording.duration, "skipped_packets": skipped, "channels": mixdown.channels}


def _frames(packet: Any) -> list[Any] | None:
    """What the packet decodes to; None for a packet that is damaged or could not be read."""
    import av

    try:
        return packet.decode() if packet is not None else None
    except MemoryError:
        raise
    except av.FFmpegError:
        return None


def _progress(size: int) -> Callable[[int], None]:
    """A function that takes the position in a file of `size` bytes and now and then tells the parent the share."""
    last_report = time.monotonic()

    def say(position: int) -> None:
        nonlocal last_report
        if time.monotonic() - last_report >= PROGRESS_INTERVAL_S:
            last_report = time.monotonic()
            tell(progress=min(position / size, 1.0))

    return say


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
    channels = MAX_SPLIT_CHANNELS if job.split else 1
    wav_bytes = int(job.max_duration_s * SAMPLE_RATE * BYTES_PER_SAMPLE * channels) + WAV_HEADER_BYTES
    set_limits(job.parent_pid, cpu_s=job.cpu_s, memory_bytes=job.memory_bytes, file_bytes=wav_bytes + (1 << 20))
    load_av()
    source = os.fdopen(job.source_fd, "rb", buffering=0)
    target = os.fdopen(job.target_fd, "wb", buffering=WRITE_BUFFER_BYTES)
    close_the_door()
    try:
        tell(conversion=decode(source, target, job.max_duration_s, split=job.split))
    except Refused as refused:
        tell(error={"code": refused.code, "message": refused.message})
    except MemoryError:
        tell(error={"code": "decode_failed", "message": "Decoding the file takes more memory than is allowed."})
    except OSError as problem:  # a full disk: not the fault of the file, whose own errors are caught where they arise
        tell(error={"code": "unexpected_error", "message": f"The sound could not be written: {problem.strerror}."})


if __name__ == "__main__":
    main()
