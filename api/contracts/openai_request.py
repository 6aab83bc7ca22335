"""The fields of OpenAI's forms -> what is asked for. docs/contracts.md says what becomes of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from api.intake import parameters
from api.intake.ingest import Upload
from api.intake.parameters import JobSpec
from shared.config import Settings
from shared.errors import InvalidRequest
from shared.options import JobOptions

Task = Literal["transcribe", "translate"]

TRANSLATION_FORMATS = ("json", "text", "srt", "verbose_json", "vtt")
FORMATS = (*TRANSLATION_FORMATS, "diarized_json")
STREAMED = ("json", "text", "diarized_json")
"""Formats that make sense piece by piece."""

LISTS = (
    "timestamp_granularities",
    "include",
    "keywords",
    "languages",
    "known_speaker_names",
    "known_speaker_references",
)
VAD = (
    "chunking_strategy[type]",
    "chunking_strategy[prefix_padding_ms]",
    "chunking_strategy[silence_duration_ms]",
    "chunking_strategy[threshold]",
)

COMMON = frozenset({"model", "prompt", "response_format", "temperature"})
FIELDS: Mapping[Task, frozenset[str]] = {
    "transcribe": COMMON | {"language", "stream", "chunking_strategy", *VAD},
    "translate": COMMON,
}
REPEATABLE: Mapping[Task, frozenset[str]] = {
    "transcribe": frozenset(LISTS) | {f"{name}[]" for name in LISTS},
    "translate": frozenset(),
}

MAX_PROMPT_CHARS = next(m.max_length for m in JobOptions.model_fields["prompt"].metadata if hasattr(m, "max_length"))


@dataclass(frozen=True, slots=True)
class AnswerOptions:
    """How the answer is to look. `temperature` is what was asked for, 0 by default."""

    task: Task
    format: str
    segments: bool
    words: bool
    logprobs: bool
    stream: bool
    temperature: float


def read(upload: Upload, task: Task, config: Settings) -> tuple[JobSpec, AnswerOptions]:
    """Check the whole form. Raises InvalidRequest and ModelNotAllowed."""
    fields = {name: value for name, value in upload.fields.items() if value.strip()}
    lists = _lists(upload)
    options = _options(fields, lists, task)
    values = {
        "task": task,
        "model": _model(fields, config),
        "language": _language(fields, lists),
        # Whisper looks at the end of a prompt only, and OpenAI's API takes one of any length
        "prompt": fields.get("prompt", "")[-MAX_PROMPT_CHARS:],
        "hotwords": ", ".join(lists["keywords"]),
        # 0 means in OpenAI's API what leaving it out means in ours: begin there, go up when decoding fails
        "temperature": str(options.temperature) if options.temperature else "",
        "diarization": str(options.format == "diarized_json"),
        "timestamp_granularity": "word" if options.words else "segment",
    }
    return parameters.parse(values, config), options


def _lists(upload: Upload) -> dict[str, list[str]]:
    """Values of the fields that may be repeated, under their names without brackets."""
    return {name: [*upload.lists.get(name, ()), *upload.lists.get(f"{name}[]", ())] for name in LISTS}


def _options(fields: Mapping[str, str], lists: Mapping[str, list[str]], task: Task) -> AnswerOptions:
    offered = FORMATS if task == "transcribe" else TRANSLATION_FORMATS
    format = _one_of(fields.get("response_format", "json"), offered, "response_format")
    granularities = [
        _one_of(value, ("word", "segment"), "timestamp_granularities") for value in lists["timestamp_granularities"]
    ]
    if granularities and format != "verbose_json":
        raise InvalidRequest(
            "timestamp_granularities needs response_format=verbose_json.", parameter="timestamp_granularities"
        )
    include = [_one_of(value, ("logprobs",), "include") for value in lists["include"]]
    if lists["known_speaker_names"] or lists["known_speaker_references"]:
        raise InvalidRequest(
            "This server does not recognise known voices. Leave known_speaker_names and known_speaker_references out: "
            "speakers are A, B and so on, in the order in which they begin to speak.",
            parameter="known_speaker_names",
        )
    strategy = fields.get("chunking_strategy") or fields.get("chunking_strategy[type]") or "auto"
    if not strategy.lstrip().startswith("{"):  # an object may also come as JSON
        _one_of(strategy, ("auto", "server_vad"), "chunking_strategy")
    stream = _one_of(fields.get("stream", "false").lower(), ("true", "false"), "stream") == "true"
    if stream and format not in STREAMED:
        raise InvalidRequest(f"stream needs response_format to be one of {', '.join(STREAMED)}.", parameter="stream")
    return AnswerOptions(
        task=task,
        format=format,
        segments="segment" in granularities or not granularities,
        words="word" in granularities,
        logprobs=bool(include),
        stream=stream,
        temperature=_temperature(fields),
    )


def _model(fields: Mapping[str, str], config: Settings) -> str:
    name = fields.get("model", "auto").strip()
    return config.openai_aliases.get(name, name)


def _language(fields: Mapping[str, str], lists: Mapping[str, list[str]]) -> str:
    """One possible language is certain; of several the recogniser finds out which it is."""
    possible = lists["languages"]
    return fields.get("language") or (possible[0] if len(possible) == 1 else "auto")


def _temperature(fields: Mapping[str, str]) -> float:
    try:
        value = float(fields.get("temperature", "0"))
    except ValueError:
        value = -1
    if not 0 <= value <= 1:
        raise InvalidRequest("temperature must be a number from 0 to 1.", parameter="temperature")
    return value


def _one_of(value: str, offered: tuple[str, ...], parameter: str) -> str:
    if value not in offered:
        raise InvalidRequest(f"{parameter} must be one of {', '.join(offered)}.", parameter=parameter)
    return value


def form_fields(task: Task) -> dict[str, dict[str, Any]]:
    """The fields for OpenAPI."""
    texts = {"type": "array", "items": {"type": "string"}}
    properties: dict[str, dict[str, Any]] = {
        "model": {"type": "string", "description": "One of GET /v1/models"},
        "prompt": {"type": "string", "description": "Text that sets spelling and style"},
        "response_format": {
            "type": "string",
            "default": "json",
            "enum": list(FORMATS if task == "transcribe" else TRANSLATION_FORMATS),
        },
        "temperature": {"type": "number", "minimum": 0, "maximum": 1, "default": 0},
    }
    if task == "transcribe":
        properties |= {
            "language": {"type": "string", "description": "Code such as en; none means detect"},
            "languages[]": {**texts, "description": "Possible languages"},
            "keywords[]": {**texts, "description": "Names and terms likely to be spoken"},
            "timestamp_granularities[]": {"type": "array", "items": {"type": "string", "enum": ["word", "segment"]}},
            "include[]": {"type": "array", "items": {"type": "string", "enum": ["logprobs"]}},
            "chunking_strategy": {"type": "string", "enum": ["auto", "server_vad"]},
            "stream": {"type": "boolean", "default": False},
        }
    return properties
