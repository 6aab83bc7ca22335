"""The copy of a converted recording that people listen to: mono Opus, and the peaks of its waveform.

It is encoded where the recording was decoded, in a process that may do next to nothing.
"""

from __future__ import annotations

import math
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from shared.errors import DecodeFailed
from shared.transcript import Progress
from tasks.sandbox.confined import Nonsense, Refusal
from tasks.stages.convert import DECODERS, TICK_S, ConvertLimits


@dataclass(frozen=True, slots=True)
class Encoded:
    """How the file is laid out: the Opus, then the peaks of each channel, one byte each."""

    audio_bytes: int
    lane_bytes: int


@dataclass(frozen=True, slots=True)
class _Message:
    """One line of the encoder: exactly one field is set."""

    progress: float | None = None
    encoded: Encoded | None = None
    error: Refusal | None = None


def _checked(encoded: Encoded, target: IO[bytes], channels: int) -> Encoded:
    """The layout, if the file can have it: whoever wrote it has handled a stranger's bytes. Raises Nonsense."""
    size = encoded.audio_bytes + channels * encoded.lane_bytes
    if min(encoded.audio_bytes, encoded.lane_bytes) < 0 or size != os.fstat(target.fileno()).st_size:
        raise Nonsense
    return encoded


def listening_copy(wav: Path, target: Path, channels: int, limits: ConvertLimits, progress: Progress) -> Encoded:
    """Encode a WAV of so many channels, as convert makes it, into `target`.

    Raises DecodeFailed when that fails or takes too long, and whatever `progress` raises.
    """
    job = {"channels": channels, "cpu_s": math.ceil(limits.timeout_s) + 1, "memory_bytes": limits.memory_bytes}
    with (
        tempfile.TemporaryDirectory(dir=target.parent, prefix="encoder-") as folder,
        wav.open("rb") as source_file,
        target.open("w+b") as target_file,
        DECODERS.child(job, Path(folder), fds=(source_file.fileno(), target_file.fileno())) as child,
    ):
        share = 0.0
        try:
            for message in child.messages(_Message, timeout_s=limits.timeout_s, tick_s=TICK_S):
                if message is None:
                    progress(share)
                elif message.error is not None:
                    raise DecodeFailed(message.error.message)
                elif message.encoded is not None:
                    return _checked(message.encoded, target_file, channels)
                else:
                    share = max(share, min(message.progress or 0.0, 1.0))
        except Nonsense as problem:
            raise DecodeFailed("The encoder gave an answer that makes no sense.") from problem
        except TimeoutError:
            raise DecodeFailed(f"Encoding the copy took longer than {limits.timeout_s:g} seconds.") from None
        code, status, noise = child.end()
        error = DecodeFailed("The encoder stopped before it was done.")
        error.__cause__ = RuntimeError(f"encoder ended with {code}/{status}: {noise}")
        raise error
