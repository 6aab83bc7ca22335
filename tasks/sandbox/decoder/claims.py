"""How long a file says that it is, where that can be relied on: more than is there means that it was cut off."""

from __future__ import annotations

import os
import re
from typing import Any

from tasks.sandbox.decoder.chained import is_cut
from tasks.sandbox.decoder.torn import is_torn

BY_TRACK = ("mov", "avi")
BY_FILE = ("flac", "wv", "tta", "ape", "aiff", "w64")
BY_ONLY_TRACK = ("matroska", "flv")
"""Containers with a length for each track; with one, of sound; with one of the longest track. FFmpeg estimates that of
all others from the size of the file."""

MIN_MISSING_S, MIN_MISSING_SHARE = 0.5, 0.005
"""What has to be missing before it is spoken of: encoders round, and pad their last packet."""

WHOLE_PACKETS = ("asf", "flv")
"""Containers in which a last packet that cannot be decoded is one that is not all there, and not a tag behind it."""

PLACEHOLDER = 4
"""An AVI that was never finished claims many times what it has."""

MAX_HEADER_BYTES = 1 << 16
UNFINISHED_BYTES = 0x7FFF0000
"""A WAV whose length was never written claims more than this."""

MAX_CHUNKS = 100
"""Looked through in a CAF, for its sound."""

MP3_LENGTH = re.compile(rb"(?:Xing|Info)...[\1\3\5\7\x09\x0b\x0d\x0f](....)", re.DOTALL)
"""What the first frame of an MP3 says of how many there are; with a bit set that says that it does."""

MP3_FRAME_SAMPLES = {False: 576, True: 1152}
"""Below and from 32 kHz on."""

PLAIN_SOUND = (
    "wav", "w64", "caf", "au", "aiff", "avr", "ircam", "nistsphere", "pvf", "sox", "voc",
)  # fmt: skip
"""Containers without packets of their own: the last one that FFmpeg makes is seldom full."""


class Claim:
    """Made while the container is open; `missing` is asked at the end."""

    def __init__(self, container: Any, stream: Any, source_fd: int) -> None:
        self._name = container.format.name.split(",")[0]
        self._source_fd = source_fd
        self._size = os.fstat(source_fd).st_size
        self._first: int | None = None
        self._is_cut = False
        self._seconds = 0.0
        self._rate = stream.rate or 0
        self._id = stream.id
        if self._name in BY_TRACK:
            ticks = (self._name == "avi" and stream.frames) or stream.duration or 0  # FFmpeg corrects an AVI's by bytes
            self._seconds = float(ticks * stream.time_base)
        elif self._name in BY_FILE or (self._name in BY_ONLY_TRACK and len(container.streams) == 1):
            self._seconds = (container.duration or 0) / 1e6
        elif self._name == "matroska":
            self._seconds = _clock_time(stream.metadata.get("DURATION", ""))

    def see(self, packet: Any, *, is_decoded: bool) -> None:
        """A packet; None for a place that could not be read."""
        if packet is not None and packet.pos is not None and packet.size:
            self._first = packet.pos if self._first is None else self._first
            is_torn = packet.is_corrupt or (self._name in WHOLE_PACKETS and not is_decoded)
            self._is_cut = bool(is_torn) and self._name not in PLAIN_SOUND

    def missing(self, decoded: float) -> float | None:
        """Seconds that were promised beyond the `decoded` ones: None if none are, 0 if it is unknown how many."""
        seconds = self._seconds
        if self._name == "mp3" and self._rate:
            match = MP3_LENGTH.search(self._head(self._first or 0))
            frames = int.from_bytes(match[1], "big") if match else 0
            seconds = frames * MP3_FRAME_SAMPLES[self._rate >= 32_000] / self._rate
        if self._name == "wav":
            seconds = self._wav_share() * decoded
        if self._name == "caf":
            seconds = self._caf_seconds(decoded)
        if self._name == "avi" and seconds > PLACEHOLDER * decoded:
            seconds = 0.0
        lacking = seconds - decoded
        if lacking > max(MIN_MISSING_S, MIN_MISSING_SHARE * seconds):
            return lacking
        return 0.0 if self._is_cut or self._ends_within_a_packet() else None

    def _ends_within_a_packet(self) -> bool:
        if self._name == "ogg":
            return is_cut(self._source_fd, self._size)
        return is_torn(self._name, self._source_fd, self._size, self._id)

    def _head(self, end: int) -> bytes:
        """The last bytes before `end`, in which the frame lies that says how long an MP3 is."""
        return os.pread(self._source_fd, min(end, 4096), max(0, end - 4096))

    def _wav_share(self) -> float:
        """Announced bytes of sound, per byte that is there."""
        head = os.pread(self._source_fd, MAX_HEADER_BYTES, 0)
        at = head.find(b"data")
        announced = int.from_bytes(head[at + 4 : at + 8], "little") if at >= 0 else 0
        there = self._size - at - 8
        return announced / there if there > 0 and announced < UNFINISHED_BYTES else 0.0

    def _caf_seconds(self, decoded: float) -> float:
        """By the table of packets where it is in front of the sound, else as of a WAV; 0 for sound without an end."""
        at, seconds = 8, 0.0
        for _ in range(MAX_CHUNKS):
            head = os.pread(self._source_fd, 12 + 16, at)
            announced = int.from_bytes(head[4:12], "big", signed=True)
            if head[:4] == b"pakt" and self._rate:
                seconds = int.from_bytes(head[20:28], "big", signed=True) / self._rate
            if head[:4] == b"data":
                there = self._size - at - 12
                return (seconds or decoded * announced / there) if 0 < there < announced else 0.0
            at += 12 + max(0, announced)
        return 0.0


def _clock_time(text: str) -> float:
    """Seconds of "01:02:03.5"; 0 for anything else."""
    match = re.fullmatch(r"(\d{1,3}):(\d\d):(\d\d(?:\.\d{1,9})?)", text)
    return int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3]) if match else 0.0
