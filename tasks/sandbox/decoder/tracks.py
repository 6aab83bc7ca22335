"""Which of a file's audio tracks is decoded: the one asked for, all of them, or the first in which there is sound."""

from __future__ import annotations

from heapq import heappushpop
from typing import IO, Any

from tasks.sandbox.decoder import media
from tasks.sandbox.decoder.accepted import CODECS
from tasks.sandbox.decoder.mixdown import Mixdown
from tasks.sandbox.decoder.pcm import Refused

ALL = "all"

AUDIBLE = 100
"""Sample value, of 32768, that a track with sound reaches in `SUSTAINED` blocks: -50 dB. A muted one does not."""

SUSTAINED = 8
"""Blocks of a frame or 50 ms each; a click when the recording starts is shorter."""

LOUDER = 4
"""Of tracks that are all fainter than that, another one is taken only if it is so many times louder: 12 dB."""


def choose(source: IO[bytes], container: Any, number: int | str | None) -> tuple[list[int], list[int]]:
    """The tracks to decode, counted from 0, and those that were listened to and are silent.

    Raises Refused: no_such_track, or no_audio where none can be decoded.
    """
    count = len(container.streams.audio)
    usable = [n for n, stream in enumerate(container.streams.audio) if _is_usable(stream)]
    if isinstance(number, int) and number > count > 0:
        has = "one audio track" if count == 1 else f"{count} audio tracks"
        raise Refused("no_such_track", f"The recording has {has}; there is no track {number}.")
    if isinstance(number, int):
        usable = [n for n in usable if n == number - 1]
    if not usable:
        raise Refused("no_audio", "The file holds no sound that can be decoded.")
    if number == ALL or len(usable) == 1:
        return usable, []
    best = container.streams.best("audio")  # the one that a player would choose
    usable.sort(key=lambda n: best is None or container.streams.audio[n].index != best.index)
    return _first_audible(source, usable)


def select(container: Any, number: int) -> Any:
    """The stream of track `number`, or where a later part of the file has fewer, of another that can be decoded; the
    others are passed over by FFmpeg. Raises Refused (no_audio).
    """
    streams = [stream for stream in container.streams.audio if _is_usable(stream)]
    if not streams:
        raise Refused("no_audio", "The file holds no sound that can be decoded.")
    track = container.streams.audio[number] if number < len(container.streams.audio) else streams[0]
    if not _is_usable(track):
        track = streams[0]
    media.attend_to(container, track)
    return track


def _is_usable(stream: Any) -> bool:
    return stream.codec_context is not None and stream.codec_context.name in CODECS


def _first_audible(source: IO[bytes], numbers: list[int]) -> tuple[list[int], list[int]]:
    """As `choose`, by listening to each track of `numbers` until one has sound."""
    levels: dict[int, int] = {}
    for number in numbers:
        levels[number] = _level(source, number)
        if levels[number] >= AUDIBLE:
            break
    preferred, loudest = numbers[0], max(levels, key=lambda number: levels[number])
    choice = loudest if levels[loudest] > LOUDER * levels[preferred] else preferred
    return [choice], [number for number in levels if number != choice]


def _level(source: IO[bytes], number: int) -> int:
    """The sample value that `SUSTAINED` blocks of a track reach; it is not read on once they are audible."""
    source.seek(0)
    container = media.open_media(source)
    stream = select(container, number)
    mixdown, peaks = Mixdown(split=False), [0] * SUSTAINED
    for packet in media.packets(container, stream):
        for frame in media.frames(packet) or ():
            if not mixdown.channels:
                mixdown.begin(frame)
            for pcm in mixdown.feed(frame):
                heappushpop(peaks, _peak(pcm))
        if peaks[0] >= AUDIBLE:
            break
    else:
        for pcm in mixdown.flush():
            heappushpop(peaks, _peak(pcm))
    return peaks[0]


def _peak(pcm: memoryview) -> int:
    samples = pcm.cast("B").cast("h")
    return max(max(samples), -min(samples)) if len(samples) else 0
