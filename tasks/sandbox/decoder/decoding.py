"""The sound of a file, packet by packet, into the WAV."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import IO, Any

from tasks.sandbox.decoder import media
from tasks.sandbox.decoder.chained import Tail, next_link
from tasks.sandbox.decoder.claims import Claim
from tasks.sandbox.decoder.mixdown import Mixdown
from tasks.sandbox.decoder.pcm import Recording, Refused
from tasks.sandbox.decoder.places import Places
from tasks.sandbox.decoder.timeline import Timeline
from tasks.sandbox.decoder.tracks import choose, select

MIN_TAIL_S = 1.0
"""Seconds that undecodable bytes behind the last packet would last, from which on they are no odd tag."""


class Decoding:
    """Decodes `source` into `target`, which can be read if several tracks are mixed.

    track : a number from 1, "all", or None for the first in which there is sound; of these `run` raises Refused
    at_byte : called with the position in the source
    """

    def __init__(
        self,
        source: IO[bytes],
        target: IO[bytes],
        max_duration_s: float,
        at_byte: Callable[[int], None],
        *,
        split: bool,
        track: int | str | None,
    ) -> None:
        self._source, self._target, self._max_duration_s = source, target, max_duration_s
        self._at_byte = at_byte
        self._split, self._track = split, track
        self._mixdown = Mixdown(split=split)
        self._recording: Recording | None = None
        self._opposed, self._damaged = Places(), Places()
        self._missing: float | None = None
        self._complaints = media.Complaints()
        self._skipped = 0
        self._done_bytes, self._passes = 0, 1

    def run(self) -> dict[str, Any]:
        """Decode; returns the fields of Decoded in tasks/stages/convert.py. Raises Refused and MemoryError."""
        container = media.open_media(self._source)
        numbers, silent = choose(self._source, container, self._track)
        count = len(container.streams.audio)
        result = {"container": container.format.name, "codec": container.streams.audio[numbers[0]].codec_context.name}
        size = os.fstat(self._source.fileno()).st_size
        for turn, number in enumerate(numbers):
            self._done_bytes, self._passes = turn * size, len(numbers)
            self._mixdown = Mixdown(split=self._split, gain=len(numbers) ** -0.5)
            if self._recording is not None:
                self._recording.begin_again()
            self._decode_track(number)
        tracks = {"count": count, "decoded": [n + 1 for n in numbers], "silent": [n + 1 for n in silent]}
        return result | {"tracks": tracks} | self._close()

    def _decode_track(self, number: int) -> None:
        """Decode one track, counted from 0, through all links of a chain."""
        start = 0
        while True:
            try:
                self._source.seek(start)
                container = media.open_media(Tail(self._source, start) if start else self._source)
                stream = select(container, number)
            except Refused:
                if not start:
                    raise
                self._skipped += 1
                break
            position = self._decode_link(container, stream, start)
            link = next_link(self._source, position + 1) if container.format.name == "ogg" else None
            if link is None:
                break
            start = link
        if self._recording is not None:
            self._write(self._mixdown.flush())

    def _decode_link(self, container: Any, stream: Any, start: int) -> int:
        """Decode a container that begins at byte `start`; the position of its last packet."""
        source_fd = self._source.fileno()
        timeline, claim = Timeline(container, stream, source_fd, start), Claim(container, stream, source_fd)
        position = start
        self._complaints.take()
        for packet in media.packets(container, stream):
            frames = media.frames(packet)
            self._skipped += frames is None
            is_good = bool(frames) and not packet.is_corrupt and not self._complaints.take()
            timeline.see(packet, is_good=is_good or frames == [])
            claim.see(packet, is_decoded=frames is not None)
            for frame in frames or ():
                recording = self._begin(frame)
                gap = timeline.gap(frame, recording.duration + self._mixdown.held_s)
                if gap.seconds and (not gap.is_loss or recording.has_room(gap.seconds + self._mixdown.held_s)):
                    self._write(self._mixdown.flush())
                    if gap.is_loss:
                        self._damaged.add(recording.duration, recording.duration + gap.seconds, gap.seconds)
                    recording.write_silence(gap.seconds)
                self._write(self._mixdown.feed(frame))
            if packet is not None and packet.pos is not None:
                position = max(position, start + packet.pos)
                self._at_byte((self._done_bytes + position) // self._passes)
        if self._recording is not None:
            decoded = self._recording.duration + self._mixdown.held_s
            tail = timeline.tail(os.fstat(source_fd).st_size)
            if tail >= MIN_TAIL_S:
                self._damaged.add(decoded, decoded, tail)
            elif not start:
                self._missing = claim.missing(decoded)
        return position

    def _begin(self, frame: Any) -> Recording:
        if not self._mixdown.channels:
            channels = self._mixdown.begin(frame)
            self._recording = self._recording or Recording(self._target, self._max_duration_s, channels)
        assert self._recording is not None
        return self._recording

    def _write(self, blocks: Iterable[memoryview]) -> None:
        for pcm in blocks:
            assert self._recording is not None
            began = self._recording.duration
            self._recording.write(pcm)
            if self._mixdown.is_opposed:
                self._opposed.add(began, self._recording.duration)

    def _close(self) -> dict[str, Any]:
        if self._recording is not None:
            self._recording.close()
        if self._recording is None or not self._recording.samples:
            raise Refused("no_audio", "Nothing in the file can be decoded as sound.")
        return {
            "duration": self._recording.duration,
            "skipped_packets": self._skipped,
            "channels": self._mixdown.channels,
            "opposed": self._opposed.as_fields(),
            "damaged": self._damaged.as_fields(),
            "missing": self._missing,
        }
