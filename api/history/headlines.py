"""Where in a transcript the words are that were looked for. What was said is hostile text: no markup is made of it."""

from __future__ import annotations

import re
import uuid
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, pairwise

from sqlalchemy import select
from sqlalchemy.orm import Session

from shared.models import Job
from shared.text.search_query import Clause, parse
from shared.text.search_terms import fold, is_by_character, origins, pieces

PLACES = 2
SPAN_CHARS = 120
"""Matches that lie within so many characters are shown as one place."""

PLACE_CHARS = 160
"""Of a place with what stands around the matches."""

MATCHES = 500
"""Of a clause in one transcript that are considered."""

PIECE_CHARS = 1000
"""Of the transcript, for which the way back from its folded text is worked out at once."""

_INVISIBLE = dict.fromkeys([*range(9), 11, 12, *range(14, 32), *range(127, 160)])


@dataclass(frozen=True, slots=True)
class Run:
    """A piece of plain text, and whether it is one of the words that were looked for."""

    text: str
    is_match: bool


@dataclass(frozen=True, slots=True)
class Place:
    """A piece of a transcript; `at` is where `match`, the first, begins, as an index in the text of the task."""

    runs: tuple[Run, ...]
    at: int
    match: str


@dataclass(frozen=True, slots=True, order=True)
class _Match:
    start: int
    end: int
    clause: int


def headlines(session: Session, job_ids: Sequence[uuid.UUID], words: str) -> Mapping[uuid.UUID, Sequence[Place]]:
    """Up to two places of each of these transcripts, in their order, each as runs of plain text (not of HTML)."""
    rows = session.execute(select(Job.id, Job.full_text).where(Job.id.in_(job_ids), Job.full_text.is_not(None)))
    clauses = [clause for either in parse(words) for clause in either if not clause.is_excluded]
    return {job_id: places(text, clauses) for job_id, text in rows if text}


def places(text: str, clauses: Sequence[Clause]) -> Sequence[Place]:
    """The places with most of the words, the earlier the better."""
    matches = sorted(_matches(text, clauses))
    picks: list[list[_Match]] = []
    groups = sorted(_groups(matches), key=lambda group: (-len({match.clause for match in group}), group[0].start))
    for group in groups:
        if all(_is_apart(group, other) for other in picks):
            picks.append(group)
        if len(picks) == PLACES:
            break
    return [_place(text, group) for group in sorted(picks)]


def _groups(matches: Sequence[_Match]) -> Iterator[list[_Match]]:
    """From each match on, those that fit into one place."""
    for number, first in enumerate(matches):
        group = [first]
        for match in matches[number + 1 :]:
            if match.start > first.start + SPAN_CHARS:
                break
            if match.end <= first.start + SPAN_CHARS:
                group.append(match)
        yield group


def _is_apart(group: Sequence[_Match], other: Sequence[_Match]) -> bool:
    return not (group[0].start < other[0].start + PLACE_CHARS and other[0].start < group[0].start + PLACE_CHARS)


# ---- matches


def _matches(text: str, clauses: Sequence[Clause]) -> Iterator[_Match]:
    originals = list(pieces(text, PIECE_CHARS))
    folded = [fold(piece) for piece in originals]
    starts, folded_starts = ([0, *accumulate(map(len, parts))] for parts in (originals, folded))
    whole = "".join(folded)
    way_of = cache(lambda piece: origins(originals[piece]))

    def original(index: int) -> tuple[int, int]:
        """Where the character of the folded text begins and ends in the text."""
        piece = bisect_right(folded_starts, index) - 1
        way = way_of(piece)[index - folded_starts[piece] :]
        start, end = way[0], next(place for place in way if place > way[0])
        return starts[piece] + start, starts[piece] + end

    for number, clause in enumerate(clauses):
        count = 0
        for match in _pattern(clause).finditer(whole):
            if count < MATCHES and _is_whole(whole, *match.span()):
                count += 1
                yield _Match(original(match.start())[0], original(match.end() - 1)[1], number)


def _pattern(clause: Clause) -> re.Pattern[str]:
    """Without its ends, so that it begins with letters, which `re` finds quickly."""
    pattern = re.escape(clause.tokens[0])
    for before, after in pairwise(clause.tokens):
        pattern += (" *" if is_by_character(before) != is_by_character(after) else " +") + re.escape(after)
    return re.compile(pattern)


def _is_whole(folded: str, start: int, end: int) -> bool:
    """Whether a word neither begins before nor goes on behind."""
    before, after = folded[max(start - 1, 0) : start].strip(), folded[end : end + 1].strip()
    is_begun = before and not is_by_character(before) and not is_by_character(folded[start])
    goes_on = after and not is_by_character(after) and not is_by_character(folded[end - 1])
    return not is_begun and not goes_on


# ---- what is shown


def _place(text: str, group: Sequence[_Match]) -> Place:
    start, end = group[0].start, max(match.end for match in group)
    room = max(PLACE_CHARS - (end - start), 0) // 2
    left, right = max(start - room, 0), min(end + room, len(text))
    if left and (cut := re.search(r"\s", text[left:start])):
        left += cut.end()
    if right < len(text) and (cut := re.search(r"\s\S*\Z", text[end:right])):
        right = end + cut.start()
    runs: list[Run] = []
    at = left
    for match in group:
        if match.start < at and runs:  # two clauses over the same words
            continue
        runs += [Run(text[at : match.start], False)]
        runs += [Run(word, not word.isspace()) for word in re.split(r"(\s+)", text[match.start : match.end])]
        at = match.end
    runs += [Run(text[at:right], False)]
    clean_runs = [Run(run.text.translate(_INVISIBLE), run.is_match) for run in runs]
    return Place(tuple(run for run in clean_runs if run.text), start, text[start : group[0].end])
