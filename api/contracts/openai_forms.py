"""The forms of OpenAI's audio API. docs/contracts.md says what becomes of each field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator
from pydantic.json_schema import SkipJsonSchema

from api.bodies.choices import one_of
from shared.errors import InvalidRequest

Task = Literal["transcribe", "translate"]
TranslationFormat = Literal["json", "text", "srt", "verbose_json", "vtt"]
TranscriptionFormat = Literal["json", "text", "srt", "verbose_json", "vtt", "diarized_json"]
Granularity = Literal["word", "segment"]
Included = Literal["logprobs"]
Strategy = Literal["auto", "server_vad"]

STREAMED = ("json", "text", "diarized_json")
"""Formats that make sense piece by piece. With any other `stream` is ignored, as OpenAI does for whisper-1."""

WITH_WORDS = ("verbose_json", "diarized_json")
"""Formats that have room for words. OpenAI's diarized_json has none; servers of WhisperX put them there."""

STRATEGY_TYPE = "chunking_strategy[type]"
STRATEGY_PARTS = frozenset(
    {
        STRATEGY_TYPE,
        "chunking_strategy[prefix_padding_ms]",
        "chunking_strategy[silence_duration_ms]",
        "chunking_strategy[threshold]",
    }
)
"""A form may hold the object's parts as fields. They have no effect."""


def _temperature(value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = -1
    if not 0 <= number <= 1:
        raise InvalidRequest("temperature must be a number from 0 to 1.", parameter="temperature")
    return number


def _strategy(value: str) -> str:
    return "auto" if value.lstrip().startswith("{") else value  # an object may also come as JSON


def _refused(_: object, field: ValidationInfo) -> None:
    raise InvalidRequest(
        f"This server does not recognise known voices. Leave {field.field_name} out: speakers are A, B and so on, in "
        "the order in which they begin to speak.",
        parameter=field.field_name,
    )


Temperature = Annotated[float, Field(ge=0, le=1), BeforeValidator(_temperature)]
Voices = Annotated[list[str], BeforeValidator(_refused), SkipJsonSchema()]


class _Form(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True)

    model: str | None = Field(None, description="One of GET /v1/models")
    prompt: str | None = Field(None, description="Text that sets spelling and style")
    language: str | None = Field(None, description="Language that is spoken, as a code, tag or name; none means detect")


class TranslationForm(_Form):
    """Fields of POST /v1/audio/translations, beside the file."""

    response_format: Annotated[TranslationFormat, one_of(TranslationFormat)] = "json"
    temperature: Temperature = 0


class TranscriptionForm(_Form):
    """Fields of POST /v1/audio/transcriptions, beside the file."""

    response_format: Annotated[TranscriptionFormat, one_of(TranscriptionFormat)] = "json"
    languages: list[str] = Field(default_factory=list, alias="languages[]", description="Possible languages")
    keywords: list[str] = Field(
        default_factory=list, alias="keywords[]", description="Names and terms likely to be spoken"
    )
    timestamp_granularities: list[Annotated[Granularity, one_of(Granularity)]] = Field(
        default_factory=list, alias="timestamp_granularities[]"
    )
    include: list[Annotated[Included, one_of(Included)]] = Field(default_factory=list, alias="include[]")
    known_speaker_names: Voices = Field(default_factory=list, alias="known_speaker_names[]")
    known_speaker_references: Voices = Field(default_factory=list, alias="known_speaker_references[]")
    chunking_strategy: Annotated[Strategy, one_of(Strategy), BeforeValidator(_strategy)] = "auto"
    stream: Annotated[bool, one_of(Literal["true", "false"]), BeforeValidator(str.lower)] = Field(
        False, description="Only with json, text and diarized_json; ignored with the others"
    )
    temperature: Temperature = 0

    @field_validator("timestamp_granularities")
    @classmethod
    def _are_shown(cls, granularities: list[Granularity], form: ValidationInfo) -> list[Granularity]:
        # `segment` is the default, which some clients send with every format
        if "word" in granularities and form.data["response_format"] not in WITH_WORDS:
            raise InvalidRequest(
                "timestamp_granularities[]=word needs response_format=verbose_json or diarized_json.",
                parameter="timestamp_granularities",
            )
        return granularities


Form = TranslationForm | TranscriptionForm
FORMS: Mapping[Task, type[Form]] = {"transcribe": TranscriptionForm, "translate": TranslationForm}


def list_names(form: type[Form]) -> list[str]:
    """Fields that may come more than once, each with brackets behind its name or without."""
    return [name for name, field in form.model_fields.items() if field.alias == f"{name}[]"]


def repeatable(form: type[Form]) -> list[str]:
    """The names of those in a request."""
    return [name + brackets for name in list_names(form) for brackets in ("", "[]")]


def field_names(form: type[Form]) -> frozenset[str]:
    """The names of all others."""
    parts = STRATEGY_PARTS if form is TranscriptionForm else frozenset()
    return frozenset(form.model_fields.keys() - list_names(form)) | parts
