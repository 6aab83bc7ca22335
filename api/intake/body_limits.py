"""Bodies of requests: their limits, in one place, and the reading of JSON.

A route asks for its caller first and reads the body afterwards. With FastAPI's own body parameters it is the other way
round: whatever a stranger sends is read and parsed before anybody looks at the key. So no route has one; `json_body`
takes their place.
"""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.bodies.schemas import BYTES, FORM, JSON
from api.intake import transfer
from api.intake.form import MAX_FORM_BYTES
from api.revocation import until_revoked
from shared.config import settings
from shared.errors import FileTooLarge, InvalidRequest
from shared.intake.parts import MAX_PART_BYTES

Model = TypeVar("Model", bound=BaseModel)

SHORT_BYTES = 256 * 1024
"""Of every body that nothing below gives more."""

LONGER_BYTES: Mapping[str, int] = {
    "/transcribe/batch": 4 * 1024**2,  # a thousand items of 4 KiB each: a URL is at most half of that
    # MAX_CORRECTED_CHARS in a script of 4 bytes each, and as much again for names, ids and punctuation of JSON
    "/tasks/{task_id}": 8 * 1024**2,
    "/transcribe/stream": 8 * 3600 * 2 * 48_000,  # the longest session there may be, in the best sound
}
"""By the route's path. Recordings have limits of their own, in the settings."""

ANSWERED_MEANWHILE = frozenset({"/transcribe/stream"})
"""Routes whose bodies go on arriving behind the beginning of the answer."""

MAX_JSON_CONTAINERS = 50_000
MAX_JSON_COMMAS = 1_000_000
"""Above what the largest batch or correction holds. Each object and each list costs far more memory and time than its
two bytes: 8 MiB of `[],` would be 300 MB and two seconds in which this process does nothing else."""


class BodyLimit:
    """Around the app: hands on no more of a body than its route takes, and nothing of it before the caller is known.

    The app sees a FileTooLarge where it reads on, or an Unauthorized when the key is revoked meanwhile.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        byte_count, is_answered, is_arriving = 0, False, True

        async def limited() -> Message:
            nonlocal byte_count, is_arriving
            caller_id = scope["state"].get("caller_id")
            if caller_id and is_arriving and not is_answered:
                async with until_revoked(caller_id):
                    message = await receive()
            else:
                message = await receive()
            is_arriving = bool(message.get("more_body"))
            if message["type"] != "http.request" or not (body := message.get("body")):
                return message
            if is_answered or not caller_id:
                # read by those who wait for the client to hang up; or by a route that forgot to ask for the key
                return {**message, "body": b""}
            byte_count += len(body)
            most = limit_of(scope)
            if byte_count > most:  # what it announces may never come, and a proxy's 408 is then the better answer
                raise FileTooLarge(f"The body is larger than {most} bytes.", max_body_bytes=most)
            return message

        async def watched(message: Message) -> None:
            nonlocal is_answered
            is_answered = getattr(scope.get("route"), "path", "") not in ANSWERED_MEANWHILE
            await send(message)

        await self._app(scope, limited, watched)


def limit_of(scope: Scope) -> int:
    """Bytes that the route of this request takes, which the router has found by now."""
    route = scope.get("route")
    body = (getattr(route, "openapi_extra", None) or {}).get("requestBody", {})
    kinds = body.get("content", {})
    if FORM in kinds and _kind(scope) == FORM:
        return settings().max_upload_bytes + MAX_FORM_BYTES
    path = getattr(route, "path", "")
    if BYTES in kinds and path not in LONGER_BYTES:
        return MAX_PART_BYTES
    return LONGER_BYTES.get(path, SHORT_BYTES)


async def read(request: Request) -> bytes:
    """The whole body. Raises FileTooLarge, and what is in `transfer.REFUSALS`."""
    if "caller_id" not in request.scope["state"]:
        raise RuntimeError("a body is read before the key has been looked at")
    body = bytearray()
    with transfer.reserved(request, limit_of(request.scope)):
        async with aclosing(transfer.chunks(request)) as chunks:
            async for chunk in chunks:
                body += chunk
    return bytes(body)


async def read_json(request: Request) -> bytes:
    """The same for JSON, not yet parsed: of a size that can be. Also raises InvalidRequest."""
    kind = _kind(request.scope)
    if kind != JSON and not (kind.startswith("application/") and kind.endswith("+json")):
        raise InvalidRequest(f"Send the body as JSON, with Content-Type: {JSON}.", parameter="Content-Type")
    body = await read(request)
    check_json(body)
    return body


def check_json(body: bytes) -> None:
    """Refuse, before it is parsed, what would make far more objects than it has bytes. Raises InvalidRequest."""
    if body.count(b"{") + body.count(b"[") > MAX_JSON_CONTAINERS or body.count(b",") > MAX_JSON_COMMAS:
        raise InvalidRequest("The body has more values than any request can mean.")


def json_body(model: type[Model]) -> Callable[[Request], Awaitable[Model]]:
    """A dependency: the body as `model`. It must stand behind the caller's in the parameters of the route."""

    async def read_body(request: Request) -> Model:
        return _parsed(model, await read_json(request))

    return read_body


def optional_json_body(model: type[Model]) -> Callable[[Request], Awaitable[Model | None]]:
    """The same; None without a body, and for `null`."""

    async def read_body(request: Request) -> Model | None:
        if not _has_body(request.scope):
            return None
        body = await read_json(request)
        return None if body.strip() in (b"", b"null") else _parsed(model, body)

    return read_body


def _parsed(model: type[Model], body: bytes) -> Model:
    try:
        return model.model_validate_json(body.removeprefix(BOM_UTF8))
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False)
        if wrong[0]["type"] == "json_invalid":
            raise InvalidRequest("The body is not valid JSON.") from error
        raise RequestValidationError([{**one, "loc": ("body", *one["loc"])} for one in wrong]) from error


def _kind(scope: Scope) -> str:
    return Headers(scope=scope).get("content-type", "").partition(";")[0].strip().lower()


def _announced(scope: Scope) -> int:
    """The Content-Length, which the server has checked; 0 for a body that comes in chunks."""
    length = Headers(scope=scope).get("content-length", "")
    return int(length) if length.isdecimal() else 0


def _has_body(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    return "transfer-encoding" in headers or _announced(scope) > 0
