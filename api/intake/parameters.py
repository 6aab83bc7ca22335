"""The fields of a request -> what is asked for. They are the same for every way of submitting a recording."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from pydantic import ValidationError

from api.bodies.model_names import own_name
from api.bodies.submission import Parameters, Submission
from shared import abilities
from shared.config import Settings
from shared.errors import BlockedAddress, InvalidRequest, InvalidUrl, ModelNotAllowed
from shared.options import JobNotes, JobOptions, Priority
from shared.webhooks import outbox

P = TypeVar("P", bound=Parameters)


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A checked request for a transcription. `wait_s` is how long the answer may wait for the result, if given."""

    options: JobOptions
    priority: Priority
    wait_s: float | None = None
    notes: JobNotes = field(default_factory=JobNotes)


def parse(fields: Mapping[str, object], config: Settings) -> JobSpec:
    """What the fields of a form with a file ask for. Raises what `read` and `spec` raise."""
    return spec(read(Submission, fields), config)


def read(model: type[P], fields: Mapping[str, object]) -> P:
    """The fields by themselves; an empty one counts as left out. Raises InvalidRequest."""
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise invalid(error) from error


def spec(body: Parameters, config: Settings) -> JobSpec:
    """What the body asks of this server.

    Raises ModelNotAllowed and InvalidRequest, and InvalidUrl and BlockedAddress for `webhook_url`.
    """
    values = body.model_dump(include=set(JobOptions.model_fields), exclude_unset=True)
    values.pop("mode", None)  # both are the same now, so that they share their answers
    if body.model == "auto":
        values["model"] = config.whisper_model
    else:
        values["model"] = own_name(body.model, (config.whisper_model, *config.allowed_models))
    options = JobOptions.model_validate(values)
    notes = JobNotes.model_validate(body.model_dump(include=set(JobNotes.model_fields)))
    _check_model(options, config)
    _check_bound(options, config, is_url=bool(getattr(body, "url", None)))
    if notes.webhook_url:
        notes = notes.model_copy(update={"webhook_url": _address(notes.webhook_url, config)})
    wait_s = body.wait if isinstance(body, Submission) and "wait" in body.model_fields_set else None
    return JobSpec(options, body.priority, wait_s, notes)


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


def _check_bound(options: JobOptions, config: Settings, *, is_url: bool) -> None:
    if options.max_duration is None:
        return
    if not is_url:
        raise InvalidRequest("max_duration is for a live stream at a url.", parameter="max_duration")
    if options.max_duration > config.max_live_recording_s:
        raise InvalidRequest(
            f"max_duration is {config.max_live_recording_s:g} seconds at most on this server.", parameter="max_duration"
        )


def _check_model(options: JobOptions, config: Settings) -> None:
    if options.model != config.whisper_model and options.model not in config.allowed_models:
        raise ModelNotAllowed(f"This server does not offer the model {options.model[:100]!r}.", parameter="model")
    abilities.check(options.model, options.task, options.language, options.possible_languages)
    abilities.check_extras(
        options.model, prompt=options.prompt, hotwords=options.hotwords, temperature=options.temperature
    )
