"""API key -> caller, from `Authorization: Bearer KEY` or `X-API-Key: KEY`."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy.orm import Session

from api import limits
from shared.callers import keys
from shared.callers.keys import Caller
from shared.errors import Forbidden

bearer = HTTPBearer(auto_error=False, description="An API key as a bearer token")
header = APIKeyHeader(name="X-API-Key", auto_error=False, description="The same key, for clients without bearer tokens")


KEY = re.compile(r"[A-Za-z0-9_-]{1,128}")
BEARER = re.compile(r"bearer ([A-Za-z0-9_-]{1,128})", re.IGNORECASE | re.ASCII)
"""A key has one spelling. Whoever counts requests before us (deploy/caddy/ratelimit.caddy) reads it by the same."""


async def presented_key(  # async, as it never blocks: a plain function would cost a hop to a thread
    request: Request,
    _bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],  # these two for OpenAPI alone
    _header: Annotated[str | None, Depends(header)],
) -> str | None:
    """The key that the request carries, if any; a bearer token wins. A header that is there twice carries none."""
    tokens, plain = (request.headers.getlist(name) for name in ("authorization", "x-api-key"))
    if len(tokens) > 1 or len(plain) > 1:
        return None
    if tokens and tokens[0].lower().startswith("bearer"):
        match = BEARER.fullmatch(tokens[0])
        return match[1] if match else None
    return plain[0] if plain and KEY.fullmatch(plain[0]) else None


PresentedKey = Annotated[str | None, Depends(presented_key)]


def identify(session: Session, request: Request, key: str | None, scope: str) -> Caller:
    """The caller, noted for the log. Raises Unauthorized, Forbidden when the key lacks `scope`, and RateLimited."""
    caller = keys.authenticate(session, key)
    request.state.caller_id = caller.id
    if scope not in caller.scopes:
        raise Forbidden(f"This API key lacks the scope {scope}.", scope=scope)
    limits.spend_request(request, caller)
    return caller
