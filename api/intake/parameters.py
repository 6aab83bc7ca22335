"""Form fields -> what is asked for. The same names hold for every way of submitting a recording."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from pydantic import ValidationError

from shared import abilities
from shared.config import Settings
from shared.errors import BlockedAddress, InvalidRequest, InvalidUrl, ModelNotAllowed
from shared.languages import language_code
from shared.options import JobNotes, JobOptions, Priority
from shared.webhooks import outbox

ALIASES: Mapping[str, str] = {"lang": "language", "response_format": "format"}
"""Other names of an option."""

NAMES = frozenset({*JobOptions.model_fields, *JobNotes.model_fields, "priority", "wait", *ALIASES})
"""Every form field but the file."""


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A checked request for a transcription. `wait_s` is how long the answer may wait for the result, if given."""

    options: JobOptions
    priority: Priority
    wait_s: float | None = None
    notes: JobNotes = field(default_factory=JobNotes)


def parse(fields: Mapping[str, str], config: Settings) -> JobSpec:
    """Check all fields; an empty one counts as left out.

    Raises InvalidRequest and ModelNotAllowed, and InvalidUrl and BlockedAddress for `webhook_url`.
    """
    values = without_aliases({name: value for name, value in fields.items() if value.strip()})
    priority = values.pop("priority", "normal")
    if priority not in get_args(Priority):
        raise InvalidRequest(f"priority must be one of {', '.join(get_args(Priority))}.", parameter="priority")
    wait_s = _seconds(values.pop("wait")) if "wait" in values else None
    values["language"] = _language(values.get("language", "auto"))
    values.setdefault("mode", config.asr_mode)
    if values.get("model", "auto") == "auto":
        values["model"] = config.whisper_model
    noted = {name: values.pop(name) for name in JobNotes.model_fields if name in values}
    try:
        options, notes = JobOptions.model_validate(values), JobNotes.model_validate(noted)
    except ValidationError as error:
        raise invalid(error) from error
    _check_model(options, config)
    if notes.webhook_url:
        notes = notes.model_copy(update={"webhook_url": _address(notes.webhook_url, config)})
    return JobSpec(options, priority, wait_s, notes)


def _address(url: str, config: Settings) -> str:
    try:
        return outbox.check_url(url, config)
    except (InvalidUrl, BlockedAddress) as error:  # which of two URLs is wrong
        raise type(error)(f"webhook_url: {error.message}", parameter="webhook_url") from error


def preferred_wait_s(header: str) -> float | None:
    """The seconds of `Prefer: wait=N`. Invalid preferences are ignored, as RFC 7240 requires."""
    for preference in header.split(","):
        name, _, value = preference.partition(";")[0].partition("=")
        if name.strip().lower() == "wait" and value.strip(' "').isdecimal():
            return float(value.strip(' "'))
    return None


def invalid(error: ValidationError) -> InvalidRequest:
    """The first thing that is wrong, as an error that names the parameter."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    name = ".".join(str(part)[:100] for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    return InvalidRequest(f"{name}: {message}", parameter=name) if name else InvalidRequest(message)


def without_aliases(fields: Mapping[str, str]) -> dict[str, Any]:
    """The same fields under the options' own names. Raises InvalidRequest for one that is given under two names."""
    values: dict[str, Any] = {}
    for name, value in fields.items():
        option = ALIASES.get(name, name)
        if option in values:
            raise InvalidRequest(f"{option} is given twice, under two names.", parameter=option)
        values[option] = value
    return values


def _seconds(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise InvalidRequest("wait must be a number of seconds.", parameter="wait")
    return seconds


def _language(value: str) -> str | None:
    if value.strip().lower() == "auto":
        return None
    code = language_code(value)
    if code is None:
        raise InvalidRequest("language must be auto or one of those that GET /languages lists.", parameter="language")
    return code


def _check_model(options: JobOptions, config: Settings) -> None:
    if options.model != config.whisper_model and options.model not in config.allowed_models:
        raise ModelNotAllowed(f"This server does not offer the model {options.model[:100]!r}.", parameter="model")
    abilities.check(options.model, options.task, options.language)
    abilities.check_extras(
        options.model, prompt=options.prompt, hotwords=options.hotwords, temperature=options.temperature
    )
