"""Who talks when, after a person has given segments to other speakers than the diarization did."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from shared.transcript import Speaker, SpeakerTurn


@dataclass(frozen=True, slots=True)
class Move:
    """What was said from `start` to `end` seconds is another speaker's; `before` is None where it was nobody's."""

    start: float
    end: float
    before: str | None
    after: str


def moved(turns: Iterable[SpeakerTurn], moves: Sequence[Move]) -> tuple[SpeakerTurn, ...]:
    """`turns` with the parts that were moved, in order of time.

    What the former speaker talks in the time of a move becomes the new one's; where the former one has no turn at all,
    the new one gets the whole of that time. What others say at the same time stays theirs.
    """
    by_speaker: dict[str | None, list[Move]] = {}
    for move in sorted(moves, key=lambda move: (move.start, move.end)):
        speaker_moves = by_speaker.setdefault(move.before, [])
        start = max(move.start, speaker_moves[-1].end) if speaker_moves else move.start  # so that they do not overlap
        if start < move.end:
            speaker_moves.append(replace(move, start=start))
    matches: set[Move] = set()
    after: list[SpeakerTurn] = []
    for turn in turns:
        after += _cut(turn, by_speaker.get(turn.speaker, []), matches)
    for move in (move for speaker_moves in by_speaker.values() for move in speaker_moves if move not in matches):
        after.append(SpeakerTurn(move.start, move.end, move.after))
    return tuple(sorted(after, key=lambda turn: (turn.start, turn.end, turn.speaker)))


def seconds_by_speaker(turns: Iterable[SpeakerTurn], speakers: Iterable[str | None]) -> tuple[Speaker, ...]:
    """The `speakers` of segments, in that order, and how long each talks."""
    seconds = dict.fromkeys((speaker for speaker in speakers if speaker is not None), 0.0)
    for turn in turns:
        if turn.speaker in seconds:
            seconds[turn.speaker] += turn.end - turn.start
    return tuple(Speaker(speaker, talked) for speaker, talked in seconds.items())


def _cut(turn: SpeakerTurn, moves: Sequence[Move], matches: set[Move]) -> Iterator[SpeakerTurn]:
    """`turn` in pieces, those in the time of a move with their new speaker; such moves are added to `matches`."""
    now = turn.start
    for move in moves[bisect_right(moves, turn.start, key=lambda move: move.end) :]:
        if move.start >= turn.end:
            break
        matches.add(move)
        start, end = max(now, move.start), min(move.end, turn.end)
        if now < start:
            yield SpeakerTurn(now, start, turn.speaker)
        yield SpeakerTurn(start, end, move.after)
        now = end
    if now < turn.end or now == turn.start:
        yield replace(turn, start=now)
