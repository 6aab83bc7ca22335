"""How far a transcript can be trusted, as figures: from what the recogniser and the detectors say themselves."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise

from shared.transcript import Caveat, Quality, Segment, SpeakerTurn, Stretch, Transcription
from tasks.asr.checks import SLACK_S
from tasks.asr.segments import PAUSE_S
from tasks.asr.vad import Span

MIN_DROPPED_S = 1.0
"""Speech without words counts from here on: a short sentence takes as long. A laugh or an "mm" that Whisper rightly
passes over is shorter, and so are most errors of the times of the words on both sides."""

UNCERTAIN = 0.5
"""Confidence below which a word is likelier wrong than right, as far as the model can tell."""


def dropped(segments: Sequence[Segment], speech: Sequence[Span], whole: Span) -> list[tuple[Stretch, float]]:
    """Stretches between two words in which `speech` (in order, unpadded) hears somebody, and for how many seconds.

    Batched decoding can skip whole sentences: Whisper ends a step of 30 s early and goes on with the next.
    """
    spoken = [(unit.start, unit.end) for segment in segments for unit in segment.words or (segment,)]
    bounds = [(whole.start, whole.start), *spoken, (whole.end, whole.end)]
    stretches = []
    for (_, start), (end, _) in pairwise(bounds):
        if end - start >= MIN_DROPPED_S:
            for passage in _passages(Span(start, end), speech):
                seconds = sum(span.duration for span in passage)
                if seconds >= MIN_DROPPED_S:
                    stretches.append((Stretch(passage[0].start, passage[-1].end), seconds))
    return stretches


def _passages(gap: Span, speech: Sequence[Span]) -> Iterator[list[Span]]:
    """The speech inside `gap`, in parts between which there are pauses."""
    passage: list[Span] = []
    for span in speech[max(0, bisect_left(speech, gap) - 1) :]:
        if span.start >= gap.end:
            break
        inside = Span(max(span.start, gap.start), min(span.end, gap.end))
        if inside.duration <= 0:
            continue
        if passage and inside.start - passage[-1].end >= PAUSE_S:
            yield passage
            passage = []
        passage.append(inside)
    if passage:
        yield passage


def silent_turns(turns: Sequence[SpeakerTurn], segments: Sequence[Segment], gaps: Sequence[Stretch]) -> list[Stretch]:
    """Turns of a speaker, in order, in which there is no word of anybody and which are not among the `gaps`."""
    spoken = sorted((unit.start, unit.end) for segment in segments for unit in segment.words or (segment,))
    covered = sorted([*spoken, *((stretch.start, stretch.end) for stretch in gaps)])
    latest = list(accumulate((end for _, end in covered), max))  # the latest end up to each, whatever is in between
    stretches = []
    for turn in turns:
        before = bisect_left(covered, (turn.end, 0.0)) - 1  # the last that begins before the turn ends
        if turn.end - turn.start >= MIN_DROPPED_S and (before < 0 or latest[before] <= turn.start):
            stretches.append(Stretch(turn.start, turn.end))
    return stretches


def dropped_speech(stretches: Iterable[Stretch]) -> Iterator[Caveat]:
    """Says where words may be missing."""
    for stretch in stretches:
        yield Caveat(
            "dropped_speech", "Somebody speaks here, but no words were recognised.", stretch.start, stretch.end
        )


def assess(transcription: Transcription, segments: Sequence[Segment], turns: Sequence[SpeakerTurn] | None) -> Quality:
    """The report on a finished transcript; `turns` are None where speakers were not told apart."""
    words = [word.confidence for segment in segments for word in segment.words]
    wordless = [segment for segment in segments if not segment.words]
    count = len(words) + sum(len(segment.text.split()) for segment in wordless)
    confidences = [*words, *(segment.confidence for segment in wordless for _ in segment.text.split())]
    silent: tuple[Stretch, ...] = () if turns is None else _joined(silent_turns(turns, segments, transcription.dropped))
    return Quality(
        speech_seconds=transcription.speech_seconds,
        dropped_seconds=transcription.dropped_seconds + sum(stretch.end - stretch.start for stretch in silent),
        dropped=tuple(sorted((*transcription.dropped, *silent), key=lambda stretch: stretch.start)),
        loops=_warned("repetition_loop", transcription),
        low_confidence=_joined(
            Stretch(s.start, s.end) for s in segments if s.text.strip() and s.confidence < UNCERTAIN
        ),
        overlap_seconds=None if turns is None else overlapped(turns),
        words=count,
        uncertain_words=sum(confidence < UNCERTAIN for confidence in confidences),
        mean_confidence=sum(confidences) / len(confidences) if confidences else None,
        damaged=_warned("damaged_recording", transcription),
    )


def _warned(code: str, transcription: Transcription) -> tuple[Stretch, ...]:
    """The places of a transcription's warnings of this code."""
    return _joined(
        Stretch(warning.start, warning.end)
        for warning in transcription.warnings
        if warning.code == code and warning.start is not None and warning.end is not None
    )


def overlapped(turns: Iterable[SpeakerTurn]) -> float:
    """Seconds in which at least two speakers talk. A speaker's own turns may overlap, that does not count."""
    edges = sorted((time, step, turn.speaker) for turn in turns for time, step in ((turn.start, 1), (turn.end, -1)))
    talking: dict[str, int] = {}
    total, since = 0.0, 0.0
    for time, step, speaker in edges:
        if len(talking) > 1:
            total += time - since
        since = time
        talking[speaker] = talking.get(speaker, 0) + step
        if not talking[speaker]:
            del talking[speaker]
    return total


def _joined(stretches: Iterable[Stretch]) -> tuple[Stretch, ...]:
    """In order of time, those that touch made one."""
    joined: list[Stretch] = []
    for stretch in sorted(stretches, key=lambda stretch: (stretch.start, stretch.end)):
        if joined and stretch.start <= joined[-1].end + SLACK_S:
            joined[-1] = Stretch(joined[-1].start, max(joined[-1].end, stretch.end))
        else:
            joined.append(stretch)
    return tuple(joined)
