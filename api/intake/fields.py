"""A short body without a file: JSON or urlencoded, read into the same text fields as a multipart form."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from urllib.parse import parse_qsl

from fastapi import Request

from api.bodies.schemas import JSON, URLENCODED
from api.intake import body_limits
from api.intake.form import MAX_FIELD_BYTES, MAX_FIELDS
from shared.errors import InvalidRequest

LISTS = frozenset({"languages", "tags"})
"""Fields that JSON may give as a list of texts; elsewhere they are separated by commas."""


def is_short(request: Request) -> bool:
    """Whether the body is of one of the two kinds."""
    return _kind(request) in (JSON, URLENCODED)


async def read(request: Request, *, field_names: Collection[str]) -> dict[str, str]:
    """The body's fields; `field_names` are all that there may be. Numbers and booleans become text, null nothing.

    Raises InvalidRequest, FileTooLarge, and IncompleteUpload when the client goes away.
    """
    if _kind(request) == JSON:
        return _checked(_flat(await read_json(request)), field_names)
    return _checked(_urlencoded(await body_limits.read(request)), field_names)


async def read_json(request: Request) -> dict[str, object]:
    """A body that is a JSON object, whatever is in it. Raises as `read` does."""
    return _object(await body_limits.read_json(request))


def flatten(values: Mapping[str, object], *, field_names: Collection[str]) -> dict[str, str]:
    """Fields of a JSON object as `read` gives them. Raises InvalidRequest."""
    return _checked(_flat(values), field_names)


def _checked(pairs: Iterable[tuple[str, str]], field_names: Collection[str]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for name, value in pairs:
        if name not in field_names:
            raise InvalidRequest(f"There is no parameter {_clean(name[:100])!r}.", parameter=_clean(name[:100]))
        if name in fields:
            raise InvalidRequest(f"{name} is given twice.", parameter=name)
        if len(value) > MAX_FIELD_BYTES or value != _clean(value):
            raise InvalidRequest(f"{name} is too long or holds null characters.", parameter=name)
        fields[name] = value
    return fields


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _object(body: bytes) -> dict[str, object]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest("The body is not valid JSON.") from error
    if not isinstance(value, dict):
        raise InvalidRequest("The body must be a JSON object.")
    return value


def _flat(values: Mapping[str, object]) -> Iterable[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, bool):
            yield name, str(value).lower()
        elif isinstance(value, str | int | float):
            yield name, str(value)
        elif name in LISTS and isinstance(value, list) and all(_is_label(entry) for entry in value):
            yield name, ",".join(value)
        elif value is not None:
            raise InvalidRequest(f"{name[:100]!r} must be a text, a number or a boolean.", parameter=_clean(name[:100]))


def _is_label(entry: object) -> bool:
    return isinstance(entry, str) and "," not in entry


def _urlencoded(body: bytes) -> Iterable[tuple[str, str]]:
    try:
        return parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise InvalidRequest("The body is not a valid form.") from error


def _clean(text: str) -> str:
    """Without what PostgreSQL cannot hold: null characters and halves of surrogate pairs."""
    return text.replace("\x00", "").encode("utf-8", "ignore").decode()
