"""Around every request: its id, its log line, safe headers, an answer when something unforeseen is raised.

And three manners of asking: polls, HEAD, and parameters of a query that are empty.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from types import SimpleNamespace
from urllib.parse import unquote_to_bytes

import anyio
import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils.compat import uuid7

from api import errors
from shared.errors import ParleyError, UnexpectedError
from shared.telemetry import tracing
from shared.telemetry.logs import get_logger
from shared.telemetry.metrics import REQUEST_SECONDS, REQUESTS

log = get_logger(__name__)

MEANT_EMPTY = frozenset({b"by"})
"""Parameters whose empty value says something: usage by nothing is a single sum."""

TASK_ID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
"""As tasks are named in answers; the router takes other spellings."""

SHARE = re.compile(r"sh_[A-Za-z0-9_-]{8,}")
"""What may be the secret of a link (shared/callers/shares.py), or most of it."""

MAX_REQUEST_ID_CHARS = 128
NOT_IN_REQUEST_ID = re.compile(r"[^A-Za-z0-9._:-]")


class RequestContext:
    """Give the request its id, and log what became of it. Neither headers nor query strings are logged."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._spans = tracing.spans("api")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        headers = Headers(scope=scope)
        request_id = request_id_of(headers)
        scope.setdefault("state", {})["request_id"] = request_id
        status = 0
        task_ids = tracing.watch_tasks() if self._spans else None

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                headers["X-Content-Type-Options"] = "nosniff"
                headers.setdefault("Cache-Control", "no-store")
                headers.update(scope["state"].get("answer_headers", {}))
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, send_with_headers)
            except Exception:  # a fault of ours, wherever it is: logged here, told to nobody
                log.exception("unexpected_error", **_about(scope))
                if status:
                    raise  # half an answer is out: only a broken connection can say that it is wrong
                message = "Something went wrong; the log has the details under this request id."
                answer = errors.response(UnexpectedError(message), request_id)
                await answer(scope, receive, send_with_headers)
            finally:
                seconds = time.perf_counter() - started
                route = getattr(scope.get("route"), "path", "none")
                REQUESTS.labels(scope["method"] if route != "none" else "any", route, status).inc()
                REQUEST_SECONDS.labels(route).observe(seconds)
                if self._spans and task_ids:
                    self._spans.request(
                        task_ids,
                        method=scope["method"],
                        route=route,
                        status=status,
                        request_id=request_id,
                        traceparent=headers.get("traceparent"),
                        seconds=seconds,
                    )
                log.info("request", status=status, duration_ms=round(seconds * 1000, 1), **_about(scope))


class Shortcuts:
    """Answer a GET of `folder/{task_id}` without a query as its route would.

    The router, FastAPI's dependencies and its checks take three times as long as a poll itself does.

    shortcuts : by folder, the path of the route, for metrics, and what answers; it raises ParleyErrors alone
    """

    def __init__(
        self, app: ASGIApp, shortcuts: Mapping[str, tuple[str, Callable[[Request, uuid.UUID], Awaitable[Response]]]]
    ) -> None:
        self._app = app
        self._shortcuts = {folder: (SimpleNamespace(path=path), answer) for folder, (path, answer) in shortcuts.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        folder, _, name = scope["path"].rpartition("/") if scope["type"] == "http" else ("", "", "")
        shortcut = self._shortcuts.get(folder) if scope.get("method") == "GET" and not scope["query_string"] else None
        if shortcut is None or not TASK_ID.fullmatch(name):
            await self._app(scope, receive, send)
            return
        scope["route"], answer = shortcut
        scope["path_params"] = {"task_id": name}
        request = Request(scope, receive)
        try:
            response = await answer(request, uuid.UUID(name))
        except ParleyError as error:
            response = errors.response(error, request.state.request_id)
        await response(scope, receive, send)


class Head:
    """Answer HEAD as GET is answered, without its body. A stream ends behind its headers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        as_get = {**scope, "method": "GET"}
        with anyio.CancelScope() as work:

            async def send_head(message: Message) -> None:
                if message["type"] == "http.response.start":
                    await send(message)
                    await send({"type": "http.response.body", "body": b""})
                elif message.get("more_body"):
                    work.cancel()

            try:
                await self._app(as_get, receive, send_head)
            finally:  # what the router has found is also for those around
                scope.update({name: as_get[name] for name in ("route", "path_params") if name in as_get})


class EmptyParameters:
    """Leave out what is empty in a query, as fields of a form are: `?encode&format=` asks for the defaults."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            pairs = scope["query_string"].split(b"&")
            scope["query_string"] = b"&".join(pair for pair in pairs if not _is_empty(pair))
        await self._app(scope, receive, send)


def _is_empty(pair: bytes) -> bool:
    name, _, value = pair.partition(b"=")
    return name not in MEANT_EMPTY and not unquote_to_bytes(value.replace(b"+", b" ")).strip()


def request_id_of(headers: Headers) -> str:
    """The one that was sent, if it can be used, else a new one."""
    value = NOT_IN_REQUEST_ID.sub("", headers.get("x-request-id", ""))[:MAX_REQUEST_ID_CHARS]
    return value or str(uuid7())


def _about(scope: Scope) -> dict[str, str]:
    """What the log says of a request. The task and the caller are known once the request has been routed."""
    # the path of a link that is shared has its secret, also where it is misspelt and leads nowhere
    is_shared = "token" in scope.get("path_params", {})
    path = scope["route"].path if is_shared else SHARE.sub("{token}", scope["path"])
    about = {"method": scope["method"], "path": path}
    task_id = scope.get("path_params", {}).get("task_id") or scope["state"].get("task_id")
    if task_id:
        about["job_id"] = str(task_id)
    if "caller_id" in scope["state"]:
        about["caller_id"] = str(scope["state"]["caller_id"])
    if scope.get("client"):
        about["client"] = scope["client"][0]
    return about
