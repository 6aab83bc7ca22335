"""Whose words are whose: every word gets a speaker from the turns that the diarization heard.

Word times and turns are each off by some tenths of a second, so a change of speaker often falls a word or two away
from where it was: "And I'm | Sheila". A change inside a sentence moves to a near place where people do change.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

from shared.text.sentences import ends_clause, has_full_stop
from shared.transcript import Segment, SpeakerTurn, Word

NEAREST_TURN_S = 1.0
"""A word in nobody's turn belongs to the nearest turn that is at most this many seconds away.

Whisper's word times, held against the utterance bounds of pyannote's sample call, are wrong by up to 0.57 s (tiny.en)
and 0.76 s (base), rounded up here. A word farther off was said in a stretch in which the diarization heard nobody.
"""

REACH_WORDS = 3
REACH_S = 0.8
"""How far a change of speaker moves at most, in words and in their seconds: as far as word times are wrong."""

INTERJECTION_WORDS = 3
"""So few words between two stretches of one other speaker are an interjection ("Yeah.", "I see.")."""

PAUSE_S = 0.3
"""Silence between two words at which speakers may change. Whisper's word ends are late, so real pauses are longer."""

_NONE, _PAUSE, _CLAUSE, _SENTENCE = range(4)
"""How good a place is for a change of speaker: in the middle of a phrase, ..., between two sentences."""


def attribute(segments: Sequence[Segment], exclusive: Iterable[SpeakerTurn]) -> list[Segment]:
    """`segments`, which are in order of time, with a speaker for every word; its own speaker for one without words.

    Turns in `exclusive` do not overlap. A word belongs to whoever talks most during it. Then a change of speaker in the
    middle of a phrase moves to the end of a sentence, else to a comma, else to a pause that is at most `REACH_WORDS`
    and `REACH_S` away; the ends of segments are those of sentences. No stretch of one speaker is moved out of
    existence. An interjection stays as it was heard; only one of several words may begin or end its sentence. Linear in
    words + turns, but for bisection.
    """
    voices = _Voices(exclusive)
    attributed: list[Segment] = []
    passage: list[Segment] = []
    for segment in segments:
        if segment.words:
            passage.append(segment)
            continue
        attributed += _passage(passage, voices)
        attributed.append(replace(segment, speaker=voices.during(segment.start, segment.end)))
        passage = []
    return attributed + _passage(passage, voices)


def _passage(segments: list[Segment], voices: _Voices) -> list[Segment]:
    """Segments that all have words, one after another."""
    speakers: list[str | None] = []
    words: list[Word] = []
    starts: set[int] = set()
    for segment in segments:
        starts.add(len(words))
        words += segment.words
        speakers += _bridged([voices.during(word.start, word.end) for word in segment.words])
    owners = iter(_settled(words, speakers, starts))
    return [
        replace(segment, words=tuple(replace(word, speaker=next(owners)) for word in segment.words))
        for segment in segments
    ]


class _Voices:
    """Answers who talks during a stretch of time. `turns` do not overlap."""

    def __init__(self, turns: Iterable[SpeakerTurn]) -> None:
        self._turns = sorted(turns, key=lambda turn: (turn.start, turn.end))
        self._ends = [turn.end for turn in self._turns]

    def during(self, start: float, end: float) -> str | None:
        """Who talks most from `start` to `end`, else whoever is nearest; on equal terms the earlier one."""
        first = bisect_right(self._ends, start)
        talked: dict[str, float] = {}
        after = first
        while after < len(self._turns) and self._turns[after].start < end:
            turn = self._turns[after]
            talked[turn.speaker] = talked.get(turn.speaker, 0.0) + min(end, turn.end) - max(start, turn.start)
            after += 1
        if talked:
            return max(talked, key=lambda speaker: talked[speaker])
        near = [(start - turn.end, turn.speaker) for turn in self._turns[max(0, first - 1) : first]]
        near += [(turn.start - end, turn.speaker) for turn in self._turns[first : first + 1]]
        distance, speaker = min(near, key=lambda candidate: candidate[0], default=(NEAREST_TURN_S + 1, ""))
        return speaker if distance <= NEAREST_TURN_S else None


def _bridged(speakers: list[str | None]) -> list[str | None]:
    """Words of nobody that stand between two words of one speaker become that speaker's."""
    bridged = list(speakers)
    last: int | None = None
    for here, speaker in enumerate(speakers):
        if speaker is None:
            continue
        if last is not None and speakers[last] == speaker:
            bridged[last:here] = [speaker] * (here - last)
        last = here
    return bridged


def _settled(words: Sequence[Word], speakers: list[str | None], starts: set[int]) -> list[str | None]:
    """`speakers` with every change moved to its place; sentences begin at the indices `starts`."""
    bounds = [0, *(i for i in range(1, len(words)) if speakers[i - 1] != speakers[i]), len(words)]
    stretches = list(pairwise(bounds))
    short = [
        last - first <= INTERJECTION_WORDS and 0 < n < len(stretches) - 1 and speakers[first - 1] == speakers[last]
        for n, (first, last) in enumerate(stretches)
    ]
    settled: list[str | None] = []
    low = 0
    for n, ((first, change), (_, high)) in enumerate(pairwise(stretches)):
        place = change
        if None in speakers[change - 1 : change + 1] or (short[n] and short[n + 1]):
            pass
        elif short[n]:  # it may end the sentence that it begins
            if first in starts and change - first > 1:
                place = _place(words, starts, change, change, high, _SENTENCE)
        elif short[n + 1]:  # it may begin the sentence that it ends
            if high in starts and high - change > 1:
                place = _place(words, starts, low, change, change + 1, _SENTENCE)
        else:
            place = _place(words, starts, low, change, high, _PAUSE)
        settled += [speakers[change - 1]] * (place - low)
        low = place
    return settled + speakers[-1:] * (len(words) - low)


def _place(words: Sequence[Word], starts: set[int], low: int, change: int, high: int, least: int) -> int:
    """Where the change before the word `change` belongs: between `low` and `high`, at a place of `least` quality."""

    def quality(place: int) -> int:
        before, after = words[place - 1], words[place]
        if place in starts:
            return _SENTENCE
        if ends_clause(before.text):
            return _CLAUSE
        return _PAUSE if after.start - before.end >= PAUSE_S else _NONE

    # a full stop inside a segment may be an abbreviation's: nothing moves there, and what is there stays
    if quality(change) > _NONE or has_full_stop(words[change - 1].text):
        return change
    earlier = range(max(low + 1, change - REACH_WORDS), change)
    later = range(change + 1, min(high, change + REACH_WORDS + 1))
    moved_s = {place: words[change - 1].end - words[place].start for place in earlier}
    moved_s |= {place: words[place - 1].end - words[change].start for place in later}
    near = [place for place, seconds in moved_s.items() if seconds <= REACH_S and quality(place) >= least]
    return max(near, key=lambda place: (quality(place), -moved_s[place], -place), default=change)
