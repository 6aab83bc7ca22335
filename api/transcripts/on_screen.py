"""When cues are shown: each long enough to be read, none over another, what is said at once side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from api.transcripts.line_breaks import Unit, width

MIN_CUE_MS = 833
"""A cue is shown at least this long: 5/6 s, the least in Netflix's timed text style guide."""

COLUMNS_PER_S = 20
"""Reading speed of adults in the same guide. Where two talk at once, a cue stays until it can have been read."""

PAUSE_S = 0.5
"""Silence between two words at which a cue is better cut than in the middle of a phrase."""

LONG_PAUSE_S = 2.0
"""Silence at which a cue always ends: longer, and words would be on screen well before they are said."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a cue may hold."""

    max_line_length: int
    max_lines: int
    max_cue_s: float


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


def on_screen(drafts: Iterable[Draft], limits: Limits, end: float) -> Iterator[Cue]:
    """The cues of `drafts`, which are in order of their start, until `end` or a little later.

    Whatever would push a cue off the screen before it can be read is shown in the same cue, below it, where the limits
    allow; else it comes late, as soon as the other has been shown long enough.
    """
    shown: list[Draft] = []
    start_ms = 0
    for draft in drafts:
        draft_ms = ms(draft.start)
        if shown:
            read_ms = start_ms + _needed_ms(shown, start_ms, limits)
            if draft_ms < read_ms and (both := _together(shown, draft, start_ms, limits)):
                shown = both
                continue
            cue = _cue(shown, start_ms, max(draft_ms, read_ms), limits)
            yield cue
            draft_ms = max(draft_ms, cue.end_ms)
        shown, start_ms = [draft], draft_ms
    if shown:
        is_late = start_ms > ms(shown[0].start)
        until_ms = ms(max(end, _end(shown)))
        yield _cue(shown, start_ms, max(until_ms, start_ms + MIN_CUE_MS * is_late), limits)


def ms(seconds: float) -> int:
    """Whole milliseconds, never negative."""
    return max(0, round(seconds * 1000))


def _end(drafts: Sequence[Draft]) -> float:
    return max(draft.end for draft in drafts)


def _needed_ms(drafts: Sequence[Draft], start_ms: int, limits: Limits) -> int:
    """How long these are shown at least. What is late makes way sooner, else all that follows would be ever later."""
    late_ms = start_ms - ms(drafts[0].start)
    columns = sum(unit.width + unit.space for draft in drafts for unit in draft.units)
    said_ms = min(ms(_end(drafts)) - start_ms, ms(limits.max_cue_s))
    return max(MIN_CUE_MS, min(columns * 1000 // COLUMNS_PER_S, said_ms) - late_ms)


def _together(shown: list[Draft], draft: Draft, start_ms: int, limits: Limits) -> list[Draft] | None:
    """`shown` and `draft` in one cue; None where that is too much, or shows words long before they are said."""
    last = shown[-1]
    if draft.start - shown[0].start >= LONG_PAUSE_S:
        return None
    if draft.speaker == last.speaker:
        if draft.start - last.end >= PAUSE_S:
            return None
        first = draft.units[0]
        # no space behind the full stop of a script without spaces, which is as wide as two columns
        first = replace(first, space=first.space and width(last.units[-1].text[-1]) == 1)
        both = [*shown[:-1], replace(last, units=(*last.units, first, *draft.units[1:]))]
    else:
        both = [replace(part, label=part.own_label) for part in (*shown, draft)]
    room = limits.max_line_length
    lines = [line for part in both for line in _wrapped(part.units, room, width(part.label))]
    is_too_wide = any(width(part.label) + part.units[0].width > room for part in both)
    is_too_long = ms(_end(both)) - start_ms > ms(limits.max_cue_s)
    return None if len(lines) > limits.max_lines or is_too_wide or is_too_long else both


def _cue(drafts: Sequence[Draft], start_ms: int, until_ms: int, limits: Limits) -> Cue:
    end_ms = min(max(ms(_end(drafts)), start_ms + MIN_CUE_MS), until_ms, start_ms + ms(limits.max_cue_s))
    parts = (
        CuePart(tuple(_balanced(draft.units, limits.max_line_length, width(draft.label))), draft.speaker, draft.label)
        for draft in drafts
    )
    return Cue(start_ms, max(end_ms, start_ms + 1), tuple(parts))


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
