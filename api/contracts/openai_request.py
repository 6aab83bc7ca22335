"""A form of OpenAI's audio API -> what is asked for, in our words and in its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from api.contracts.openai_forms import (
    FORMS,
    STRATEGY_PARTS,
    STRATEGY_TYPE,
    STREAMED,
    Form,
    Task,
    TranscriptionForm,
    list_names,
)
from api.intake import parameters
from api.intake.ingest import Upload
from api.intake.parameters import JobSpec
from shared.config import Settings
from shared.options import JobOptions

MAX_PROMPT_CHARS = next(m.max_length for m in JobOptions.model_fields["prompt"].metadata if hasattr(m, "max_length"))


@dataclass(frozen=True, slots=True)
class AnswerOptions:
    """How the answer is to look. `temperature` is what was asked for, 0 by default."""

    task: Task
    format: str
    temperature: float
    segments: bool = True
    words: bool = False
    logprobs: bool = False
    stream: bool = False


def read(upload: Upload, task: Task, config: Settings) -> tuple[JobSpec, AnswerOptions]:
    """Check the whole form. Raises InvalidRequest and ModelNotAllowed."""
    form = _form(upload, FORMS[task])
    options = _options(form, task)
    model = form.model or "auto"
    values = {
        "task": task,
        "model": config.openai_aliases.get(model, model),
        # Whisper looks at the end of a prompt only, and OpenAI's API takes one of any length
        "prompt": (form.prompt or "")[-MAX_PROMPT_CHARS:],
        # 0 means in OpenAI's API what leaving it out means in ours: begin there, go up when decoding fails
        "temperature": form.temperature or None,
        "diarization": options.format == "diarized_json",
        "timestamp_granularity": "word" if options.words else "segment",
    }
    if form.language:
        values["language"] = form.language
    if isinstance(form, TranscriptionForm):
        values["hotwords"] = ", ".join(form.keywords)
        if not form.language:
            values["languages"] = ",".join(form.languages)
    return parameters.parse(values, config), options


def _form(upload: Upload, model: type[Form]) -> Form:
    """The fields that are not empty, lists under their names without brackets, and a strategy in parts as one."""
    values: dict[str, Any] = {
        name: value if name == "prompt" else value.strip() for name, value in upload.fields.items() if value.strip()
    }
    parts = {name: values.pop(name) for name in STRATEGY_PARTS & values.keys()}
    if STRATEGY_TYPE in parts:
        values.setdefault("chunking_strategy", parts[STRATEGY_TYPE])
    for name in list_names(model):
        texts = [*upload.lists.get(name, ()), *upload.lists.get(f"{name}[]", ())]
        if filled := [text.strip() for text in texts if text.strip()]:
            values[name] = filled
    return model.model_validate(values)


def _options(form: Form, task: Task) -> AnswerOptions:
    options = AnswerOptions(task, form.response_format, form.temperature)
    if not isinstance(form, TranscriptionForm):
        return options
    return replace(
        options,
        segments="segment" in form.timestamp_granularities or not form.timestamp_granularities,
        words="word" in form.timestamp_granularities,
        logprobs=bool(form.include),
        stream=form.stream and form.response_format in STREAMED,
    )
