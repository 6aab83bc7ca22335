"""A short body without a file: JSON or urlencoded, read into the same text fields as a multipart form."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request

from api.form import MAX_FIELD_BYTES, MAX_FIELDS
from shared.errors import IncompleteUpload, InvalidRequest

JSON, URLENCODED = "application/json", "application/x-www-form-urlencoded"
MAX_BODY_BYTES = 256 * 1024


def is_short(request: Request) -> bool:
    """Whether the body is of one of the two kinds."""
    return _kind(request) in (JSON, URLENCODED)


async def read(request: Request, *, known: Collection[str]) -> dict[str, str]:
    """The body's fields, of which `known` names all that there may be. Numbers and booleans become text, null nothing.

    Raises InvalidRequest, and IncompleteUpload when the client goes away.
    """
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise InvalidRequest(f"The body is longer than {MAX_BODY_BYTES} bytes.")
    except ClientDisconnect as error:
        raise IncompleteUpload("The connection ended before the whole body had arrived.") from error
    pairs = _json(bytes(body)) if _kind(request) == JSON else _urlencoded(bytes(body))
    fields: dict[str, str] = {}
    for name, value in pairs:
        if name not in known:
            raise InvalidRequest(f"There is no parameter {name[:100]!r}.", parameter=_clean(name[:100]))
        if name in fields:
            raise InvalidRequest(f"{name} is given twice.", parameter=name)
        if len(value) > MAX_FIELD_BYTES or value != _clean(value):
            raise InvalidRequest(f"{name} is too long or holds null characters.", parameter=name)
        fields[name] = value
    return fields


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _json(body: bytes) -> Iterable[tuple[str, str]]:
    try:
        given = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest("The body is not valid JSON.") from error
    if not isinstance(given, dict):
        raise InvalidRequest("The body must be a JSON object.")
    for name, value in given.items():
        if isinstance(value, bool):
            yield name, str(value).lower()
        elif isinstance(value, str | int | float):
            yield name, str(value)
        elif value is not None:
            raise InvalidRequest(f"{name[:100]!r} must be a text, a number or a boolean.", parameter=_clean(name[:100]))


def _urlencoded(body: bytes) -> Iterable[tuple[str, str]]:
    try:
        return parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise InvalidRequest("The body is not a valid form.") from error


def _clean(text: str) -> str:
    """Without what PostgreSQL cannot hold: null characters and halves of surrogate pairs."""
    return text.replace("\x00", "").encode("utf-8", "ignore").decode()
