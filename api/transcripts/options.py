"""Choices of a reader: how a transcript is to be written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import get_args

from api.transcripts.screen import BOUNDS, PRESETS, Marks, PresetName, Screen, ScreenChoices, merged
from shared.errors import InvalidRequest
from shared.transcript import Transcript


@dataclass(frozen=True, slots=True)
class FormatOptions:
    """`words` puts the words into json; `uri` names the recording; `language` is that of the text where it is not the
    one that was spoken, as in a translation; the rest shapes subtitles.

    Raises InvalidRequest, naming the option in `detail.parameter`, for a limit out of its bounds.
    """

    words: bool = False
    uri: str = "recording"
    language: str | None = None
    preset: PresetName | None = None
    subtitles: ScreenChoices = field(default_factory=ScreenChoices)

    def __post_init__(self) -> None:
        if self.preset is not None and self.preset not in PRESETS:
            raise InvalidRequest(f"preset must be one of {', '.join(PRESETS)}", parameter="preset")
        if self.subtitles.get("speaker_marks", "names") not in get_args(Marks):
            raise InvalidRequest(
                f"speaker_marks must be one of {', '.join(get_args(Marks))}", parameter="speaker_marks"
            )
        for name, (least, most) in BOUNDS.items():
            value = self.subtitles.get(name, least)
            if not (isinstance(value, int | float) and least <= value <= most):
                raise InvalidRequest(f"{name} must be between {least:g} and {most:g}", parameter=name)
        limits = Screen(**self.limits())
        if limits.min_cue_s > limits.max_cue_s:
            raise InvalidRequest(f"min_cue_s must be at most max_cue_s, {limits.max_cue_s:g}", parameter="min_cue_s")

    def language_of(self, transcript: Transcript) -> str:
        """That of its text."""
        return self.language or transcript.language

    def limits(self, language: str = "") -> ScreenChoices:
        """Those of subtitles in that language."""
        return merged(self.subtitles, self.preset, language)
