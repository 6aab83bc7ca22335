"""A transcript cut into subtitle cues, as SubRip (.srt) or WebVTT (.vtt).

A segment becomes cues of at most `max_lines` lines and `max_cue_s` seconds. Cues are cut between words, at the end of
a sentence or at a pause where one is near. Chinese, Japanese, Thai and other scripts without spaces are cut between
characters. A word wider than a line is broken, without a hyphen, rather than shown too wide.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Unpack

from api.transcripts.line_breaks import UNSPACED, Unit, clean, units_of, width
from api.transcripts.on_screen import LONG_PAUSE_S, PAUSE_S, Cue, CuePart, Draft, on_screen
from api.transcripts.screen import Marks, Screen, ScreenChoices
from shared.text.sentences import ends_clause, ends_sentence, goes_on
from shared.transcript import Segment, Transcript

MIN_LABEL_COLUMNS = 7
"""Room for the name that a hundredth speaker is given, spk_100, in lines of any length."""

MIN_AT_ONCE_S = 0.5
"""Two talk at once when their segments overlap for longer: at a change of speakers word times are off by less."""

DASH = "- "
"""Stands before what each says in a cue of several speakers that is not labelled otherwise."""

UNKNOWN_SPEAKER = "unknown"
"""Shown instead of a speaker where the transcript has speakers and a segment has none."""

Span = tuple[float, float]

_TIME = re.compile(r"(\d:\d+:\d+)([.,:]\d)")


def srt(transcript: Transcript, **limits: Unpack[ScreenChoices]) -> str:
    """SubRip. `spk_1: ` stands before the text where the speaker changes and counts as part of the line; a long name
    is cut to half of it. With the marks `dashes` there are no names.

    SubRip has no escapes: an arrow `-->` in the text, which players take for a time line, becomes `→`. A time to the
    millisecond, two of which some take for one too, gets a word joiner (U+2060, no width) before its fraction.
    """
    blocks = []
    for number, cue in enumerate(cues(transcript, Screen(**limits), "names"), start=1):
        body = "\n".join(part.label + "\n".join(part.lines) for part in cue.parts)
        text = _TIME.sub("\\1\u2060\\2", body.replace("-->", "→"))
        blocks.append(f"{number}\n{clock(cue.start_ms, ',')} --> {clock(cue.end_ms, ',')}\n{text}\n")
    return "\n".join(blocks)


def vtt(transcript: Transcript, **limits: Unpack[ScreenChoices]) -> str:
    """WebVTT (https://www.w3.org/TR/webvtt1/). What a known speaker says is in a voice tag: `<v spk_1>...</v>`.

    In a cue of several speakers each begins with a dash, as players do not show the names. With the marks `names` the
    names are part of the text, as in SubRip.
    """
    blocks = ["WEBVTT\n"]
    for cue in cues(transcript, Screen(**limits), "dashes"):
        text = "\n".join(map(_spoken, cue.parts))
        blocks.append(f"{clock(cue.start_ms, '.')} --> {clock(cue.end_ms, '.')}\n{text}\n")
    return "\n".join(blocks)


def cues(transcript: Transcript, limits: Screen, usual_marks: Marks) -> Iterator[Cue]:
    """The cues of all segments in order, never empty, never overlapping, shown for `limits.min_cue_s` unless they are
    late or the recording ends before.

    A line holds `max_line_length` columns; a full-width character takes two, any other one. The marks of speakers are
    `usual_marks` unless the limits name others; with `names` the first line leaves room for the label of a new
    speaker. Where two channels talk at once their cues take half of `max_lines`, so that both fit on the screen.
    """
    names = (limits.speaker_marks or usual_marks) == "names"
    room, lines = limits.max_line_length, limits.max_lines
    drafts: list[Draft] = []
    at_once = _talk_at_once(transcript.segments)
    crowds = _crowds(transcript.segments) if at_once else []
    diarized = any(segment.speaker is not None for segment in transcript.segments)
    for passage in _passages(transcript.segments):
        speaker = passage[0].speaker
        own_label = _label(speaker or UNKNOWN_SPEAKER, room) if names else DASH
        label = own_label if names and diarized and (at_once or not drafts or speaker != drafts[-1].speaker) else ""
        units = [unit for segment in passage for unit in units_of(segment, room - width(label))]
        first = 0
        while first < len(units):
            ahead = units[first : first + 2 * room * lines]
            count = _cut(ahead, room, lines, limits.max_cue_s, width(label))
            if _meets(crowds, ahead[0].start, ahead[count - 1].end):
                count = _cut(ahead, room, max(1, lines // 2), limits.max_cue_s, width(label))
            drafts.append(Draft(tuple(ahead[:count]), speaker, label, own_label))
            first, label = first + count, label if at_once else ""
    yield from on_screen(_by_start(drafts) if at_once else drafts, limits, transcript.duration)


def _talk_at_once(segments: Sequence[Segment]) -> bool:
    """Whether segments of different speakers overlap, as they do when each has a channel."""
    ends: dict[str | None, float] = {}
    for segment in segments:
        other_ends = [end for speaker, end in ends.items() if speaker != segment.speaker]
        if other_ends and max(other_ends) - segment.start > MIN_AT_ONCE_S:
            return True
        ends[segment.speaker] = max(segment.end, ends.get(segment.speaker, 0.0))
    return False


def _crowds(segments: Sequence[Segment]) -> list[Span]:
    """Where several speakers talk, in order."""
    ends: dict[str | None, float] = {}
    crowds: list[Span] = []
    for segment in segments:
        other_ends = [end for speaker, end in ends.items() if speaker != segment.speaker]
        end = min(segment.end, max(other_ends, default=0.0))
        if crowds and segment.start <= crowds[-1][1]:
            crowds[-1] = (crowds[-1][0], max(crowds[-1][1], end))
        elif end > segment.start:
            crowds.append((segment.start, end))
        ends[segment.speaker] = max(segment.end, ends.get(segment.speaker, 0.0))
    return crowds


def _meets(crowds: Sequence[Span], start: float, end: float) -> bool:
    """Whether somebody else talks in between."""
    behind = bisect_left(crowds, (end, end))
    return behind > 0 and crowds[behind - 1][1] > start


def _by_start(drafts: Sequence[Draft]) -> list[Draft]:
    """In order of time, without moving what one speaker says before what the same one said earlier."""
    latest: dict[str | None, float] = {}
    keyed = []
    for draft in drafts:
        latest[draft.speaker] = max(draft.start, latest.get(draft.speaker, 0.0))
        keyed.append((latest[draft.speaker], draft))
    return [draft for _, draft in sorted(keyed, key=lambda entry: entry[0])]


def _label(speaker: str, max_line_length: int) -> str:
    """Who talks, in at most half a line and the two columns of the colon; a longer name ends in `…`."""
    name = clean(speaker)
    room = max(MIN_LABEL_COLUMNS, max_line_length // 2)
    if width(name) > room:
        fitting = (count for count in range(len(name), 0, -1) if width(name[:count]) < room)
        name = name[: next(fitting, 0)].rstrip() + "…"
    return f"{name}: "


# ---- segments into passages


def _passages(segments: Sequence[Segment]) -> Iterator[list[Segment]]:
    """Runs of segments to be cut as one: a sentence goes on in the next segment, by the same speaker, with no pause."""
    passage: list[Segment] = []
    for segment in segments:
        if passage and not _goes_on(passage[-1], segment):
            yield passage
            passage = []
        passage.append(segment)
    if passage:
        yield passage


def _goes_on(before: Segment, after: Segment) -> bool:
    """Whether a sentence runs over both. Scripts without spaces often lack full stops too: there a segment is one."""
    text = before.text.strip()
    ended = not text or ends_sentence(text, after.text) or UNSPACED.match(text[-1])
    return before.speaker == after.speaker and after.start - before.end < PAUSE_S and not ended


# ---- units into cues and lines


def _cut(units: list[Unit], limit: int, max_lines: int, max_cue_s: float, indent: int) -> int:
    """How many of `units` the next cue takes: as many as fit, or fewer when that gives a better place to cut."""
    fits, line, column = 0, 1, indent
    for unit in units:
        if fits and (unit.end - units[0].start > max_cue_s or unit.start - units[fits - 1].end >= LONG_PAUSE_S):
            break
        unit_width = unit.width + (unit.space and fits > 0)
        if column + unit_width > limit and fits:
            line, column, unit_width = line + 1, 0, unit.width
        if line > max_lines:
            break
        fits, column = fits + 1, column + unit_width
    if fits == len(units) or units[fits].start - units[fits - 1].end >= LONG_PAUSE_S:
        return fits
    ahead = units[: 2 * fits]
    filled = list(accumulate(unit.width + unit.space for unit in ahead))
    # What needs two more cues is shared between them; a longer rest fills this one first.
    target = filled[-1] / 2 if len(ahead) == len(units) else filled[fits - 1]
    candidates = [count for count in range(1, fits + 1) if filled[count - 1] * 3 >= filled[fits - 1]]
    return max(candidates, key=lambda count: (_rank(units, count), -abs(filled[count - 1] - target)))


def _rank(units: list[Unit], count: int) -> int:
    """How good a cut after `count` units is. The worst is behind an abbreviation; in scripts without spaces one is as
    good as a comma."""
    before, after = units[count - 1], units[count]
    if goes_on(before.text, after.text):
        return -1
    if ends_sentence(before.text, after.text) or after.start - before.end >= PAUSE_S:
        return 3
    if ends_clause(before.text) or (after.space and UNSPACED.match(before.text[-1]) and UNSPACED.match(after.text[0])):
        return 2
    return int(after.space)


# ---- notation


def clock(ms: int, point: str) -> str:
    """HH:MM:SS and milliseconds; computed in whole milliseconds, so that 59.9996 s is a full minute."""
    minutes, ms = divmod(ms, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{ms // 1000:02}{point}{ms % 1000:03}"


def _spoken(part: CuePart) -> str:
    """A part of a cue with its voice tag."""
    text = _escaped(part.label + "\n".join(part.lines))
    return text if part.speaker is None else f"<v {_voice(part.speaker)}>{text}</v>"


def _voice(speaker: str) -> str:
    """A name for a voice tag. One that ends in `--` would make an arrow with the end of the tag, which ends the cue;
    white space at the end is none of the name."""
    name = _escaped(clean(speaker)) or UNKNOWN_SPEAKER
    return f"{name} " if name.endswith("--") else name


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
