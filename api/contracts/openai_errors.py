"""Errors as OpenAI's clients expect them: {"error": {"message", "type", "param", "code"}}, below /v1 only."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from api import errors
from api.bodies.schemas import FILE
from shared.errors import (
    DecodeFailed,
    FileTooLarge,
    InvalidRequest,
    MediaTooLong,
    ModelNotAllowed,
    ModelNotInstalled,
    NoAudio,
    NotReady,
    ParleyError,
    Unauthorized,
    UnexpectedError,
    UnsupportedMedia,
)
from shared.telemetry.logs import get_logger

log = get_logger(__name__)

CODES: dict[type[ParleyError], tuple[int, str]] = {
    Unauthorized: (401, "invalid_api_key"),
    ModelNotAllowed: (404, "model_not_found"),
    ModelNotInstalled: (404, "model_not_found"),
    NotReady: (504, "not_ready"),
    UnsupportedMedia: (400, "unsupported_media"),
}
"""Status and code where OpenAI's differ from ours. Besides these, 422 becomes 400."""


ABOUT_THE_FILE = (NoAudio, UnsupportedMedia, DecodeFailed, MediaTooLong, FileTooLarge)
"""Errors whose `param` is the file, whether it was refused or its task failed."""


class ErrorDetail(BaseModel):
    """What is wrong."""

    message: str
    type: str = Field(examples=["invalid_request_error"])
    param: str | None = Field(description="Name of the field that is wrong")
    code: str | None = Field(examples=["model_not_found"])


class ErrorBody(BaseModel):
    """Every error on OpenAI's paths."""

    error: ErrorDetail


def install(app: FastAPI) -> None:
    """Give OpenAI's shape to paths and methods that there are not, below /v1. To be called behind `errors.install`."""
    app.add_exception_handler(HTTPException, _on_http_exception)


def _on_http_exception(request: Request, error: Exception) -> Response:
    if request.url.path != "/v1" and not request.url.path.startswith("/v1/"):
        return errors.on_http_exception(request, error)
    problem, headers = errors.http_problem(request, error)
    return response(problem, request.state.request_id, headers)


class OpenAIRoute(APIRoute):
    """A route whose every error has OpenAI's shape."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except ParleyError as error:
                return response(error, request.state.request_id)
            except RequestValidationError as error:
                first = error.errors()[0]
                name = str(first["loc"][-1])
                return response(InvalidRequest(f"{name}: {first['msg']}", parameter=name), request.state.request_id)
            except Exception:  # a fault of ours: the middleware would answer in our shape, not in OpenAI's
                log.exception("unexpected_error")
                message = "Something went wrong; the log has the details under this request id."
                return response(UnexpectedError(message), request.state.request_id)

        return answer


def responses(*kinds: type[ParleyError]) -> dict[int | str, dict[str, Any]]:
    """The errors of a route for OpenAPI, by status."""
    statuses = {_status_and_code(kind)[0] for kind in (*kinds, UnexpectedError)}
    return {status: {"model": ErrorBody} for status in sorted(statuses)}


def response(error: ParleyError, request_id: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """The answer to a request that failed, in OpenAI's shape, with the headers that ours has."""
    original = errors.response(error, request_id, headers)
    status, _ = _status_and_code(type(error))
    answer = JSONResponse(body(error), status)
    for name, value in original.headers.items():
        if name not in ("content-length", "content-type"):
            answer.headers[name] = value
    if "status" in error.detail:
        # the task has ended, or goes on: OpenAI's clients would otherwise send the whole recording again
        answer.headers["x-should-retry"] = "false"
    return answer


def body(error: ParleyError) -> dict[str, Any]:
    """OpenAI's error object, of an answer or of an event in a stream."""
    status, code = _status_and_code(type(error))
    kind = "server_error" if status >= 500 else "rate_limit_error" if status == 429 else "invalid_request_error"
    parameter = FILE if isinstance(error, ABOUT_THE_FILE) else error.detail.get("parameter")
    return {"error": {"message": error.message, "type": kind, "param": parameter, "code": code}}


def _status_and_code(kind: type[ParleyError]) -> tuple[int, str]:
    status = 400 if kind.status == 422 else kind.status
    return CODES.get(kind, (status, kind.code))
