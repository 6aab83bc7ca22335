"""convert: any media in, the 16 kHz 16-bit WAV out that every later stage reads.

The decoding itself happens in tasks/sandbox/decoder, in a process of its own that may do next to nothing; here it is
started, watched and, whatever happens, ended.
"""

from __future__ import annotations

import math
import os
import signal
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.errors import (
    DecodeFailed,
    MediaTooLong,
    NoAudio,
    NoSuchTrack,
    ParleyError,
    UnexpectedError,
    UnsupportedMedia,
)
from shared.transcript import Caveat, Conversion, Progress, Shard
from tasks.sandbox.confined import Child, Nonsense, Refusal
from tasks.sandbox.forked import ForkServer

DECODERS = ForkServer(Path(__file__).parents[1] / "sandbox" / "decoder" / "__main__.py")

MAX_TRACKS = 99
"""No more are numbered in a warning; an option names none beyond it."""

TICK_S = 0.5
"""Progress is reported at least this often, so that a cancel is heard while the decoder is silent."""

REFUSALS: dict[str, type[ParleyError]] = {
    kind.code: kind for kind in (NoAudio, NoSuchTrack, UnsupportedMedia, MediaTooLong, DecodeFailed, UnexpectedError)
}


@dataclass(frozen=True, slots=True)
class ConvertLimits:
    """What one file may cost. `memory_bytes` is address space; of it, 130 MB are Python and FFmpeg themselves."""

    max_duration_s: float
    timeout_s: float
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Place:
    """A stretch of the WAV, and how many seconds of sound are lost in it."""

    start: float
    end: float
    lost: float


@dataclass(frozen=True, slots=True)
class Tracks:
    """A file's audio tracks, numbered from 1: how many, which were decoded, and which others are known to be silent."""

    count: int
    decoded: tuple[int, ...]
    silent: tuple[int, ...]

    def warning(self) -> Caveat | None:
        """Names those that were not decoded."""
        others = [number for number in range(1, min(self.count, MAX_TRACKS) + 1) if number not in self.decoded]
        if not others or not self.decoded:
            return None
        names = ", ".join(f"{number} (silent)" if number in self.silent else str(number) for number in others)
        return Caveat(
            "other_tracks",
            f"The recording has {self.count} audio tracks, and this is track {self.decoded[0]}. "
            f"Not in it: {names}. The option track chooses another one, or all of them.",
        )


@dataclass(frozen=True, slots=True)
class Decoded:
    """What the decoder says of a file that it has decoded.

    opposed : where one channel was turned round, because it and another cancelled each other
    damaged : where sound could not be decoded; there is silence in its place, except at the end
    missing : seconds that the file lacks at its end; 0 if it lacks some, nobody knows how many, None if it lacks none
    """

    duration: float
    skipped_packets: int
    container: str
    codec: str
    channels: int
    tracks: Tracks
    opposed: tuple[Place, ...] = ()
    damaged: tuple[Place, ...] = ()
    missing: float | None = None

    def conversion(self, track: int | str | None) -> Conversion:
        """The answer of the stage; `track` is the one that was asked for."""
        return Conversion(
            self.duration,
            self.skipped_packets,
            self.container,
            self.codec,
            self.channels,
            warnings=tuple(self._warnings(track)),
        )

    def _warnings(self, track: int | str | None) -> Iterator[Caveat]:
        others = self.tracks.warning() if track is None else None
        if others:
            yield others
        for place in self.opposed:
            message = "Two channels cancelled each other out here, so one of them was turned round."
            yield Caveat("channels_opposed", message, place.start, place.end)
        for place in self.damaged:
            message = f"The recording is damaged here: {place.lost:.1f} s of it could not be decoded."
            yield Caveat("damaged_recording", message, place.start, place.end)
        if self.missing is not None:
            end = "before its time: it may have been cut off"
            if self.missing:
                end = f"{self.missing:.1f} s before it says that it does: it may have been cut off"
            duration = round(self.duration, 3)
            start = max(0.0, round(duration - 0.1, 3))
            yield Caveat("damaged_recording", f"The recording ends {end}.", start, duration)


