"""What a caller can ask for, checked once at the edge and stored with the job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Format = Literal["json", "text", "srt", "vtt", "tsv", "rttm", "csv", "md", "docx", "ttml", "eaf", "ctm"]
Priority = Literal["interactive", "normal", "batch"]
Script = Literal["Hans", "Hant", "Hant-HK"]
"""Of Chinese text: simplified, traditional as in Taiwan, traditional as in Hong Kong."""

PRIORITIES: dict[str, int] = {"interactive": 0, "normal": 1, "batch": 2}
"""Smaller goes first."""


def priority_name(number: int) -> Priority:
    """The priority as the caller named it."""
    names: tuple[Priority, ...] = get_args(Priority)
    return next(name for name in names if PRIORITIES[name] == number)


FORMATS_OF_0_1 = frozenset({"json", "text", "srt", "vtt", "tsv", "rttm"})
"""A release that knows no others cannot read a row with another one as its `format`. Then that is json, and the other
one is beside it, as `new_format`."""

WRITTEN_ALWAYS = frozenset({"model", "mode", "format", "timestamp_granularity"})
"""Release 0.1 looks these up in the row itself and knows no default there. The release after this one may drop it."""


class JobOptions(BaseModel):
    """Options of one transcription. Those that change an answer are in the records of shared/stages.py.

    A request with an option that it does not know is refused. A row (`stored`, `from_row`) may have more: then a newer
    release has written it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field("auto", description="Whisper model; auto is the server's default")
    language: str | None = Field(None, description="Language code such as en; none means detect")
    languages: str | None = Field(
        None, max_length=400, description="Codes of the languages that may be spoken, separated by commas"
    )
    script: Script | None = Field(
        None, description="Script of Chinese text: Hans, Hant (as in Taiwan) or Hant-HK; none leaves it as recognised"
    )
    task: Literal["transcribe", "translate"] = Field("transcribe", description="translate gives English text")
    prompt: str | None = Field(None, max_length=2000, description="Text that sets spelling and style")
    hotwords: str | None = Field(None, max_length=2000, description="Names and terms likely to be spoken")
    temperature: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="Sampling temperature; none starts at 0 and rises when decoding fails"
    )
    mode: Literal["batched", "accurate"] = Field(
        "batched", deprecated=True, description="No effect: what looks wrong is decoded again with either"
    )
    channels: Literal["mix", "split"] = Field(
        "mix", description="split recognises each channel on its own: its speaker is spk_1 (left), spk_2, ..."
    )
    track: Annotated[int, Field(ge=1, le=99)] | Literal["all"] | None = Field(
        None, description="Number of an audio track, from 1, or all for their mix; none takes the first with sound"
    )
    max_duration: Annotated[int, Field(ge=1)] | None = Field(
        None, description="Seconds to record of a live stream at the url; none refuses live streams"
    )
    diarization: bool = Field(False, description="Say who spoke when")
    num_speakers: Annotated[int, Field(ge=1, le=50)] | None = Field(
        None, description="Exact number of speakers; a warning `speakers_not_met` when the voices do not give it"
    )
    min_speakers: Annotated[int, Field(ge=1, le=50)] | None = Field(None, description="Minimum number of speakers")
    max_speakers: Annotated[int, Field(ge=1, le=50)] | None = Field(None, description="Maximum number of speakers")
    format: Format = Field("json", description="Default format of /result")
    timestamp_granularity: Literal["segment", "word"] = Field("segment", description="word adds each word's times")

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> JobOptions:
        """What a job's row says, also one of a newer release: an option that this one does not know is left out."""
        fields = {name: value for name, value in row.items() if name in cls.model_fields}
        if row.get("new_format") in get_args(Format):
            fields["format"] = row["new_format"]
        return cls.model_validate(fields)

    def stored(self) -> dict[str, Any]:
        """The row: what is not as it would be anyway, so that a release without a new option reads most rows."""
        row = self.model_dump(exclude_defaults=True) | self.model_dump(include=set(WRITTEN_ALWAYS))
        return row if self.format in FORMATS_OF_0_1 else row | {"format": "json", "new_format": self.format}

    @property
    def possible_languages(self) -> tuple[str, ...]:
        """The codes in `languages`; none are all that the model knows."""
        return tuple(self.languages.split(",")) if self.languages else ()

    @model_validator(mode="after")
    def _one_way_to_name_a_language(self) -> JobOptions:
        if self.language and self.languages:
            raise ValueError("language excludes languages: name the one that is spoken, or those that may be")
        return self

    @field_validator("track", mode="before")
    @classmethod
    def _track(cls, value: object) -> object:
        if value in (None, "all") or (str(value).isdecimal() and 1 <= int(str(value)) <= 99):
            return value
        raise ValueError("a number from 1 to 99, or all")

    @model_validator(mode="after")
    def _speakers_agree(self) -> JobOptions:
        if self.num_speakers and (self.min_speakers or self.max_speakers):
            raise ValueError("num_speakers excludes min_speakers and max_speakers")
        if self.min_speakers and self.max_speakers and self.min_speakers > self.max_speakers:
            raise ValueError("min_speakers is larger than max_speakers")
        if not self.diarization and (self.num_speakers or self.min_speakers or self.max_speakers):
            raise ValueError("a number of speakers needs diarization=true")
        return self

    @model_validator(mode="after")
    def _channels_are_speakers(self) -> JobOptions:
        if self.channels == "split" and self.diarization:
            raise ValueError("channels=split excludes diarization: each channel is a speaker already")
        if self.channels == "split" and self.track == "all":
            raise ValueError("channels=split excludes track=all: channels of one track are kept apart")
        return self


WebhookUrl = Annotated[str, Field(max_length=2000)] | None
Tags = Annotated[tuple[Annotated[str, Field(min_length=1, max_length=64)], ...], Field(max_length=20)]


class JobNotes(BaseModel):
    """What the owner keeps with a task. Nothing of it changes what is computed, so it is no part of JobOptions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tags: Tags = Field((), description="Labels to find the task by, separated by commas")
    reference: str | None = Field(None, max_length=255, description="Your own name for the task, to find it by")
    retention_seconds: Annotated[int, Field(ge=60, le=2**31 - 1)] | None = Field(
        None, description="Seconds after completion until the task is erased"
    )
    webhook_url: WebhookUrl = Field(None, description="URL that is called when the task has ended")

    @field_validator("tags", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            value = [tag.strip() for tag in value.split(",") if tag.strip()]
        return tuple(dict.fromkeys(value)) if isinstance(value, list | tuple) else value
