"""The sound of a file, packet by packet, into the WAV."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import IO, Any

from tasks.sandbox.decoder import media
from tasks.sandbox.decoder.chained import Tail, next_link
from tasks.sandbox.decoder.mixdown import Mixdown
from tasks.sandbox.decoder.pcm import Recording, Refused, Timeline
from tasks.sandbox.decoder.places import Places


class Decoding:
    """Decodes `source` into `target`. `run` raises Refused and MemoryError.

    `at_byte` is called with the position in the source.
    """

    def __init__(
        self,
        source: IO[bytes],
        target: IO[bytes],
        max_duration_s: float,
        at_byte: Callable[[int], None],
        *,
        split: bool,
    ) -> None:
        self._source, self._target, self._max_duration_s = source, target, max_duration_s
        self._at_byte = at_byte
        self._mixdown = Mixdown(split=split)
        self._recording: Recording | None = None
        self._opposed = Places()
        self._skipped = 0

    def run(self) -> dict[str, Any]:
        """Decode; returns the fields of Decoded in tasks/stages/convert.py."""
        container = media.open_media(self._source)
        stream = media.audio_stream(container)
        result = {"container": container.format.name, "codec": stream.codec_context.name}
        start = 0
        while True:
            position = self._decode_link(container, stream, start)
            link = next_link(self._source, position + 1) if container.format.name == "ogg" else None
            if link is None:
                break
            start = link
            try:
                container = media.open_media(Tail(self._source, start))
                stream = media.audio_stream(container)
            except Refused:
                self._skipped += 1
                break
        return result | self._close()

    def _decode_link(self, container: Any, stream: Any, start: int) -> int:
        """Decode a container that begins at byte `start`; the position of its last packet."""
        timeline, position = Timeline(container), start
        for packet in media.packets(container, stream):
            frames = media.frames(packet)
            self._skipped += frames is None
            for frame in frames or ():
                recording = self._begin(frame)
                gap = timeline.gap(frame, recording.duration + self._mixdown.held_s)
                if gap:
                    self._write(self._mixdown.flush())
                    recording.write_silence(gap)
                self._write(self._mixdown.feed(frame))
            if packet is not None and packet.pos is not None:
                position = max(position, start + packet.pos)
                self._at_byte(position)
        return position

    def _begin(self, frame: Any) -> Recording:
        if self._recording is None:
            self._recording = Recording(self._target, self._max_duration_s, self._mixdown.begin(frame))
        return self._recording

    def _write(self, blocks: Iterable[memoryview]) -> None:
        for pcm in blocks:
            assert self._recording is not None
            began = self._recording.duration
            self._recording.write(pcm)
            if self._mixdown.is_opposed:
                self._opposed.add(began, self._recording.duration)

    def _close(self) -> dict[str, Any]:
        self._write(self._mixdown.flush())
        if self._recording is None or not self._recording.samples:
            raise Refused("no_audio", "Nothing in the file can be decoded as sound.")
        self._recording.close()
        self._target.flush()
        return {
            "duration": self._recording.duration,
            "skipped_packets": self._skipped,
            "channels": self._mixdown.channels,
            "opposed": self._opposed.as_fields(),
        }
