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
in word_speakers.py), rarely in opposite directions."""

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
    turns = None if shards[0].turns is None else _turns(turn for part in shards for turn in part.turns or ())
    return Transcription(
        language,
        probability,
        sum(part.duration for part in shards),
        shards[0].model,
        segments,
        tuple(_warnings(shards, is_silent=not segments)) if len(shards) > 1 else shards[0].warnings,
        sum(part.speech_seconds for part in shards),
        sum(part.dropped_seconds for part in shards),
        tuple(stretch for part in shards for stretch in part.dropped),
        turns,
    )


def within(segments: Iterable[Segment], bounds: Span) -> tuple[Segment, ...]:
    """The words whose middle lies in `bounds`, before the end of it, in their segments, no time beyond."""
    pieces = []
    for segment in segments:
        inside = [n for n, unit in enumerate(_units(segment)) if bounds.start <= unit.middle < bounds.end]
        if inside:
            piece = _slice(segment, inside[0], inside[-1] + 1)
            pieces.append(replace(piece, start=max(piece.start, bounds.start), end=min(piece.end, bounds.end)))
    return tuple(pieces)


def _segments(shards: Sequence[Transcription]) -> tuple[Segment, ...]:
    joined: list[Segment] = []
    channels = dict.fromkeys(_channel(part, segment) for part in shards for segment in part.segments)
    for channel in channels:
        channel_segments: list[Segment] = []
        before: Shard | None = None
        for part in shards:
            fresh = [segment for segment in part.segments if _channel(part, segment) == channel]
            _append(channel_segments, fresh, before, part.shard)
            before = part.shard
        joined += channel_segments
    if len(channels) > 1:
        joined.sort(key=lambda segment: (segment.start, segment.end))
    return tuple(replace(segment, id=number) for number, segment in enumerate(joined))


def _channel(part: Transcription, segment: Segment) -> str | None:
    """Channels are joined each on its own, as people talk at once; without channels all is one."""
    return None if part.turns is None else segment.speaker


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
    left_units = [unit for segment in left for unit in _units(segment)]
    right_units = [unit for segment in right for unit in _units(segment)]
    first = sum(unit.middle < after.heard_from for unit in left_units)
    last = sum(unit.middle < before.heard_to for unit in right_units)
    pairs = [(first + one, other) for one, other in align(left_units[first:], right_units[:last])]
    if pairs:
        one, other = min(
            pairs, key=lambda pair: abs(left_units[pair[0]].middle + right_units[pair[1]].middle - 2 * after.start)
        )
        keep, drop = one + 1, other + 1
    else:  # they understood the same sound differently: each has its own side of the seam
        keep, drop = (sum(unit.middle < after.start for unit in units) for units in (left_units, right_units))
    return _slices(left, 0, keep), _slices(right, drop, len(right_units))


def align(left: Sequence[Unit], right: Sequence[Unit]) -> list[tuple[int, int]]:
    """Index pairs of equal words at most MAX_DRIFT_S apart, in order: of all such pairings the one with the most words
    that are closest in time. (Needleman and Wunsch 1970, without a price for gaps.)"""
    best = [[0.0] * (len(right) + 1) for _ in range(len(left) + 1)]
    for i in range(len(left) - 1, -1, -1):
        for j in range(len(right) - 1, -1, -1):
            best[i][j] = max(best[i + 1][j], best[i][j + 1], _likeness(left[i], right[j]) + best[i + 1][j + 1])
    pairs, i, j = [], 0, 0
    while i < len(left) and j < len(right):
        likeness = _likeness(left[i], right[j])
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
    pieces = []
    begin = 0
    for segment in segments:
        end = begin + len(_units(segment))
        low, high = max(first, begin), min(last, end)
        if low < high:
            pieces.append(_slice(segment, low - begin, high - begin))
        begin = end
    return pieces


def _units(segment: Segment) -> list[Unit]:
    return [Unit((piece.start + piece.end) / 2, _plain(piece)) for piece in segment.words or (segment,)]


def _plain(piece: Word | Segment) -> str:
    return "".join(c for c in piece.text.casefold() if c.isalnum()) or piece.text.strip()


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
    speech = [sum(segment.end - segment.start for segment in part.segments) for part in shards]
    if not any(speech):
        speech = [part.duration or 1.0 for part in shards]
    votes: dict[str, float] = {}
    for part, seconds in zip(shards, speech, strict=True):
        votes[part.language] = votes.get(part.language, 0.0) + seconds * part.language_probability
    winner = max(votes, key=lambda language: votes[language])
    return winner, votes[winner] / sum(speech)


def _warnings(shards: Sequence[Transcription], *, is_silent: bool) -> Iterable[Caveat]:
    """Each once, those that go on over a seam as one; a silent shard is no news when somebody speaks in another."""
    caveats: list[Caveat] = []
    latest: dict[tuple[str, str], int] = {}
    for caveat in (caveat for part in shards for caveat in part.warnings if is_silent or caveat.code != "no_speech"):
        at = latest.get((caveat.code, caveat.message), -1)
        last = caveats[at] if at >= 0 else None
        if last and last.end is not None and caveat.start is not None and caveat.start <= last.end + SLACK_S:
            caveats[at] = replace(last, end=max(last.end, caveat.end or 0.0))
        elif caveat != last:
            latest[caveat.code, caveat.message] = len(caveats)
            caveats.append(caveat)
    return caveats


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
