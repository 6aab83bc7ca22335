"""The program that the package describes; see __init__.py. It serves as tasks/sandbox/fork_server.py says."""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

sys.path.append(str(Path(__file__).resolve().parents[3]))  # -I leaves our own folder out

from tasks.sandbox.decoder.decoding import Decoding
from tasks.sandbox.decoder.mixdown import MAX_SPLIT_CHANNELS
from tasks.sandbox.decoder.pcm import BYTES_PER_SAMPLE, SAMPLE_RATE, WAV_HEADER_BYTES, Refused
from tasks.sandbox.decoder.tracks import ALL
from tasks.sandbox.encoder.opus import encode
from tasks.sandbox.fork_server import serve
from tasks.sandbox.lockdown import close_the_door, set_limits

PROGRESS_INTERVAL_S = 0.2
WRITE_BUFFER_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class Job:
    """What the worker asks for. The files come as open descriptors, never as paths."""

    max_duration_s: float
    cpu_s: int
    memory_bytes: int
    split: bool
    track: int | str | None


@dataclass(frozen=True, slots=True)
class EncodeJob:
    """What the worker asks for when the source is a recording that was decoded: its copy for listening."""

    channels: int
    cpu_s: int
    memory_bytes: int


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


def work(fields: dict[str, Any], descriptors: list[int], server_pid: int) -> None:
    """Decode, or with the number of `channels` encode what was decoded before."""
    (encode_copy if "channels" in fields else decode)(fields, descriptors, server_pid)


def encode_copy(fields: dict[str, Any], descriptors: list[int], server_pid: int) -> None:
    """Under the same limits and locks: these samples are what FFmpeg has made of a stranger's bytes."""
    job, (source_fd, target_fd) = EncodeJob(**fields), descriptors
    size = os.fstat(source_fd).st_size
    set_limits(server_pid, cpu_s=job.cpu_s, memory_bytes=job.memory_bytes, file_bytes=size + (1 << 20))
    source, target = os.fdopen(source_fd, "rb", buffering=0), os.fdopen(target_fd, "r+b")
    close_the_door()
    try:
        tell(encoded=encode(source, target, job.channels, _progress(size)))
    except MemoryError:
        tell(error={"code": "decode_failed", "message": "Encoding the copy takes more memory than is allowed."})
    except OSError as problem:
        tell(error={"code": "unexpected_error", "message": f"The copy could not be written: {problem.strerror}."})


def decode(fields: dict[str, Any], descriptors: list[int], server_pid: int) -> None:
    """Limits first, then the lock, then the stranger's bytes. FFmpeg's code is loaded."""
    job, (source_fd, target_fd) = Job(**fields), descriptors
    channels = MAX_SPLIT_CHANNELS if job.split else 1
    wav_bytes = int(job.max_duration_s * SAMPLE_RATE * BYTES_PER_SAMPLE * channels) + WAV_HEADER_BYTES
    set_limits(server_pid, cpu_s=job.cpu_s, memory_bytes=job.memory_bytes, file_bytes=wav_bytes + (1 << 20))
    source = os.fdopen(source_fd, "rb", buffering=0)
    mode = "r+b" if job.track == ALL else "wb"  # tracks are mixed by reading what is there
    target: IO[bytes] = os.fdopen(target_fd, mode, buffering=WRITE_BUFFER_BYTES)
    close_the_door()
    at_byte = _progress(os.fstat(source.fileno()).st_size)
    try:
        decoding = Decoding(source, target, job.max_duration_s, at_byte, split=job.split, track=job.track)
        tell(decoded=decoding.run())
    except Refused as refused:
        tell(error={"code": refused.code, "message": refused.message})
    except MemoryError:
        tell(error={"code": "decode_failed", "message": "Decoding the file takes more memory than is allowed."})
    except OSError as problem:  # a full disk: not the fault of the file, whose own errors are caught where they arise
        tell(error={"code": "unexpected_error", "message": f"The sound could not be written: {problem.strerror}."})


if __name__ == "__main__":
    serve(load_av, work)
