"""What a cue of subtitles may hold and how long it is shown: limits, their bounds, and those of broadcasters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypedDict

Marks = Literal["names", "dashes"]
"""What tells speakers apart: the name where the speaker changes, or a dash before each in a cue of several."""

PresetName = Literal["netflix", "bbc", "ebu"]


class ScreenChoices(TypedDict, total=False):
    """The fields of `Screen` that somebody chose."""

    max_line_length: int
    max_lines: int
    min_cue_s: float
    max_cue_s: float
    reading_speed: float
    gap_s: float
    closed_gap_s: float
    speaker_marks: Marks


@dataclass(frozen=True, slots=True)
class Screen:
    """The limits of a cue. 42 columns, 2 lines, 5/6 s and 7 s are Netflix's.

    max_line_length : columns of a line; a full-width character takes two
    min_cue_s, max_cue_s : how long a cue is shown
    reading_speed : columns a second; None leaves a cue no longer than its words are said
    gap_s : seconds without text between two cues
    closed_gap_s : shorter ones are closed to `gap_s`, as they flicker
    speaker_marks : None leaves it to the format
    """

    max_line_length: int = 42
    max_lines: int = 2
    min_cue_s: float = 5 / 6
    max_cue_s: float = 7.0
    reading_speed: float | None = None
    gap_s: float = 0.0
    closed_gap_s: float = 0.0
    speaker_marks: Marks | None = None


@dataclass(frozen=True, slots=True)
class Preset:
    """Limits that a broadcaster publishes, and where they differ in a language, by its code."""

    limits: ScreenChoices
    by_language: Mapping[str, ScreenChoices] = field(default_factory=dict)


BOUNDS: Mapping[str, tuple[float, float]] = {
    "max_line_length": (12, 1000),
    "max_lines": (1, 100),
    "min_cue_s": (0.1, 10),
    "max_cue_s": (1, 60),
    "reading_speed": (5, 100),
    "gap_s": (0, 1),
    "closed_gap_s": (0, 3),
}
"""Least and most of each. 12 columns: the label of a hundredth speaker (9) and one full-width character beside it."""

MIN_LINE_LENGTH = 12

_NETFLIX_HAN: ScreenChoices = {"max_line_length": 32, "reading_speed": 18}

PRESETS: Mapping[PresetName, Preset] = {
    # Timed Text Style Guides: 42 characters, 5/6 to 7 s, 2 frames apart, gaps under half a second closed, adults.
    # Two frames at 23.976 a second are 83.4 ms.
    "netflix": Preset(
        {
            "max_line_length": 42,
            "max_lines": 2,
            "min_cue_s": 5 / 6,
            "max_cue_s": 7.0,
            "reading_speed": 17,
            "gap_s": 0.084,
            "closed_gap_s": 0.5,
            "speaker_marks": "dashes",
        },
        {
            "en": {"reading_speed": 20},
            "ja": {"max_line_length": 26, "reading_speed": 8},  # 13 full-width characters, 4 a second
            "ko": {"max_line_length": 32, "reading_speed": 24},  # 16 and 12
            "zh": _NETFLIX_HAN,  # 16 and 9
            "yue": _NETFLIX_HAN,
        },
    ),
    # Subtitle Guidelines: 37 characters of teletext, 180 words a minute (15 characters a second), a gap of 1 s or none.
    # They have no shortest and no longest time in seconds: those of the Code of Good Subtitling Practice.
    "bbc": Preset(
        {
            "max_line_length": 37,
            "max_lines": 2,
            "min_cue_s": 1.0,
            "max_cue_s": 7.0,
            "reading_speed": 15,
            "gap_s": 0.0,
            "closed_gap_s": 1.0,
            "speaker_marks": "dashes",
        }
    ),
    # Tech 3264: teletext in double height, 40 columns less three control codes, 25 frames a second. The rest is the
    # Code of Good Subtitling Practice of ESIST: 1 to 7 s, 4 frames apart; and the BBC's reading speed.
    "ebu": Preset(
        {
            "max_line_length": 37,
            "max_lines": 2,
            "min_cue_s": 1.0,
            "max_cue_s": 7.0,
            "reading_speed": 15,
            "gap_s": 0.16,
            "closed_gap_s": 0.16,
            "speaker_marks": "dashes",
        }
    ),
}


def merged(choices: ScreenChoices, preset: PresetName | None = None, language: str = "") -> ScreenChoices:
    """`choices` where there are any, else those of the preset, which may differ in that language (`zh`, `zh-TW`)."""
    if preset is None:
        return choices
    by_language = PRESETS[preset].by_language.get(language.partition("-")[0], ScreenChoices())
    return {**PRESETS[preset].limits, **by_language, **choices}
