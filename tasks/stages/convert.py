"""convert: any media in, the 16 kHz mono 16-bit WAV out that every later stage reads.

The decoding itself happens in tasks/decoder, a process of its own that may do next to nothing; here it is
started, watched and, whatever happens, ended.
"""

from __future__ import annotations

import json
import math
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from shared.errors import DecodeFailed, MediaTooLong, NoAudio, ParleyError, UnexpectedError, UnsupportedMedia
from shared.transcript import Conversion, Progress, from_json

DECODER = Path(__file__).parent.parent / "decoder" / "__main__.py"

TICK_S = 0.5
"""Progress is reported at least this often, so that a cancel is heard while the decoder is silent."""

MAX_LINE_BYTES = 65_536
"""An answer is some hundred bytes; a decoder that has been taken over must not fill our memory."""

REFUSALS: dict[str, type[ParleyError]] = {
    kind.code: kind for kind in (NoAudio, UnsupportedMedia, MediaTooLong, DecodeFailed, UnexpectedError)
}


@dataclass(frozen=True, slots=True)
class ConvertLimits:
    """What one file may cost. `memory_bytes` is address space; of it, 130 MB are Python and FFmpeg themselves."""

    max_duration_s: float
    timeout_s: float
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class _Refusal:
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class _Message:
    """One line of the decoder: exactly one field is set."""

    progress: float | None = None
    conversion: Conversion | None = None
    error: _Refusal | None = None


def convert(source: Path, target: Path, limits: ConvertLimits, progress: Progress) -> Conversion:
    """Decode `source` into `target`, plain PCM behind a header of 44 bytes. `target` exists only on success.

    Raises NoAudio, UnsupportedMedia, MediaTooLong or DecodeFailed for the file, UnexpectedError for a full disk, and
    whatever `progress` raises; the decoder has ended by then. Linux ties the decoder's life to the calling thread.
    """
    try:
        with _decoder(source, target, limits) as (child, log):
            answer = _follow(child, limits.timeout_s, progress)
            if answer is None:
                raise _silent_end(child, log)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    progress(1.0)
    return answer


@contextmanager
def _decoder(source: Path, target: Path, limits: ConvertLimits) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    """The running decoder and the file with its stderr. At the end of the block it and its descendants are dead."""
    with (
        tempfile.TemporaryDirectory(dir=target.parent, prefix="decoder-") as folder,
        tempfile.TemporaryFile(dir=folder) as log,
        source.open("rb") as source_file,
        target.open("wb") as target_file,
    ):
        job = {
            "source_fd": source_file.fileno(),
            "target_fd": target_file.fileno(),
            "parent_pid": os.getpid(),
            "max_duration_s": limits.max_duration_s,
            "cpu_s": math.ceil(limits.timeout_s) + 1,
            "memory_bytes": limits.memory_bytes,
        }
        child = subprocess.Popen(  # noqa: S603 - our own interpreter and file
            [sys.executable, "-I", str(DECODER), json.dumps(job)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            pass_fds=(source_file.fileno(), target_file.fileno()),
            cwd=folder,
            env={},
            start_new_session=True,
        )
        with child:
            try:
                yield child, log
            finally:
                # not yet waited for, so its process group cannot be anybody else's
                os.killpg(child.pid, signal.SIGKILL)


def _follow(child: subprocess.Popen[bytes], timeout_s: float, progress: Progress) -> Conversion | None:
    """Read the decoder's lines until it ends; None when it ended without an answer. Raises what it answered."""
    assert child.stdout is not None
    deadline, share, pending = time.monotonic() + timeout_s, 0.0, b""
    answer: Conversion | None = None
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while time.monotonic() < deadline:
            progress(share)
            if not selector.select(min(TICK_S, max(0.0, deadline - time.monotonic()))):
                continue
            chunk = os.read(child.stdout.fileno(), MAX_LINE_BYTES)
            if not chunk:
                return answer
            *lines, pending = (pending + chunk).split(b"\n")
            if len(pending) > MAX_LINE_BYTES:
                raise DecodeFailed("The decoder gave an answer that makes no sense.")
            for line in lines:
                message = _parse(line)
                if message.error is not None:
                    raise REFUSALS.get(message.error.code, DecodeFailed)(message.error.message)
                share = max(share, min(message.progress or 0.0, 1.0))
                answer = message.conversion or answer
    raise DecodeFailed(f"Decoding the file took longer than {timeout_s:g} seconds.")


def _parse(line: bytes) -> _Message:
    try:
        return from_json(_Message, line)
    except ValidationError as problem:
        raise DecodeFailed("The decoder gave an answer that makes no sense.") from problem


def _silent_end(child: subprocess.Popen[bytes], log: IO[bytes]) -> DecodeFailed:
    """The error for a decoder that ended without an answer; what it said goes to the logs as the cause, no further."""
    os.killpg(child.pid, signal.SIGKILL)  # should it only have closed its stdout; a status once set stays
    ended = os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert ended is not None
    log.seek(0)
    noise = log.read(MAX_LINE_BYTES).decode(errors="replace")
    message = "The decoder stopped before it was done with this file."
    if ended.si_code != os.CLD_EXITED and ended.si_status == signal.SIGXCPU:
        message = "Decoding the file takes more processor time than is allowed."
    error = DecodeFailed(message)
    error.__cause__ = RuntimeError(f"decoder ended with {ended.si_code}/{ended.si_status}: {noise}")
    return error
