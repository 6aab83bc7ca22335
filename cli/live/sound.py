"""Where the sound of a live session comes from: samples on stdin, a WAV file, or whatever ffmpeg reads."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import wave
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cli.failures import UsageError

SAMPLE_BYTES = 2
PIECE_S = 0.25
RATES = range(8000, 48_001)
FFMPEG_RATE = 16_000


@dataclass(frozen=True, slots=True)
class Sound:
    """16-bit little-endian samples of one channel, in pieces of at most PIECE_S."""

    rate: int
    pieces: Iterator[bytes]


def sound(name: str, rate: int, speed: float) -> Sound:
    """Of `-`, samples at `rate` Hz as they come; of a file, its own rate, `speed` times as fast as it is spoken.

    Raises UsageError and OSError.
    """
    if name == "-":
        return Sound(rate, _stdin(rate))
    source = _file(Path(name))
    return Sound(source.rate, _paced(source, speed))


def _stdin(rate: int) -> Iterator[bytes]:
    size = round(PIECE_S * rate) * SAMPLE_BYTES
    while data := os.read(sys.stdin.fileno(), size):  # what is there, without waiting for more
        yield data


def _paced(source: Sound, speed: float) -> Iterator[bytes]:
    began, sent_s = time.monotonic(), 0.0
    for piece in source.pieces:
        time.sleep(max(0.0, began + sent_s / speed - time.monotonic()))
        yield piece
        sent_s += len(piece) / (SAMPLE_BYTES * source.rate)


def _file(path: Path) -> Sound:
    try:
        wav = wave.open(str(path), "rb")  # noqa: SIM115 - the pieces are read later
    except (wave.Error, EOFError):
        return _by_ffmpeg(path)
    if wav.getsampwidth() != SAMPLE_BYTES or wav.getframerate() not in RATES:
        wav.close()
        return _by_ffmpeg(path)
    return Sound(wav.getframerate(), _of_wav(wav))


def _of_wav(wav: wave.Wave_read) -> Iterator[bytes]:
    with wav:
        count = wav.getnchannels()
        while data := wav.readframes(round(PIECE_S * wav.getframerate())):
            yield data if count == 1 else _mixed(data, count)


def _mixed(data: bytes, count: int) -> bytes:
    """The mean of the channels."""
    samples = array("h", data)
    if sys.byteorder == "big":
        samples.byteswap()
    mean = array("h", (sum(frame) // count for frame in zip(*[iter(samples)] * count, strict=True)))
    if sys.byteorder == "big":
        mean.byteswap()
    return mean.tobytes()


def _by_ffmpeg(path: Path) -> Sound:
    program = shutil.which("ffmpeg")
    if program is None:
        raise UsageError(f"{path} is no WAV file of 16-bit samples; with ffmpeg installed, other files can be read.")
    return Sound(FFMPEG_RATE, _of_ffmpeg(program, path))


def _of_ffmpeg(program: str, path: Path) -> Iterator[bytes]:
    command = [program, "-v", "error", "-nostdin", "-i", f"file:{path}", "-vn", "-ac", "1", "-ar", str(FFMPEG_RATE)]
    with subprocess.Popen([*command, "-f", "s16le", "-"], stdout=subprocess.PIPE) as process:  # noqa: S603
        assert process.stdout
        while data := process.stdout.read(round(PIECE_S * FFMPEG_RATE) * SAMPLE_BYTES):
            yield data
    if process.returncode:
        raise UsageError(f"ffmpeg could not read {path}.")
