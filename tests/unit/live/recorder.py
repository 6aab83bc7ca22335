"""What a browser's MediaRecorder sends, made by PyAV: a container in pieces, of which only the first has its header."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
import numpy as np
import numpy.typing as npt

RATE = 48_000
STEP = RATE // 50
FRAGMENTED = {"movflags": "empty_moov+default_base_moof", "frag_duration": "500000", "strict": "-2"}

Pcm = npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Recorder:
    """A container and a codec, and how its muxer cuts it about every half second."""

    muxer: str
    codec: str
    options: dict[str, str] = field(default_factory=dict)


RECORDERS = {
    "webm": Recorder("webm", "libopus", {"live": "1", "cluster_time_limit": "500"}),
    "ogg": Recorder("ogg", "libopus", {"page_duration": "500000"}),
    "mp4": Recorder("mp4", "aac", FRAGMENTED),
    "opus.mp4": Recorder("mp4", "libopus", FRAGMENTED),
}


def container(pcm: Pcm, kind: str, *, jumps: Sequence[tuple[float, float]] = (), channels: int = 1) -> bytes:
    """Samples of 48 kHz as a container. Timestamps behind the second of each jump are later by its other figure."""
    recorder, target = RECORDERS[kind], Unseekable()
    layout = "mono" if channels == 1 else "stereo"
    with av.open(target, "w", format=recorder.muxer, options=recorder.options) as file:
        stream = file.add_stream(recorder.codec, rate=RATE, layout=layout)
        for first in range(0, len(pcm), STEP):
            block = np.repeat(pcm[first : first + STEP], channels)[np.newaxis]
            frame = av.AudioFrame.from_ndarray(block, format="s16", layout=layout)
            frame.sample_rate, frame.pts, frame.time_base = RATE, first, Fraction(1, RATE)
            file.mux([_moved(packet, jumps) for packet in stream.encode(frame)])
        file.mux([_moved(packet, jumps) for packet in stream.encode(None)])
    return target.getvalue()


def pieces(data: bytes, count: int) -> list[bytes]:
    """As many, cut anywhere."""
    size = -(-len(data) // count)
    return [data[first : first + size] for first in range(0, len(data), size)]


class Unseekable(io.BytesIO):
    """As a recorder that has sent its beginning."""

    def seekable(self) -> bool:
        return False


def _moved(packet: Any, jumps: Sequence[tuple[float, float]]) -> Any:
    at = float(packet.pts * packet.time_base)
    late = round(sum(by for second, by in jumps if at >= second) / packet.time_base)
    packet.pts = packet.dts = packet.pts + late
    return packet
