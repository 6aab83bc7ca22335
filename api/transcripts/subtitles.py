"""A transcript cut into subtitle cues, as SubRip (.srt) or WebVTT (.vtt).

A segment becomes cues of at most `max_lines` lines and `max_cue_s` seconds. Cues are cut between words, at the end of
a sentence or at a pause where one is near. Chinese, Japanese, Thai and other scripts without spaces are cut between
characters. A word wider than a line is broken, without a hyphen, rather than shown too wide.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from api.transcripts.line_breaks import UNSPACED, Unit, clean, units_of, width
from shared.transcript import Segment, Transcript

MIN_CUE_MS = 833
"""A cue is shown this long if the next one leaves room: 5/6 s, the least in Netflix's timed text style guide."""

PAUSE_S = 0.5
"""Silence between two words at which a cue is better cut than in the middle of a phrase."""

LONG_PAUSE_S = 2.0
"""Silence at which a cue always ends: longer, and words would be on screen well before they are said."""

MIN_LABEL_COLUMNS = 7
"""Room for the name that a hundredth speaker is given, spk_100, in lines of any length."""

MIN_AT_ONCE_S = 0.5
"""Two talk at once when their segments overlap for longer: at a change of speakers word times are off by less."""

UNKNOWN_SPEAKER = "unknown"
"""Shown instead of a speaker where the transcript has speakers and a segment has none."""

_SENTENCE_END = re.compile(r"[.!?…。！？।؟][\"'”’»)\]」』）]*$")  # noqa: RUF001
_CLAUSE_END = re.compile(r"[,;:،、，；：—–][\"'”’»)\]」』）]*$")  # noqa: RUF001

_TIME = re.compile(r"(\d:\d+:\d+)([.,:]\d)")


@dataclass(frozen=True, slots=True)
class Cue:
    """What is on screen from `start_ms` to `end_ms`; `label` says who talks where that is news."""

    start_ms: int
    end_ms: int
    lines: tuple[str, ...]
    speaker: str | None
    label: str = ""


@dataclass(frozen=True, slots=True)
class _Draft:
    """A cue before its times are settled."""

    units: list[Unit]
    speaker: str | None
    label: str


def srt(transcript: Transcript, *, max_line_length: int = 42, max_lines: int = 2, max_cue_s: float = 7.0) -> str:
    """SubRip. `spk_1: ` stands before the text where the speaker changes and counts as part of the line; a long name
    is cut to half of it.

    SubRip has no escapes: an arrow `-->` in the text, which players take for a time line, becomes `→`. A time to the
    millisecond, two of which some take for one too, gets a word joiner (U+2060, no width) before its fraction.
    """
    blocks = []
    for number, cue in enumerate(cues(transcript, max_line_length, max_lines, max_cue_s, labels=True), start=1):
        text = _TIME.sub("\\1\u2060\\2", (cue.label + "\n".join(cue.lines)).replace("-->", "→"))
        blocks.append(f"{number}\n{_clock(cue.start_ms, ',')} --> {_clock(cue.end_ms, ',')}\n{text}\n")
    return "\n".join(blocks)


def vtt(transcript: Transcript, *, max_line_length: int = 42, max_lines: int = 2, max_cue_s: float = 7.0) -> str:
    """WebVTT (https://www.w3.org/TR/webvtt1/). Every cue of a known speaker is in a voice tag: `<v spk_1>...</v>`."""
    blocks = ["WEBVTT\n"]
    for cue in cues(transcript, max_line_length, max_lines, max_cue_s, labels=False):
        text = _escaped("\n".join(cue.lines))
        if cue.speaker is not None:
            text = f"<v {_voice(cue.speaker)}>{text}</v>"
        blocks.append(f"{_clock(cue.start_ms, '.')} --> {_clock(cue.end_ms, '.')}\n{text}\n")
    return "\n".join(blocks)


