"""What a recording is submitted with: the fields of a form, of JSON and of an urlencoded body, and how they are read.

Values arrive as text, whatever the body: "true", "2", "0.5". An empty one counts as left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from api.bodies.choices import one_of, trimmed
from api.languages import hint, language_code, spoken
from shared.errors import InvalidRequest
from shared.options import JobNotes, JobOptions, Priority, Script, Tags, WebhookUrl

ALIASES: Mapping[str, str] = {"lang": "language", "response_format": "format"}
"""Other names of a field."""

FREE_TEXT = frozenset({"prompt", "hotwords", "reference"})
"""Fields in which spaces at the ends are kept. In all others ` true ` is true."""

_YES, _NO = ("true", "1", "yes", "on"), ("false", "0", "no", "off")


def _language(value: str) -> str | None:
    if value.strip().lower() == "auto":
        return None
    code = language_code(value)
    if code is None:
        raise InvalidRequest(
            f"language must be auto or one of those that GET /languages lists.{hint(value)}", parameter="language"
        )
    return code


def _languages(listed: str, language: str) -> dict[str, str]:
    """The codes of a list, each once and in order of the alphabet; a list of one says which language it is."""
    if _language(language):
        raise InvalidRequest(
            "languages excludes language: name the one that is spoken, or those that may be.", parameter="languages"
        )
    codes = {name: language_code(name) for name in listed.split(",") if name.strip()}
    strange = next((name for name, code in codes.items() if code is None), "")
    if strange or not codes:
        raise InvalidRequest(
            f"languages must be a list, separated by commas, of those that GET /languages lists.{hint(strange)}",
            parameter="languages",
        )
    languages = sorted({code for code in codes.values() if code})
    return {"language": languages[0]} if len(languages) == 1 else {"languages": ",".join(languages)}


def _scripts(values: Mapping[str, object]) -> dict[str, str]:
    """The script that languages such as zh-TW name. Two of them leave the text as it is recognised."""
    names = str(values.get("languages") or values.get("language") or "").split(",")
    scripts = {reading.script for reading in map(spoken, names) if reading and reading.script}
    if "script" in values:
        if scripts and values["script"] not in scripts:
            raise InvalidRequest("script is another one than that of the language.", parameter="script")
        return {}
    return {"script": scripts.pop()} if len(scripts) == 1 else {}


def _script(value: object) -> object:
    """In any case, as subtags are written."""
    return next((name for name in get_args(Script) if name.lower() == str(value).lower().replace("_", "-")), value)


def _seconds(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise InvalidRequest("wait must be a number of seconds.", parameter="wait")
    return seconds


def _is_yes(value: str) -> bool:
    if value.strip().lower() not in (*_YES, *_NO):
        raise InvalidRequest("refresh must be true or false.", parameter="refresh")
    return value.strip().lower() in _YES


Refresh = Annotated[bool, BeforeValidator(_is_yes)]
UploadId = Annotated[str, WithJsonSchema({"type": "string", "format": "uuid"})]


class Parameters(JobNotes, JobOptions):
    """Options of a transcription and notes on it. They are the same however the recording comes."""

    tags: Annotated[Tags, WithJsonSchema({"type": "string"})] = Field(
        default_factory=tuple, description="Labels to find the task by, separated by commas"
    )
    language: Annotated[str | None, BeforeValidator(_language), WithJsonSchema({"type": "string"})] = Field(
        "auto", validate_default=True, description="Code, tag such as pt-BR, or name; auto detects"
    )
    languages: Annotated[str | None, WithJsonSchema({"type": "string"})] = Field(
        None, description="Those that may be spoken, separated by commas"
    )
    script: Annotated[Script | None, one_of(Script), WithJsonSchema({"type": "string", "enum": get_args(Script)})] = (
        Field(None, description="Script of Chinese text; zh-TW, zh-Hans and so on as language say it, too")
    )
    priority: Annotated[Priority, one_of(Priority)] = "normal"

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, fields: Mapping[str, object]) -> dict[str, object]:
        values = by_name(
            {
                name: value if name in FREE_TEXT else trimmed(value)
                for name, value in fields.items()
                if value is not None and str(value).strip()
            }
        )
        if "script" in values:
            values["script"] = _script(values["script"])
        values |= _scripts(values)
        if "languages" in values:
            values |= _languages(str(values.pop("languages")), str(values.get("language", "auto")))
        return values

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler.resolve_ref_schema(handler(core))
        fields = schema["properties"]
        fields |= {alias: {**fields[name], "description": f"The same as {name}"} for alias, name in ALIASES.items()}
        return schema


class Submission(Parameters):
    """A recording that comes with the form."""

    wait: Annotated[float, Field(ge=0), BeforeValidator(_seconds)] = Field(
        0, description="Seconds to wait for the result; the same as the header Prefer: wait=N"
    )


class UrlSubmission(Submission):
    """A recording that is named by its address."""

    url: str = Field(
        min_length=1,
        description="Address of a recording, of a page with one, or s3://bucket/key where that is offered",
        examples=["https://media.example/meeting.mp3"],
    )
    refresh: Refresh = Field(False, description="Fetch it again even if it was fetched before")


class UploadSubmission(Submission):
    """A recording that was uploaded before."""

    upload_id: UploadId = Field(description="A complete upload of POST /uploads")


class BatchItem(Parameters):
    """One recording of a batch. It has a URL or the id of an upload."""

    url: str | None = Field(None, description="Address of a recording", examples=["https://media.example/1.mp3"])
    upload_id: UploadId | None = Field(None, description="A complete upload of POST /uploads")
    refresh: Refresh = Field(False, description="Fetch the URL again even if it was fetched before")


class NewBatch(Parameters):
    """Many recordings, and what holds for each that does not say otherwise."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "items": [
                    {"url": "https://media.example/1.mp3"},
                    {"url": "https://media.example/2.mp3", "language": "de"},
                ],
                "diarization": True,
            }
        }
    )

    items: list[BatchItem] = Field(min_length=1, description="Each has url or upload_id")
    refresh: Refresh = Field(False, description="Fetch the URL again even if it was fetched before")
    webhook_url: WebhookUrl = Field(None, description="URL that is called when the last task has ended")


def names(*models: type[BaseModel]) -> frozenset[str]:
    """Every name that a field of these models may have in a request."""
    fields = frozenset(name for model in models for name in model.model_fields)
    return fields | {alias for alias, name in ALIASES.items() if name in fields}


def by_name(fields: Mapping[str, object]) -> dict[str, Any]:
    """The same fields under their own names. Raises InvalidRequest for one that is given under two names."""
    values: dict[str, Any] = {}
    for alias, value in fields.items():
        name = ALIASES.get(alias, alias)
        if name in values:
            raise InvalidRequest(f"{name} is given twice, under two names.", parameter=name)
        values[name] = value
    return values