@dataclass(frozen=True, slots=True)
class _Message:
    """One line of the decoder: exactly one field is set."""

    progress: float | None = None
    decoded: Decoded | None = None
    error: Refusal | None = None


def convert(
    source: Path,
    target: Path,
    limits: ConvertLimits,
    progress: Progress,
    *,
    split: bool = False,
    track: int | str | None = None,
) -> Conversion:
    """Decode `source` into `target`, plain PCM behind a header of 44 bytes. `target` exists only on success.

    All channels are mixed to one, or with `split` kept apart, at most 8, interleaved. `track` is a number from 1, "all"
    for the mix of all tracks, or None for the first in which there is sound.

    Raises NoAudio, NoSuchTrack, UnsupportedMedia, MediaTooLong or DecodeFailed for the file, UnexpectedError for a full
    disk, and whatever `progress` raises; the decoder has ended by then. Linux ties the decoder's life to the calling
    thread.
    """
    try:
        with _decoder(source, target, limits, split=split, track=track) as child:
            decoded = _follow(child, limits.timeout_s, progress)
            if decoded is None:
                raise _silent_end(child)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    progress(1.0)
    return decoded.conversion(track)


def about_sound(meta: Mapping[str, Any], shard: Shard | None) -> tuple[Caveat, ...]:
    """The warnings in a conversion's `meta` that a shard hands on: those that begin in it, the first shard also those
    about the whole recording. Without shards all of them.
    """
    warnings = (Caveat(**warning) for warning in meta.get("warnings", ()))
    return tuple(warning for warning in warnings if shard is None or shard.start <= (warning.start or 0.0) < shard.end)


@contextmanager
def _decoder(
    source: Path, target: Path, limits: ConvertLimits, *, split: bool, track: int | str | None
) -> Iterator[Child]:
    """The running decoder, which gets two open files and no names."""
    with (
        tempfile.TemporaryDirectory(dir=target.parent, prefix="decoder-") as folder,
        source.open("rb") as source_file,
        target.open("w+b") as target_file,
    ):
        job = {
            "max_duration_s": limits.max_duration_s,
            "cpu_s": math.ceil(limits.timeout_s) + 1,
            "memory_bytes": limits.memory_bytes,
            "split": split,
            "track": track,
        }
        with DECODERS.child(job, Path(folder), fds=(source_file.fileno(), target_file.fileno())) as child:
            yield child


def _follow(child: Child, timeout_s: float, progress: Progress) -> Decoded | None:
    """Hear the decoder until it ends; None when it ended without an answer. Raises what it answered."""
    share = 0.0
    decoded: Decoded | None = None
    try:
        for message in child.messages(_Message, timeout_s=timeout_s, tick_s=TICK_S):
            if message is None:
                progress(share)
            elif message.error is not None:
                raise REFUSALS.get(message.error.code, DecodeFailed)(message.error.message)
            else:
                share = max(share, min(message.progress or 0.0, 1.0))
                decoded = message.decoded or decoded
    except Nonsense as problem:
        raise DecodeFailed("The decoder gave an answer that makes no sense.") from problem
    except TimeoutError:
        raise DecodeFailed(f"Decoding the file took longer than {timeout_s:g} seconds.") from None
    return decoded


def _silent_end(child: Child) -> DecodeFailed:
    """The error for a decoder that ended without an answer; what it said goes to the logs as the cause, no further."""
    code, status, noise = child.end()
    message = "The decoder stopped before it was done with this file."
    if code != os.CLD_EXITED and status == signal.SIGXCPU:
        message = "Decoding the file takes more processor time than is allowed."
    error = DecodeFailed(message)
    error.__cause__ = RuntimeError(f"decoder ended with {code}/{status}: {noise}")
    return error
