"""POST, GET and DELETE /session: a browser is signed in with a key, which no script then has to keep."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from api import auth
from api.auth import PresentedKey, session_token
from api.bodies.workspace import SessionInfo
from api.dependencies import SessionDep
from api.errors import responses
from shared.callers import browser_sessions
from shared.callers.keys import Caller
from shared.config import link
from shared.errors import CsrfFailed, DatabaseUnavailable, NotFound, Unauthorized

router = APIRouter(prefix="/session", tags=["sessions"])

USUAL = (Unauthorized, DatabaseUnavailable)


def _anybody(request: Request, session: SessionDep, key: PresentedKey) -> Caller:
    return auth.identify(session, request, key, None)


AnybodyDep = Annotated[Caller, Depends(_anybody, scope="function")]
"""A caller with any scope."""


@router.post(
    "", status_code=201, response_model=SessionInfo, summary="Sign in", responses=responses(*USUAL, CsrfFailed)
)
def sign_in(request: Request, response: Response, caller: AnybodyDep, session: SessionDep) -> SessionInfo:
    """With a key: sets a cookie that stands for it. With that cookie: gives the session another one, for as long again.

    The cookie cannot be read by scripts (`HttpOnly`), is sent by no other site (`SameSite=Strict`) and behind TLS only
    by TLS (`Secure`). Calls that change something also need its `csrf_token`, as `X-CSRF-Token`.

        curl -c jar -X POST -H "Authorization: Bearer $API_KEY" $URL/session
    """
    token = session_token(request)
    if token is None:
        token, row = browser_sessions.begin(session, caller.id)
    else:
        token, row = browser_sessions.rotate(session, token)
    response.set_cookie(
        auth.COOKIE,
        token,
        max_age=int((row.expires_at - datetime.now(UTC)).total_seconds()),
        path=link("/"),
        httponly=True,
        samesite="strict",
        secure=auth.is_encrypted(request),
    )
    return _info(caller, token, row.expires_at)


@router.get("", response_model=SessionInfo, summary="The session of this cookie", responses=responses(*USUAL, NotFound))
def current(request: Request, caller: AnybodyDep, session: SessionDep) -> SessionInfo:
    """Its key's name and its `csrf_token`, for a page that was loaded again."""
    token = _own(request)
    return _info(caller, token, browser_sessions.expiry(session, token))


@router.delete("", status_code=204, summary="Sign out", responses=responses(*USUAL, NotFound, CsrfFailed))
def sign_out(request: Request, response: Response, _caller: AnybodyDep, session: SessionDep) -> None:
    """The cookie is invalid at once, also those that it has replaced."""
    browser_sessions.end(session, _own(request))
    response.delete_cookie(
        auth.COOKIE, path=link("/"), httponly=True, samesite="strict", secure=auth.is_encrypted(request)
    )


def _own(request: Request) -> str:
    token = session_token(request)
    if token is None:
        raise NotFound("This call was made with a key, not with a session.")
    return token


def _info(caller: Caller, token: str, expires_at: datetime) -> SessionInfo:
    return SessionInfo(
        key_id=caller.id,
        name=caller.name,
        scopes=sorted(caller.scopes),
        csrf_token=browser_sessions.csrf_token(token),
        expires_at=expires_at,
    )
