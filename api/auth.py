"""API key -> caller: `Authorization: Bearer KEY`, `X-API-Key: KEY`, or the cookie of a session that stands for one."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from typing import Annotated

from anyio import to_thread
from fastapi import Depends, Request
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy.orm import Session
from starlette.requests import HTTPConnection

from api import limits
from api.postgres.reader import reader
from shared.callers import browser_sessions, keys, quotas
from shared.callers.keys import Caller
from shared.config import settings
from shared.errors import CsrfFailed, Forbidden
from shared.kernel import job_views
from shared.kernel.job_views import View

bearer = HTTPBearer(auto_error=False, description="An API key as a bearer token")
header = APIKeyHeader(name="X-API-Key", auto_error=False, description="The same key, for clients without bearer tokens")


COOKIE = "parley_session"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing."""

KEY = re.compile(r"[A-Za-z0-9_-]{1,128}")
BEARER = re.compile(r"bearer ([A-Za-z0-9_-]{1,128})", re.IGNORECASE | re.ASCII)
"""A key has one spelling. Whoever counts requests before us (deploy/caddy/ratelimit.caddy) reads it by the same."""


async def presented_key(  # async, as it never blocks: a plain function would cost a hop to a thread
    request: Request,
    _bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],  # these two for OpenAPI alone
    _header: Annotated[str | None, Depends(header)],
) -> str | None:
    """The key that the request carries, if any; a bearer token wins. A header that is there twice carries none."""
    return key_of(request)


def key_of(request: HTTPConnection) -> str | None:
    """As `presented_key`, for whoever has a request in hand. Without a key, it is the token of a session.

    Raises CsrfFailed.
    """
    tokens, plain = (request.headers.getlist(name) for name in ("authorization", "x-api-key"))
    if not tokens and not plain:
        return _checked_token(request)
    if len(tokens) > 1 or len(plain) > 1:
        return None
    if tokens and tokens[0].lower().startswith("bearer"):
        match = BEARER.fullmatch(tokens[0])
        return match[1] if match else None
    return plain[0] if plain and KEY.fullmatch(plain[0]) else None


def session_token(request: HTTPConnection) -> str | None:
    """The token of the session, of a request that carries no key."""
    if "authorization" in request.headers or "x-api-key" in request.headers:
        return None
    token = request.cookies.get(COOKIE, "")
    return token if browser_sessions.TOKEN.fullmatch(token) else None


def _checked_token(request: HTTPConnection) -> str | None:
    """The token, if the request can only come from a page of ours: a browser adds the cookie to others by itself."""
    token = session_token(request)
    if token is None:
        return None
    if request.scope["type"] == "websocket":  # which can be opened by every page, and carries no header of a script's
        if not _is_of_our_page(request):
            raise CsrfFailed("The session's cookie opens a WebSocket only from a page of this server. Send a key.")
    elif request.scope["method"] not in SAFE and not browser_sessions.is_csrf_token(
        token, request.headers.get("x-csrf-token", "")
    ):
        raise CsrfFailed("Send the session's csrf_token as X-CSRF-Token; GET /session has it.")
    return token


def is_encrypted(request: HTTPConnection) -> bool:
    """Whether the browser speaks TLS with us or with a proxy. Who lies about it spoils but a cookie of his own."""
    outermost = request.headers.get("x-forwarded-proto", "").partition(",")[0].strip()
    return bool({request.scope.get("scheme"), outermost.lower()} & {"https", "wss"})


def _is_of_our_page(request: HTTPConnection) -> bool:
    """By Origin, which no script can set. Where we speak TLS, a page without it may be of whoever is on the network."""
    schemes = ("https",) if is_encrypted(request) else ("http", "https")
    return request.headers.getlist("origin") in [[f"{scheme}://{request.headers.get('host')}"] for scheme in schemes]


PresentedKey = Annotated[str | None, Depends(presented_key)]


def identify(session: Session, request: HTTPConnection, key: str | None, scope: str | None) -> Caller:
    """The caller, noted for the log; with None as `scope` any key will do.

    Raises Unauthorized, Forbidden when the key lacks `scope`, and RateLimited.
    """
    caller = keys.authenticate(session, key)
    _check_scope(request, caller, scope)
    limits.spend_request(request, caller)
    return caller


@dataclass(frozen=True, slots=True)
class Poll:
    """Who asks about a job, and how it stands."""

    request: Request
    caller: Caller
    view: View

    async def again(self) -> Poll:
        """As it is now, the key included. The request has been counted."""
        return await poll(self.request, self.view.job.id, is_counted=False)


async def poll(request: Request, job_id: uuid.UUID, *, is_counted: bool = True) -> Poll:
    """What `identify` and `job_views.get` say, by one statement on the event loop. Raises what they raise.

    is_counted : whether it counts for the limit of the key
    """
    key = key_of(request)
    row = await reader.first_row(job_views.keys_job(key, job_id)) if key else None
    caller = keys.caller(row)
    await _let_in(request, caller, is_counted=is_counted)
    return Poll(request, caller, await reader.run(job_views.viewed(row and row[keys.WIDTH :])))


async def submitter(request: Request) -> Caller:
    """A caller that may submit a task now, or repeats a request. Raises what `identify` and `limits.admit` raise."""
    key = key_of(request)
    row = await reader.first_row(quotas.of_key(key)) if key else None
    caller = keys.caller(row)
    await _let_in(request, caller)
    await limits.admit_request(request, caller, quotas.usage(row), request.headers.get("idempotency-key"))
    return caller


async def _let_in(request: Request, caller: Caller, *, is_counted: bool = True) -> None:
    _check_scope(request, caller, "transcribe")
    if is_counted and caller.limits.value("requests_per_minute", settings()):
        await to_thread.run_sync(limits.spend_request, request, caller)  # Valkey is asked


def _check_scope(request: HTTPConnection, caller: Caller, scope: str | None) -> None:
    request.state.caller_id = caller.id
    if scope and scope not in caller.scopes:
        raise Forbidden(f"This API key lacks the scope {scope}.", scope=scope)
