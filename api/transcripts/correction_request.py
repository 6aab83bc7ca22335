"""A correction of a transcript as it is asked for. All of it is typed by somebody: nothing is taken on trust."""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from api.transcripts.line_breaks import clean
from shared.options import JobNotes

MAX_NAME_CHARS = 100
"""Of a speaker's name, with title and office: a passport holds 39 (ICAO 9303)."""

MAX_TEXT_CHARS = 2000
"""Of one segment: Whisper hears 30 s at a time, in which nobody says more than some 750 characters."""

MAX_SPEAKERS = 1000
MAX_SEGMENTS = 20_000
"""In one request: more voices, and more segments of 2 s in 8 hours, than there are."""

_UNSAFE_CATEGORIES = {"Cc", "Cs", "Co", "Cn", "Zl", "Zp"}
_TURNS_THE_LINE = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def _line(text: str) -> str:
    """One line that shows what it says: no control characters, none that reorder its neighbours, something visible."""
    if any(unicodedata.category(letter) in _UNSAFE_CATEGORIES for letter in text) or _TURNS_THE_LINE.search(text):
        raise ValueError("must be one line without control characters")
    text = " ".join(text.split())
    if not any(unicodedata.category(letter)[0] in "LNPS" for letter in text):
        raise ValueError("must not be empty; null takes it back")
    return text


Line = Annotated[str, AfterValidator(_line)]
Name = Annotated[str, Field(max_length=MAX_NAME_CHARS), AfterValidator(_line)]
SpeakerId = Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARS)]
Text = Annotated[str, Field(max_length=MAX_TEXT_CHARS), AfterValidator(clean)]
Number = Annotated[int, Field(ge=0, le=2**31 - 1)]


class EditedSegment(BaseModel):
    """A correction of one segment. Omitted fields stay as they are; null restores the original."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Number = Field(description="The segment's, as in the json result", examples=[3])
    text: Text | None = Field(None, description="What is said; line breaks become spaces, empty is nothing")
    speaker: SpeakerId | None = Field(None, description="Id of who says it, or a new one such as spk_3")


class CorrectionRequest(BaseModel):
    """Changes to a task. Omitted fields stay as they are; null restores the original."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "example": {"speakers": {"spk_1": "Anna"}, "segments": [{"id": 0, "text": "Hello there."}], "version": 0}
        },
    )

    speakers: dict[SpeakerId, Name | None] | None = Field(None, max_length=MAX_SPEAKERS, description="Names by id")
    segments: list[EditedSegment] | None = Field(None, max_length=MAX_SEGMENTS)
    restore: Number | None = Field(None, description="Make this version the newest one again; 0 is the original")
    tags: list[Line] | None = Field(None, description="Labels to find the task by, in place of those it has")
    reference: Line | None = Field(None, description="Your own name for the task")
    version: Number | None = Field(None, description="Only if this is the newest version; else 409 version_conflict")

    @property
    def is_about_the_transcript(self) -> bool:
        """Whether more than labels is to change."""
        return self.speakers is not None or self.segments is not None or self.restore is not None

    @field_validator("segments")
    @classmethod
    def _each_once(cls, segments: list[EditedSegment] | None) -> list[EditedSegment] | None:
        if segments and len({segment.id for segment in segments}) < len(segments):
            raise ValueError("a segment is given twice")
        return segments

    @field_validator("tags", "reference")
    @classmethod
    def _as_when_submitted(cls, value: list[str] | str | None, field: ValidationInfo) -> list[str] | str | None:
        """By the rules that hold for a new task's."""
        name = str(field.field_name)
        if value is None:
            return None
        try:
            noted = JobNotes.model_validate({name: value})
        except ValidationError as error:
            raise ValueError(error.errors()[0]["msg"]) from error
        return list(noted.tags) if name == "tags" else noted.reference

    @model_validator(mode="after")
    def _says_one_thing(self) -> CorrectionRequest:
        if self.restore is not None and (self.speakers is not None or self.segments is not None):
            raise ValueError("restore excludes speakers and segments")
        return self
