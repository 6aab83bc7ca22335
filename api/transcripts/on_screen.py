"""When cues are shown: each long enough to be read, none over another, what is said at once side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from api.transcripts.line_breaks import Unit, width
from api.transcripts.screen import Screen

MIN_CUE_MS = 833
"""What is late is shown no longer than this, 5/6 s, even if the limits say more: else all that follows is late, too."""

COLUMNS_PER_S = 20
"""Reading speed where two talk at once and the limits have none: Netflix's, of adults. A cue stays until it is read."""

LINGER_MS = 1500
"""A cue stays this long after its last word, at most, to be read. The BBC lets none stay longer."""

LATE_MS = 1500
"""Cues that are later than this follow each other without a gap."""

PAUSE_S = 0.5
"""Silence between two words at which a cue is better cut than in the middle of a phrase."""

LONG_PAUSE_S = 2.0
"""Silence at which a cue always ends: longer, and words would be on screen well before they are said."""


@dataclass(frozen=True, slots=True)
class Draft:
    """Some words of one speaker that are shown together.

    label : stands before the text
    own_label : does so where a cue has several speakers
    """

    units: tuple[Unit, ...]
    speaker: str | None
    label: str
    own_label: str

    @property
    def start(self) -> float:
        return self.units[0].start

    @property
    def end(self) -> float:
        return self.units[-1].end


@dataclass(frozen=True, slots=True)
class CuePart:
    """What a cue shows of one speaker."""

    lines: tuple[str, ...]
    speaker: str | None
    label: str


@dataclass(frozen=True, slots=True)
class Cue:
    """What is on screen from `start_ms` to `end_ms`. Several parts are several speakers who talk at once."""

    start_ms: int
    end_ms: int
    parts: tuple[CuePart, ...]


def on_screen(drafts: Iterable[Draft], limits: Screen, end: float) -> Iterator[Cue]:
    """The cues of `drafts`, which are in order of their start, until `end` or a little later.

    Whatever would push a cue off the screen before it can be read is shown in the same cue, below it, where the limits
    allow; else it comes late, as soon as the other has been shown long enough.
    """
    group: list[Draft] = []
    start_ms = 0
    for draft in drafts:
        draft_ms = ms(draft.start)
        if group:
            gap_ms = ms(limits.gap_s) if start_ms - ms(group[0].start) <= LATE_MS else 0
            free_ms = start_ms + _needed_ms(group, start_ms, limits) + gap_ms
            if draft_ms < free_ms and (both := _together(group, draft, start_ms, limits)):
                group = both
                continue
            until_ms = max(draft_ms, free_ms) - gap_ms
            end_ms = _end_ms(group, start_ms, until_ms, limits)
            if until_ms - end_ms < ms(limits.closed_gap_s) - gap_ms:
                end_ms = min(until_ms, start_ms + ms(limits.max_cue_s))
            yield _cue(group, start_ms, end_ms, limits)
            draft_ms = max(draft_ms, end_ms + gap_ms)
        group, start_ms = [draft], draft_ms
    if group:
        late_ms = MIN_CUE_MS if start_ms > ms(group[0].start) else 0
        until_ms = max(ms(max(end, _end(group))), start_ms + late_ms)
        yield _cue(group, start_ms, _end_ms(group, start_ms, until_ms, limits), limits)


def ms(seconds: float) -> int:
    """Whole milliseconds, never negative."""
    return max(0, round(seconds * 1000))


def _end(drafts: Sequence[Draft]) -> float:
    return max(draft.end for draft in drafts)


def _needed_ms(drafts: Sequence[Draft], start_ms: int, limits: Screen) -> int:
    """How long these are shown at least. What is late makes way sooner, else all that follows would be ever later."""
    late_ms, min_ms = start_ms - ms(drafts[0].start), ms(limits.min_cue_s)
    said_ms = min(ms(_end(drafts)) - start_ms, ms(limits.max_cue_s)) - ms(limits.gap_s)
    read_ms = min(_reading_ms(drafts, limits.reading_speed or COLUMNS_PER_S), said_ms)
    return max(min(min_ms, MIN_CUE_MS), max(min_ms, read_ms) - late_ms)


def _reading_ms(drafts: Sequence[Draft], columns_per_s: float) -> int:
    """How long it takes to read these."""
    columns = sum(unit.width + unit.space for draft in drafts for unit in draft.units) - drafts[0].units[0].space
    return int(columns * 1000 // columns_per_s)


def _end_ms(drafts: Sequence[Draft], start_ms: int, until_ms: int, limits: Screen) -> int:
    """When these disappear: as soon as they are said and read, at the latest at `until_ms`."""
    said_ms = ms(_end(drafts))
    end_ms = max(said_ms, start_ms + ms(limits.min_cue_s))
    if limits.reading_speed:
        end_ms = max(end_ms, min(start_ms + _reading_ms(drafts, limits.reading_speed), said_ms + LINGER_MS))
    return max(start_ms + 1, min(end_ms, until_ms, start_ms + ms(limits.max_cue_s)))


def _together(group: list[Draft], draft: Draft, start_ms: int, limits: Screen) -> list[Draft] | None:
    """`group` and `draft` in one cue; None where that is too much, or shows words long before they are said."""
    last = group[-1]
    if draft.start - group[0].start >= LONG_PAUSE_S:
        return None
    if draft.speaker == last.speaker:
        if draft.start - last.end >= PAUSE_S:
            return None
        first = draft.units[0]
        # no space behind the full stop of a script without spaces, which is as wide as two columns
        first = replace(first, space=first.space and width(last.units[-1].text[-1]) == 1)
        both = [*group[:-1], replace(last, units=(*last.units, first, *draft.units[1:]))]
    else:
        both = [replace(part, label=part.own_label) for part in (*group, draft)]
    room = limits.max_line_length
    lines = [line for part in both for line in _wrapped(part.units, room, width(part.label))]
    is_too_wide = any(width(part.label) + part.units[0].width > room for part in both)
    is_too_long = ms(_end(both)) - start_ms > ms(limits.max_cue_s)
    return None if len(lines) > limits.max_lines or is_too_wide or is_too_long else both


def _cue(drafts: Sequence[Draft], start_ms: int, end_ms: int, limits: Screen) -> Cue:
    parts = (
        CuePart(tuple(_balanced(draft.units, limits.max_line_length, width(draft.label))), draft.speaker, draft.label)
        for draft in drafts
    )
    return Cue(start_ms, end_ms, tuple(parts))


# ---- lines


def _balanced(units: Sequence[Unit], limit: int, indent: int) -> list[str]:
    """`units` on as few lines as `limit` columns allow, the lines as even as can be."""
    lines = _wrapped(units, limit, indent)
    narrow, wide = 1, limit
    while len(lines) > 1 and narrow < wide:
        middle = (narrow + wide) // 2
        candidate = _wrapped(units, middle, indent)
        if len(candidate) == len(lines):
            lines, wide = candidate, middle
        else:
            narrow = middle + 1
    return lines


def _wrapped(units: Sequence[Unit], limit: int, indent: int) -> list[str]:
    lines, column = [units[0].text], indent + units[0].width
    for unit in units[1:]:
        unit_width = unit.width + unit.space
        if column + unit_width > limit:
            lines.append(unit.text)
            column = unit.width
        else:
            lines[-1] += " " * unit.space + unit.text
            column += unit_width
    return lines