def cues(
    transcript: Transcript, max_line_length: int, max_lines: int, max_cue_s: float, *, labels: bool
) -> Iterator[Cue]:
    """The cues of all segments in order, never empty, never overlapping, at least 1 ms long.

    A line holds `max_line_length` columns; a full-width character takes two, any other one. With `labels` the first
    line leaves room for the label of a new speaker. Where two channels talk at once their cues alternate, each
    labelled.
    """
    drafts: list[_Draft] = []
    at_once = _talk_at_once(transcript.segments)
    diarized = any(segment.speaker is not None for segment in transcript.segments)
    for passage in _passages(transcript.segments):
        label, speaker = "", passage[0].speaker
        if labels and diarized and (at_once or not drafts or speaker != drafts[-1].speaker):
            label = _label(speaker or UNKNOWN_SPEAKER, max_line_length)
        units = [unit for segment in passage for unit in units_of(segment, max_line_length - width(label))]
        first = 0
        while first < len(units):
            ahead = units[first : first + 2 * max_line_length * max_lines]
            count = _cut(ahead, max_line_length, max_lines, max_cue_s, width(label))
            drafts.append(_Draft(ahead[:count], speaker, label))
            first, label = first + count, label if at_once else ""
    if at_once:
        drafts = _by_start(drafts)
    free_ms = 0
    for here, draft in enumerate(drafts):
        start_ms = max(free_ms, _ms(draft.units[0].start))
        end = draft.units[-1].end
        until_ms = _ms(drafts[here + 1].units[0].start if here + 1 < len(drafts) else max(end, transcript.duration))
        end_ms = min(max(_ms(end), start_ms + MIN_CUE_MS), until_ms, start_ms + _ms(max_cue_s))
        free_ms = max(end_ms, start_ms + 1)
        lines = tuple(_balanced(draft.units, max_line_length, width(draft.label)))
        yield Cue(start_ms, free_ms, lines, draft.speaker, draft.label)


def _talk_at_once(segments: Sequence[Segment]) -> bool:
    """Whether segments of different speakers overlap, as they do when each has a channel."""
    ends: dict[str | None, float] = {}
    for segment in segments:
        other_ends = [end for speaker, end in ends.items() if speaker != segment.speaker]
        if other_ends and max(other_ends) - segment.start > MIN_AT_ONCE_S:
            return True
        ends[segment.speaker] = max(segment.end, ends.get(segment.speaker, 0.0))
    return False


def _by_start(drafts: Sequence[_Draft]) -> list[_Draft]:
    """In order of time, without moving what one speaker says before what the same one said earlier."""
    latest: dict[str | None, float] = {}
    keyed = []
    for draft in drafts:
        latest[draft.speaker] = max(draft.units[0].start, latest.get(draft.speaker, 0.0))
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
    ended = not text or _SENTENCE_END.search(text) or UNSPACED.match(text[-1])
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
    """How good a cut after `count` units is."""
    before, after = units[count - 1], units[count]
    if _SENTENCE_END.search(before.text) or after.start - before.end >= PAUSE_S:
        return 3
    if _CLAUSE_END.search(before.text):
        return 2
    return int(after.space)


def _balanced(units: list[Unit], limit: int, indent: int) -> list[str]:
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


def _wrapped(units: list[Unit], limit: int, indent: int) -> list[str]:
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


# ---- notation


def _ms(seconds: float) -> int:
    return max(0, round(seconds * 1000))


def _clock(ms: int, point: str) -> str:
    """HH:MM:SS and milliseconds; computed in whole milliseconds, so that 59.9996 s is a full minute."""
    minutes, ms = divmod(ms, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{ms // 1000:02}{point}{ms % 1000:03}"


def _voice(speaker: str) -> str:
    """A name for a voice tag. One that ends in `--` would make an arrow with the end of the tag, which ends the cue;
    white space at the end is none of the name."""
    name = _escaped(clean(speaker)) or UNKNOWN_SPEAKER
    return f"{name} " if name.endswith("--") else name


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
