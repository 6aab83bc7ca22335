"""One recognition from those of the shards of a recording: no word at a seam is lost, none is there twice.

Where shards meet in silence, their words are put one after another. Where they overlap, both have heard the words
round the seam: the words of both are aligned, by what they say and when, and the one list goes over into the other at
a word that both have. So it does not matter which words the seam runs through, nor that word times differ a little.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import inf

from shared.transcript import Caveat, Segment, Shard, SpeakerTurn, Transcription, Word
from tasks.asr.checks import SLACK_S
from tasks.asr.segments import in_order, sentences
from tasks.asr.vad import Span

MAX_DRIFT_S = 1.0
"""How far apart two shards may hear the same word: Whisper's word times are off by up to 0.76 s (see `NEAREST_TURN_S`
in merge.py), rarely in opposite directions."""

MAX_PAUSE_S = 0.5
"""Longest pause inside a turn of a channel: people draw breath for less, and voice activity detection stops at
0.16 s."""


@dataclass(frozen=True, slots=True)
class Unit:
    """What is kept or dropped as one: a word, or a segment for which the model gave no words."""

    middle: float
    text: str


def join(shards: Sequence[Transcription]) -> Transcription:
    """The recognition of the whole recording, of which `shards` are the parts in order, at least one."""
    language, probability = _language(shards)
    segments = _segments(shards)
    turns = None if shards[0].turns is None else _turns(turn for said in shards for turn in said.turns or ())
    return Transcription(
        language,
        probability,
        sum(said.duration for said in shards),
        shards[0].model,
        segments,
        tuple(_warnings(shards, is_silent=not segments)) if len(shards) > 1 else shards[0].warnings,
        sum(said.speech_seconds for said in shards),
        sum(said.dropped_seconds for said in shards),
        tuple(stretch for said in shards for stretch in said.dropped),
        turns,
    )


def within(segments: Iterable[Segment], bounds: Span) -> tuple[Segment, ...]:
    """The words whose middle lies in `bounds`, before the end of it, in their segments, no time beyond."""
    kept = []
    for segment in segments:
        inside = [n for n, unit in enumerate(_units(segment)) if bounds.start <= unit.middle < bounds.end]
        if inside:
            piece = _slice(segment, inside[0], inside[-1] + 1)
            kept.append(replace(piece, start=max(piece.start, bounds.start), end=min(piece.end, bounds.end)))
    return tuple(kept)


def _segments(shards: Sequence[Transcription]) -> tuple[Segment, ...]:
    joined: list[Segment] = []
    channels = dict.fromkeys(_channel(said, segment) for said in shards for segment in said.segments)
    for channel in channels:
        own: list[Segment] = []
        before: Shard | None = None
        for said in shards:
            fresh = [segment for segment in said.segments if _channel(said, segment) == channel]
            _append(own, fresh, before, said.shard)
            before = said.shard
        joined += own
    if len(channels) > 1:
        joined.sort(key=lambda segment: (segment.start, segment.end))
    return tuple(replace(segment, id=number) for number, segment in enumerate(joined))


def _channel(said: Transcription, segment: Segment) -> str | None:
    """Channels are joined each on its own, as people talk at once; without channels all is one."""
    return None if said.turns is None else segment.speaker


def _append(joined: list[Segment], fresh: list[Segment], before: Shard | None, after: Shard | None) -> None:
    """Add what was said in the shard `after` to what was `joined` so far, the last of it from the shard `before`."""
    if before is None or after is None:
        joined += fresh
        return
    first = len(joined)
    while first and joined[first - 1].end > after.heard_from - MAX_DRIFT_S:
        first -= 1
    last = sum(segment.start < before.heard_to + MAX_DRIFT_S for segment in fresh)
    left, right = joined[first:], fresh[:last]
    if after.heard_from < before.heard_to:
        left, right = _without_doubles(left, right, before, after)
    # where times of the two shards overlap, the later start wins and the earlier end yields
    joined[first:] = in_order(_seamless(left, right), 0.0, inf)
    joined += fresh[last:]


def _without_doubles(
    left: list[Segment], right: list[Segment], before: Shard, after: Shard
) -> tuple[list[Segment], list[Segment]]:
    """What is kept of both."""
    ours = [unit for segment in left for unit in _units(segment)]
    theirs = [unit for segment in right for unit in _units(segment)]
    first = sum(unit.middle < after.heard_from for unit in ours)
    last = sum(unit.middle < before.heard_to for unit in theirs)
    pairs = [(first + one, other) for one, other in align(ours[first:], theirs[:last])]
    if pairs:
        one, other = min(pairs, key=lambda pair: abs(ours[pair[0]].middle + theirs[pair[1]].middle - 2 * after.start))
        keep, drop = one + 1, other + 1
    else:  # they understood the same sound differently: each has its own side of the seam
        keep, drop = (sum(unit.middle < after.start for unit in units) for units in (ours, theirs))
    return _slices(left, 0, keep), _slices(right, drop, len(theirs))


def align(ours: Sequence[Unit], theirs: Sequence[Unit]) -> list[tuple[int, int]]:
    """Index pairs of equal words at most MAX_DRIFT_S apart, in order: of all such pairings the one with the most words
    that are closest in time. (Needleman and Wunsch 1970, without a price for gaps.)"""
    best = [[0.0] * (len(theirs) + 1) for _ in range(len(ours) + 1)]
    for i in range(len(ours) - 1, -1, -1):
        for j in range(len(theirs) - 1, -1, -1):
            best[i][j] = max(best[i + 1][j], best[i][j + 1], _likeness(ours[i], theirs[j]) + best[i + 1][j + 1])
    pairs, i, j = [], 0, 0
    while i < len(ours) and j < len(theirs):
        likeness = _likeness(ours[i], theirs[j])
        if likeness and best[i][j] == likeness + best[i + 1][j + 1]:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            i += 1
        else:
            j += 1
    return pairs


def _likeness(one: Unit, other: Unit) -> float:
    """1 for the same word at the same time, 0 for another word or one that is too far away."""
    return max(0.0, 1 - abs(one.middle - other.middle) / MAX_DRIFT_S) if one.text == other.text else 0.0


def _seamless(left: list[Segment], right: list[Segment]) -> list[Segment]:
    """Both in one; a sentence that the seam has cut is one segment again."""
    if not (left and right and left[-1].words and right[0].words):
        return [*left, *right]
    middle = sentences((*left[-1].words, *right[0].words))
    return [*left[:-1], *(replace(piece, speaker=left[-1].speaker) for piece in middle), *right[1:]]


def _slices(segments: Iterable[Segment], first: int, last: int) -> list[Segment]:
    """The units from `first` to before `last`, in their segments."""
    kept = []
    begin = 0
    for segment in segments:
        end = begin + len(_units(segment))
        low, high = max(first, begin), min(last, end)
        if low < high:
            kept.append(_slice(segment, low - begin, high - begin))
        begin = end
    return kept


def _units(segment: Segment) -> list[Unit]:
    return [Unit((given.start + given.end) / 2, _plain(given)) for given in segment.words or (segment,)]


def _plain(given: Word | Segment) -> str:
    return "".join(c for c in given.text.casefold() if c.isalnum()) or given.text.strip()


def _slice(segment: Segment, first: int, last: int) -> Segment:
    """Some of the words of a segment, as sure as they are on average."""
    words = segment.words[first:last]
    if words == segment.words:
        return segment
    text = "".join(word.text for word in words).strip()
    confidence = sum(word.confidence for word in words) / len(words)
    return replace(segment, start=words[0].start, end=words[-1].end, text=text, confidence=confidence, words=words)


def _language(shards: Sequence[Transcription]) -> tuple[str, float]:
    """The language of most speech, each shard's vote weighing its seconds of speech times its probability.

    The probability returned is the winner's share of all seconds: of one shard its own, less when shards disagree.
    """
    speech = [sum(segment.end - segment.start for segment in said.segments) for said in shards]
    if not any(speech):
        speech = [said.duration or 1.0 for said in shards]
    votes: dict[str, float] = {}
    for said, seconds in zip(shards, speech, strict=True):
        votes[said.language] = votes.get(said.language, 0.0) + seconds * said.language_probability
    winner = max(votes, key=lambda language: votes[language])
    return winner, votes[winner] / sum(speech)


def _warnings(shards: Sequence[Transcription], *, is_silent: bool) -> Iterable[Caveat]:
    """Each once, those that go on over a seam as one; a silent shard is no news when somebody speaks in another."""
    told: list[Caveat] = []
    latest: dict[tuple[str, str], int] = {}
    for caveat in (caveat for said in shards for caveat in said.warnings if is_silent or caveat.code != "no_speech"):
        at = latest.get((caveat.code, caveat.message), -1)
        last = told[at] if at >= 0 else None
        if last and last.end is not None and caveat.start is not None and caveat.start <= last.end + SLACK_S:
            told[at] = replace(last, end=max(last.end, caveat.end or 0.0))
        elif caveat != last:
            latest[caveat.code, caveat.message] = len(told)
            told.append(caveat)
    return told


def _turns(turns: Iterable[SpeakerTurn]) -> tuple[SpeakerTurn, ...]:
    """In order of time, those that a seam has cut in two made one."""
    ordered = sorted(turns, key=lambda turn: (turn.speaker, turn.start))
    whole: list[SpeakerTurn] = ordered[:1]
    for before, turn in pairwise(ordered):
        if turn.speaker == before.speaker and turn.start - whole[-1].end <= MAX_PAUSE_S:
            whole[-1] = replace(whole[-1], end=max(whole[-1].end, turn.end))
        else:
            whole.append(turn)
    return tuple(sorted(whole, key=lambda turn: (turn.start, turn.speaker)))
