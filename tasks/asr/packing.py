"""Speech without the silence around it: what the recogniser hears, and the way back to the recording's times."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import numpy as np

from shared.transcript import SAMPLE_RATE
from tasks.asr.loudness import leveled
from tasks.asr.vad import CHUNK_S, Read, Samples, Span


@dataclass(frozen=True)
class Packing:
    """Stretches of speech laid end to end. A packed time is seconds since the start of the first stretch."""

    spans: tuple[Span, ...]

    @cached_property
    def ends(self) -> tuple[float, ...]:
        """The packed time at which each stretch ends."""
        return tuple(accumulate(span.duration for span in self.spans))

    @property
    def duration(self) -> float:
        return self.ends[-1]

    def samples(self, read: Read) -> Samples:
        """The packed audio, every stretch as loud as the others. Reads from the first start to the last end at once:
        see `windows` for how much that is."""
        start, end = self.spans[0].start, self.spans[-1].end
        recording = read(start, end)
        marks = [(round((s.start - start) * SAMPLE_RATE), round((s.end - start) * SAMPLE_RATE)) for s in self.spans]
        return np.concatenate([leveled(recording[a:b]) for a, b in marks])

    def chunks(self, max_s: float = CHUNK_S) -> list[Packing]:
        """The same stretches in parts of at most `max_s`; a longer stretch is a part by itself."""
        groups: list[list[Span]] = []
        filled = 0.0
        for span in self.spans:
            if not groups or filled + span.duration > max_s:
                groups.append([])
                filled = 0.0
            groups[-1].append(span)
            filled += span.duration
        return [Packing(tuple(group)) for group in groups]

    def restore(self, start: float, end: float) -> Span:
        """The recording's times of a packed word: those of the one stretch that holds its middle, never beyond it."""
        index = min(bisect_right(self.ends, (start + end) / 2), len(self.spans) - 1)
        span = self.spans[index]
        shift = span.end - self.ends[index]
        return Span(*(min(max(time + shift, span.start), span.end) for time in (start, max(start, end))))


def windows(spans: Sequence[Span], window_s: float) -> list[tuple[Span, ...]]:
    """`spans` in groups that each reach over at most `window_s` seconds of the recording (one span may be longer).

    A group ends at the longest pause in its last quarter, where a cut does the least harm to sentences.
    """
    groups: list[tuple[Span, ...]] = []
    first = 0
    while first < len(spans):
        limit = spans[first].start + window_s
        after = next((i for i in range(first + 1, len(spans)) if spans[i].end > limit), len(spans))
        if after < len(spans):
            late = [i for i in range(first + 1, after + 1) if spans[i - 1].end >= limit - window_s / 4]
            after = max(late or [after], key=lambda i: (spans[i].start - spans[i - 1].end, i))
        groups.append(tuple(spans[first:after]))
        first = after
    return groups
