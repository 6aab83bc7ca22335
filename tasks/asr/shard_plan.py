"""Where a long recording is cut into shards, so that several workers can recognise it side by side.

A seam lies in the longest pause near its place. Where people talk without one, it lies at the quietest point and both
shards hear some seconds beyond it: then joining.py finds the words that both have. docs/decisions/sharding.md says why.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import floor

from shared.transcript import SAMPLE_RATE, Shard
from tasks.asr.vad import LEAD_S, PAD_S, Read, Span, close_gaps, detect, quietest
from tasks.engines.speech_errors import engine_errors

MAX_REACH_S = 60.0
"""A pause is looked for so far on both sides of an even cut: people who talk to each other pause for a second within
two minutes, and looking costs the detector 0.2 s."""

REACH_SHARE = 0.25
"""... and no farther than this part of a shard, so that no two seams come close."""

MIN_PAUSE_S = 2 * PAD_S
"""Pause in which a cut takes nothing away: the speech on both sides keeps all of its padding."""

OVERLAP_S = 5.0
"""What a shard hears beyond a seam in speech: about 12 words, and the words next to the seam keep as much context."""


@dataclass(frozen=True, slots=True)
class Seam:
    """Where one shard ends and the next begins, in seconds."""

    at: float
    in_silence: bool


def shard_count(duration: float, target_s: float) -> int:
    """Into how many shards of about `target_s` seconds a recording is cut; 0 seconds is never."""
    return floor(duration / target_s + 0.5) if target_s else 1


def plan(
    reads: Sequence[Read], duration: float, target_s: float, progress: Callable[[], None] = lambda: None
) -> tuple[Shard, ...]:
    """The shards of a recording, about `target_s` seconds each; none when it is too short to be worth a cut.

    `reads` has one function per channel; a pause is one in which nobody talks on any of them. At most two minutes are
    held at once. `progress` is called for each seam and may raise to stop. Raises TranscriptionError when the voice
    activity detector fails.
    """
    count = shard_count(duration, target_s)
    seams = []
    for number in range(1, count):
        progress()
        even, reach = number * duration / count, min(MAX_REACH_S, REACH_SHARE * duration / count)
        seams.append(find_seam(reads, Span(even - reach, even + reach)))
    return cut(seams, duration) if seams else ()


def find_seam(reads: Sequence[Read], near: Span) -> Seam:
    """The best place in `near` for a cut: in the longest pause, else the quietest one."""
    begin = max(0.0, near.start - LEAD_S)
    with engine_errors("voice activity detection"):
        speech = close_gaps(sorted(span for read in reads for span in detect(read(begin, near.end), begin)), 0.0)
    pause = max(_pauses(speech, near), key=lambda span: span.duration, default=None)
    if pause is not None:
        return Seam(_on_sample((pause.start + pause.end) / 2), in_silence=pause.duration >= MIN_PAUSE_S)
    import numpy as np  # only by whoever has samples (vad.py)

    loudness = np.sqrt(sum(np.square(read(near.start, near.end)) for read in reads))
    return Seam(_on_sample(near.start) + quietest(loudness) / SAMPLE_RATE, in_silence=False)


def cut(seams: Sequence[Seam], duration: float) -> tuple[Shard, ...]:
    """The shards between `seams`, at least one, in order. None hears more than half of the next one."""
    bounds = [Seam(0.0, in_silence=True), *seams, Seam(duration, in_silence=True)]
    shards = []
    for number in range(1, len(bounds)):
        first, last = bounds[number - 1], bounds[number]
        before = bounds[max(0, number - 2)].at
        after = bounds[min(number + 1, len(bounds) - 1)].at
        heard_from = first.at if first.in_silence else _on_sample(first.at - min(OVERLAP_S, (first.at - before) / 2))
        heard_to = last.at if last.in_silence else _on_sample(last.at + min(OVERLAP_S, (after - last.at) / 2))
        shards.append(Shard(first.at, last.at, heard_from, heard_to))
    return tuple(shards)


def _pauses(speech: Sequence[Span], near: Span) -> list[Span]:
    """The gaps between stretches of `speech`, as far as they lie in `near`."""
    ends = [near.start, *(max(span.end, near.start) for span in speech)]
    starts = [*(min(span.start, near.end) for span in speech), near.end]
    return [Span(end, start) for end, start in zip(ends, starts, strict=True) if end < start]


def _on_sample(time: float) -> float:
    return round(time * SAMPLE_RATE) / SAMPLE_RATE
