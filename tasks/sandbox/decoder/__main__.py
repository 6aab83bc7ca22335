"""The program that the package describes; see __init__.py."""

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
from tasks.sandbox.lockdown import close_the_door, set_limits

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
    track: int | str | None


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
    mode = "r+b" if job.track == ALL else "wb"  # tracks are mixed by reading what is there
    target: IO[bytes] = os.fdopen(job.target_fd, mode, buffering=WRITE_BUFFER_BYTES)
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
    main()
