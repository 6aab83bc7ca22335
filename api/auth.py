"""API key -> caller, from `Authorization: Bearer KEY` or `X-API-Key: KEY`."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy.orm import Session

from api import limits
from shared import keys
from shared.errors import Forbidden
from shared.keys import Caller

bearer = HTTPBearer(auto_error=False, description="An API key as a bearer token")
header = APIKeyHeader(name="X-API-Key", auto_error=False, description="The same key, for clients without bearer tokens")


async def presented_key(  # async, as it never blocks: a plain function would cost a hop to a thread
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
    plain: Annotated[str | None, Depends(header)],
) -> str | None:
    """The key that the request carries, if any; `Authorization` wins."""
    return credentials.credentials if credentials else plain


PresentedKey = Annotated[str | None, Depends(presented_key)]


def identify(session: Session, request: Request, key: str | None, scope: str) -> Caller:
    """The caller, noted for the log. Raises Unauthorized, Forbidden when the key lacks `scope`, and RateLimited."""
    caller = keys.authenticate(session, key)
    request.state.caller_id = caller.id
    if scope not in caller.scopes:
        raise Forbidden(f"This API key lacks the scope {scope}.", scope=scope)
    limits.spend_request(request, caller)
    return caller
