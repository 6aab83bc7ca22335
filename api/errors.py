"""Every failure leaves the gateway through here, as one kind of JSON body."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match

from api.bodies.tasks import Problem
from shared.errors import (
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    ParleyError,
    RangeNotSatisfiable,
    RateLimited,
    Unauthorized,
    UnexpectedError,
    catalogue,
)

METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")

RETRY_AFTER_S = 5
"""What a 503 advises; the servers behind the gateway are back within seconds or not soon."""


def install(app: FastAPI) -> None:
    """Answer every foreseen failure. Unforeseen ones end in api/middleware.py."""
    app.add_exception_handler(ParleyError, _on_parley_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, on_http_exception)


def response(error: ParleyError, request_id: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """The body and status of an error."""
    body: dict[str, Any] = {"code": error.code, "message": error.message, "request_id": request_id}
    if error.detail:
        body["detail"] = error.detail
    extra = dict(headers or {})
    if error.status == 401:
        extra["WWW-Authenticate"] = "Bearer"
    elif error.status == 408:
        extra["Connection"] = "close"  # what is missing of the body may never come
    elif isinstance(error, RangeNotSatisfiable):
        extra["Content-Range"] = f"bytes */{error.detail['bytes']}"
    elif error.status in (429, 503):
        extra["Retry-After"] = str(error.detail.get("retry_after_s", RETRY_AFTER_S))
    return JSONResponse(body, error.status, extra)


def stored(code: str | None, message: str | None, **detail: Any) -> ParleyError:
    """The error that ended a job, from its row."""
    kind = catalogue().get(code or "", UnexpectedError)
    return kind(message or "The task failed.", **detail)


def responses(*kinds: type[ParleyError]) -> dict[int | str, dict[str, Any]]:
    """The errors of a route for OpenAPI, by status, each with its codes and an example."""
    listed: dict[int | str, dict[str, Any]] = {}
    all_kinds: set[type[ParleyError]] = {*kinds, UnexpectedError}
    if Unauthorized in kinds:
        all_kinds.add(RateLimited)  # where a key is needed, its requests are counted
    for kind in sorted(all_kinds, key=lambda kind: (kind.status, kind.code)):
        entry = listed.setdefault(
            kind.status, {"model": Problem, "description": "", "content": {"application/json": {"examples": {}}}}
        )
        meaning = " ".join((kind.__doc__ or "").split())
        entry["description"] = f"{entry['description']}\n\n`{kind.code}`: {meaning}".strip()
        example = {"code": kind.code, "message": meaning, "request_id": "019aa5c8-7d3e-7a41-9f0b-5d6c2b8e1f4a"}
        entry["content"]["application/json"]["examples"][kind.code] = {"value": example}
    return listed


def _on_parley_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ParleyError)
    return response(error, request.state.request_id)


def _on_validation_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where, *path = (str(part) for part in first["loc"])
    if where == "path":  # an id that is no id names nothing
        return response(NotFound("There is no such thing."), request.state.request_id)
    message = first["msg"].removeprefix("Value error, ")
    if not path:
        return response(InvalidRequest(f"{where}: {message}", parameter=where), request.state.request_id)
    name = ".".join(path)
    return response(InvalidRequest(f"{name}: {message}", parameter=name), request.state.request_id)


def on_http_exception(request: Request, error: Exception) -> JSONResponse:
    """The answer to a path or method that there is not."""
    problem, headers = http_problem(request, error)
    return response(problem, request.state.request_id, headers)


def http_problem(request: Request, error: Exception) -> tuple[ParleyError, dict[str, str]]:
    """What the router or FastAPI itself refused, as one of our errors, and headers that belong to it."""
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    match error.status_code:
        case 404:
            return NotFound(f"There is no path {request.url.path[:100]}."), headers
        case 405:
            message = f"{request.method} is not possible at {request.url.path[:100]}."
            return MethodNotAllowed(message), headers | {"Allow": ", ".join(_methods(request))}
        case status if status < 500:
            return InvalidRequest(str(error.detail)), headers
        case _:
            message = "Something went wrong; the log has the details under this request id."
            return UnexpectedError(message), headers


def _methods(request: Request) -> list[str]:
    """What is possible with the path. Each method of it is a route of its own; the router names but one."""
    scope = dict(request.scope)
    return [
        method
        for method in METHODS
        # HEAD is possible with everything that can be read: api/middleware.py
        if any(
            route.matches(scope | {"method": "GET" if method == "HEAD" else method})[0] is Match.FULL
            for route in request.app.routes
        )
    ]
