"""A transcript cut into subtitle cues, as SubRip (.srt) or WebVTT (.vtt).

A segment becomes cues of at most `max_lines` lines and `max_cue_s` seconds. Cues are cut between words, at the end of
a sentence or at a pause where one is near. Chinese, Japanese, Thai and other scripts without spaces are cut between
characters. A word wider than a line is broken, without a hyphen, rather than shown too wide.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from shared.transcript import Segment, Transcript, Word

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

_NEVER_SHOWN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]")
_UNSPACED = re.compile(
    "[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3000-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\uff01-\uff65\U00020000-\U0003ffff]"
)  # Thai, Lao, Tibetan, Myanmar, Khmer, kana, Han and their punctuation
_STARTS_NO_LINE = {"Pe", "Pf", "Po", "Pd", "Mn", "Mc", "Me", "Lm", "Cf"}
_ENDS_NO_LINE = {"Ps", "Pi"}
_LEADING_VOWELS = frozenset("เแโใไເແໂໃໄ")  # written before the consonant they belong to
_SENTENCE_END = re.compile(r"[.!?…。！？।؟][\"'”’»)\]」』）]*$")  # noqa: RUF001
_CLAUSE_END = re.compile(r"[,;:،、，；：—–][\"'”’»)\]」』）]*$")  # noqa: RUF001


@dataclass(frozen=True, slots=True)
class Cue:
    """What is on screen from `start_ms` to `end_ms`; `label` says who talks where that is news."""

    start_ms: int
    end_ms: int
    lines: tuple[str, ...]
    speaker: str | None
    label: str = ""


@dataclass(frozen=True, slots=True)
class _Unit:
    """Text that stays on one line. Times in seconds; `space`: white space stood before it; `width` in columns."""

    start: float
    end: float
    text: str
    space: bool
    width: int


@dataclass(frozen=True, slots=True)
class _Draft:
    """A cue before its times are settled."""

    units: list[_Unit]
    speaker: str | None
    label: str


def clean(text: str) -> str:
    """`text` on one line: control characters and runs of white space become one space, none at the ends."""
    return " ".join(_NEVER_SHOWN.sub(" ", text).split())


def srt(transcript: Transcript, *, max_line_length: int = 42, max_lines: int = 2, max_cue_s: float = 7.0) -> str:
    """SubRip. `spk_1: ` stands before the text where the speaker changes and counts as part of the line; a long name
    is cut to half of it.

    SubRip has no escapes; an arrow `-->` in the text, which players take for a time line, becomes `→`.
    """
    blocks = []
    for number, cue in enumerate(cues(transcript, max_line_length, max_lines, max_cue_s, labels=True), start=1):
        text = (cue.label + "\n".join(cue.lines)).replace("-->", "→")
        blocks.append(f"{number}\n{_clock(cue.start_ms, ',')} --> {_clock(cue.end_ms, ',')}\n{text}\n")
    return "\n".join(blocks)


def vtt(transcript: Transcript, *, max_line_length: int = 42, max_lines: int = 2, max_cue_s: float = 7.0) -> str:
    """WebVTT (https://www.w3.org/TR/webvtt1/). Every cue of a known speaker is in a voice tag: `<v spk_1>...</v>`."""
    blocks = ["WEBVTT\n"]
    for cue in cues(transcript, max_line_length, max_lines, max_cue_s, labels=False):
        text = _escaped("\n".join(cue.lines))
        if cue.speaker is not None:
            text = f"<v {_escaped(clean(cue.speaker))}>{text}</v>"
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
        units = [unit for segment in passage for unit in _units(segment, max_line_length - _width(label))]
        first = 0
        while first < len(units):
            ahead = units[first : first + 2 * max_line_length * max_lines]
            count = _cut(ahead, max_line_length, max_lines, max_cue_s, _width(label))
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
        lines = tuple(_balanced(draft.units, max_line_length, _width(draft.label)))
        yield Cue(start_ms, free_ms, lines, draft.speaker, draft.label)


def _talk_at_once(segments: Sequence[Segment]) -> bool:
    """Whether segments of different speakers overlap, as they do when each has a channel."""
    ends: dict[str | None, float] = {}
    for segment in segments:
        others = [end for speaker, end in ends.items() if speaker != segment.speaker]
        if others and max(others) - segment.start > MIN_AT_ONCE_S:
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
    if _width(name) > room:
        fitting = (count for count in range(len(name), 0, -1) if _width(name[:count]) < room)
        name = name[: next(fitting, 0)].rstrip() + "…"
    return f"{name}: "


# ---- text into units


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
    ended = not text or _SENTENCE_END.search(text) or _UNSPACED.match(text[-1])
    return before.speaker == after.speaker and after.start - before.end < PAUSE_S and not ended


def _units(segment: Segment, room: int) -> list[_Unit]:
    """The words of `segment`, each at most `room` columns wide; a break is allowed between any two units.

    Parts of a word share its time by their length, and so do the words of a segment that has only text.
    """
    units: list[_Unit] = []
    space = True
    for word in segment.words or (Word(segment.start, segment.end, segment.text, segment.confidence),):
        text = _NEVER_SHOWN.sub(" ", word.text)
        space = space or text[:1].isspace()
        for part in _parts(replace(word, text=text.strip()), space):
            last = units[-1] if units else None
            if last and not part.space and not may_break(last.text[-1], part.text[0]):
                units[-1] = _unit(last.start, part.end, last.text + part.text, last.space)
            else:
                units.append(part)
            space = False
        space = space or text[-1:].isspace()
    return [piece for unit in units for piece in ([unit] if unit.width <= room else _broken(unit, room))]


def _unit(start: float, end: float, text: str, space: bool) -> _Unit:
    return _Unit(start, end, text, space, _width(text))


def _parts(word: Word, space: bool) -> Iterator[_Unit]:
    """`word` cut at white space and between the characters of scripts without spaces."""
    per_character = (word.end - word.start) / max(1, len(word.text))
    for run in re.finditer(r"\S+", word.text):
        text, offset = run.group(), run.start()
        inner = [] if text.isascii() else [i for i in range(1, len(text)) if may_break(text[i - 1], text[i])]
        for first, last in zip([0, *inner], [*inner, len(text)], strict=True):
            start = word.start + per_character * (offset + first)
            end = word.end if offset + last == len(word.text) else word.start + per_character * (offset + last)
            yield _unit(start, end, text[first:last], space if offset + first == 0 else first == 0)


def may_break(before: str, after: str) -> bool:
    """Whether a line may end between these two characters, with no space between them."""
    if not (_UNSPACED.match(before) or _UNSPACED.match(after)):
        return False
    if unicodedata.category(after) in _STARTS_NO_LINE:
        return False
    return unicodedata.category(before) not in _ENDS_NO_LINE and before not in _LEADING_VOWELS


def _broken(unit: _Unit, room: int) -> Iterator[_Unit]:
    """`unit` in pieces of at most `room` columns, a mark left with its letter where that is possible."""
    text, first, space = unit.text, 0, unit.space
    per_character = (unit.end - unit.start) / len(text)
    while first < len(text):
        last, columns = first, 0
        while last < len(text) and (columns := columns + _width(text[last])) <= room:
            last += 1
        last = max(last, first + 1)
        whole = last
        while first < whole < len(text) and unicodedata.category(text[whole])[0] == "M":
            whole -= 1
        last = whole if whole > first else last
        end = unit.end if last == len(text) else unit.start + per_character * last
        yield _unit(unit.start + per_character * first, end, text[first:last], space)
        first, space = last, False


def _width(text: str) -> int:
    return len(text) + (0 if text.isascii() else sum(unicodedata.east_asian_width(c) in "WF" for c in text))


# ---- units into cues and lines


def _cut(units: list[_Unit], limit: int, max_lines: int, max_cue_s: float, indent: int) -> int:
    """How many of `units` the next cue takes: as many as fit, or fewer when that gives a better place to cut."""
    fits, line, column = 0, 1, indent
    for unit in units:
        if fits and (unit.end - units[0].start > max_cue_s or unit.start - units[fits - 1].end >= LONG_PAUSE_S):
            break
        needed = unit.width + (unit.space and fits > 0)
        if column + needed > limit and fits:
            line, column, needed = line + 1, 0, unit.width
        if line > max_lines:
            break
        fits, column = fits + 1, column + needed
    if fits == len(units) or units[fits].start - units[fits - 1].end >= LONG_PAUSE_S:
        return fits
    ahead = units[: 2 * fits]
    filled = list(accumulate(unit.width + unit.space for unit in ahead))
    # What needs two more cues is shared between them; a longer rest fills this one first.
    target = filled[-1] / 2 if len(ahead) == len(units) else filled[fits - 1]
    candidates = [count for count in range(1, fits + 1) if filled[count - 1] * 3 >= filled[fits - 1]]
    return max(candidates, key=lambda count: (_rank(units, count), -abs(filled[count - 1] - target)))


def _rank(units: list[_Unit], count: int) -> int:
    """How good a cut after `count` units is."""
    before, after = units[count - 1], units[count]
    if _SENTENCE_END.search(before.text) or after.start - before.end >= PAUSE_S:
        return 3
    if _CLAUSE_END.search(before.text):
        return 2
    return int(after.space)


def _balanced(units: list[_Unit], limit: int, indent: int) -> list[str]:
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


def _wrapped(units: list[_Unit], limit: int, indent: int) -> list[str]:
    lines, column = [units[0].text], indent + units[0].width
    for unit in units[1:]:
        needed = unit.width + unit.space
        if column + needed > limit:
            lines.append(unit.text)
            column = unit.width
        else:
            lines[-1] += " " * unit.space + unit.text
            column += needed
    return lines


# ---- notation


def _ms(seconds: float) -> int:
    return max(0, round(seconds * 1000))


def _clock(ms: int, point: str) -> str:
    """HH:MM:SS and milliseconds; computed in whole milliseconds, so that 59.9996 s is a full minute."""
    minutes, ms = divmod(ms, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{ms // 1000:02}{point}{ms % 1000:03}"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
