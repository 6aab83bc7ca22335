"""Where somebody talks: voice activity over a whole recording, in bounded memory.

The detector is Silero VAD v6 as faster-whisper ships it (https://github.com/snakers4/silero-vad). All times are
seconds of the recording and fall on whole samples.

numpy and faster-whisper are imported by the functions that need them: `merge` uses spans alone, in workers that never
recognise speech.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from shared.transcript import SAMPLE_RATE, Progress
from tasks.engines.speech_errors import engine_errors

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Samples: TypeAlias = "npt.NDArray[np.float32]"
Read: TypeAlias = "Callable[[float, float], Samples]"
"""`read(start, end)` gives the mono samples of that span, in [-1, 1] at 16 kHz; times are of the recording."""

CHUNK_S = 30.0
"""What Whisper looks at in one step; its encoder knows no other length."""

PAD_S = 0.4
"""Silence kept on each side of speech, so that soft beginnings and ends of words survive (faster-whisper's default)."""

MIN_SILENCE_S = 0.16
"""A shorter pause does not end a stretch of speech (faster-whisper's default for batches)."""

SEEK_BACK_S = 1.0
"""Where speech goes on for a whole chunk without a pause, the cut is the quietest point this close before it."""

MAX_SPEECH_S = CHUNK_S - 2 * PAD_S - SEEK_BACK_S
"""Longest stretch of speech, so that with its padding, and begun early by a moved cut, it still fits a chunk."""

THRESHOLD = 0.5
"""Probability of speech from which a stretch of it begins (Silero's default)."""

FAINT_THRESHOLD = 0.2
MIN_FAINT_S = 1.0
"""... and from which it does where it lasts for so long: a narrow telephone line keeps the detector below a half for
minutes of clear speech."""

VAD_FRAME_S = 512 / SAMPLE_RATE
"""Silero decides once per 512 samples. It drops one such frame where it cuts unbroken speech."""

ENERGY_FRAME = SAMPLE_RATE // 50
"""20 ms: long enough for a stable energy, short against a syllable (about 200 ms)."""

LEAD_S = 1.0
"""Silence that the detector hears before speech it meets again, to settle its recurrent state (31 frames)."""


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A stretch of the recording, in seconds."""

    start: float
    end: float

    @property
    def duration(self) -> float:
        return self.end - self.start


def find_speech(read: Read, whole: Span, window_s: float, progress: Progress) -> tuple[Span, ...]:
    """Every stretch of speech in `whole`, unpadded, in order, none longer than `MAX_SPEECH_S`.

    Holds at most `window_s` seconds of samples. `progress` hears the share of `whole` that is done.
    Raises `TranscriptionError` when the detector fails.
    """
    speech: list[Span] = []
    start = whole.start
    while start < whole.end:
        window = Span(start, min(start + window_s, whole.end))
        samples = read(window.start, window.end)
        with engine_errors("voice activity detection"):
            spans = detect(samples, window.start)
        start = window.end if window.end == whole.end else resume_at(spans, window)
        speech += [span for span in spans if span.end <= start]
        progress((start - whole.start) / whole.duration)
    return tuple(speech)


def detect(samples: Samples, offset: float = 0.0) -> list[Span]:
    """The stretches of speech in `samples`, whose first sample lies `offset` seconds into the recording."""
    clear = _marks(samples, THRESHOLD, 0.0)
    faint = between(_marks(samples, FAINT_THRESHOLD, MIN_FAINT_S), clear, round(MIN_FAINT_S * SAMPLE_RATE))
    bounds = _move_cuts(samples, sorted([*clear, *faint]))
    return [Span(offset + a / SAMPLE_RATE, offset + b / SAMPLE_RATE) for a, b in bounds]


def resume_at(spans: Sequence[Span], window: Span) -> float:
    """Where to go on listening after `window`: at its end, or before speech that was still going on there."""
    if not spans or spans[-1].end < window.end - VAD_FRAME_S:
        return window.end
    previous_end = spans[-2].end if len(spans) > 1 else window.start
    resume = max(previous_end, spans[-1].start - LEAD_S)
    return resume if resume > window.start else window.end


def quietest(samples: Samples) -> int:
    """The middle, as a sample index, of the 20 ms of `samples` with the least energy."""
    frames = len(samples) // ENERGY_FRAME
    if frames == 0:
        return len(samples) // 2
    import numpy as np

    energy = np.square(samples[: frames * ENERGY_FRAME].reshape(frames, ENERGY_FRAME)).sum(axis=1)
    return int(energy.argmin()) * ENERGY_FRAME + ENERGY_FRAME // 2


def pad(spans: Iterable[Span], whole: Span) -> tuple[Span, ...]:
    """`spans` widened by `PAD_S` on each side, within `whole`; neighbours share a pause that is too short for both."""
    raw = list(spans)
    starts = [max(whole.start, span.start - PAD_S) for span in raw]
    ends = [min(whole.end, span.end + PAD_S) for span in raw]
    for i in range(1, len(raw)):
        if starts[i] < ends[i - 1]:
            starts[i] = ends[i - 1] = _on_sample((raw[i - 1].end + raw[i].start) / 2)
    return tuple(Span(start, end) for start, end in zip(starts, ends, strict=True))


def close_gaps(spans: Iterable[Span], max_gap_s: float) -> tuple[Span, ...]:
    """`spans` with every pause up to `max_gap_s` made part of the speech around it."""
    closed: list[Span] = []
    for span in spans:
        if closed and span.start - closed[-1].end <= max_gap_s:
            closed[-1] = replace(closed[-1], end=span.end)
        else:
            closed.append(span)
    return tuple(closed)


def _marks(samples: Samples, threshold: float, min_speech_s: float) -> list[tuple[int, int]]:
    """First and last sample of every stretch that the detector gives."""
    from faster_whisper.vad import VadOptions, get_speech_timestamps

    options = VadOptions(
        threshold=threshold,
        min_speech_duration_ms=round(min_speech_s * 1000),
        min_silence_duration_ms=round(MIN_SILENCE_S * 1000),
        max_speech_duration_s=MAX_SPEECH_S,
        speech_pad_ms=0,
    )
    marks = get_speech_timestamps(samples, options) if len(samples) else []
    return [(int(mark["start"]), int(mark["end"])) for mark in marks]


def between(faint: list[tuple[int, int]], clear: list[tuple[int, int]], shortest: int) -> Iterator[tuple[int, int]]:
    """What of the faint speech lies between stretches of the clear, in pieces of at least `shortest` samples."""
    edges = [0, *(edge for mark in clear for edge in mark), sys.maxsize]
    gaps = zip(edges[::2], edges[1::2], strict=True)
    marks = iter(faint)
    mark = next(marks, None)
    for start, end in gaps:
        while mark and mark[0] < end:
            first, last = max(mark[0], start), min(mark[1], end)
            if last - first >= shortest:
                yield first, last
            if mark[1] > end:
                break
            mark = next(marks, None)


def _move_cuts(samples: Samples, bounds: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Samples at which unbroken speech was cut, moved back to where it is quietest; other bounds stay."""
    moved = list(bounds)
    for i in range(1, len(moved)):
        (start, cut), (resumed, end) = moved[i - 1], moved[i]
        if resumed - cut <= VAD_FRAME_S * SAMPLE_RATE:
            low = max(start, cut - round(SEEK_BACK_S * SAMPLE_RATE))
            quiet = low + quietest(samples[low:cut])
            moved[i - 1], moved[i] = (start, quiet), (quiet, end)
    return moved


def _on_sample(time: float) -> float:
    return round(time * SAMPLE_RATE) / SAMPLE_RATE
