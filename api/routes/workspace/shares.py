"""/tasks/{task_id}/shares: links that show one task to whoever has them."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends

from api.bodies.schemas import described
from api.bodies.workspace import CreatedShare, NewShare, ShareInfo, Shares
from api.dependencies import CallerDep, DetachedCallerDep, SessionDep
from api.errors import responses
from api.intake import transfer
from api.intake.body_limits import optional_json_body
from shared.callers import shares
from shared.config import link
from shared.errors import (
    DatabaseUnavailable,
    FileTooLarge,
    Forbidden,
    InvalidRequest,
    NotFound,
    TooManyShares,
    Unauthorized,
)
from shared.models import Share

router = APIRouter(
    prefix="/tasks/{task_id}/shares",
    tags=["shares"],
    responses=responses(Unauthorized, Forbidden, NotFound, DatabaseUnavailable),
)


@router.post(
    "",
    status_code=201,
    response_model=CreatedShare,
    summary="Share a task by a link",
    openapi_extra=described(NewShare, required=False),
    responses=responses(InvalidRequest, FileTooLarge, TooManyShares, *transfer.REFUSALS),
)
def create(
    task_id: uuid.UUID,
    caller: DetachedCallerDep,
    body: Annotated[NewShare | None, Depends(optional_json_body(NewShare))],
    session: SessionDep,
) -> CreatedShare:
    """Whoever has the link can read the transcript until it expires, and with `audio` listen to it; nothing else.

    The answer shows its secret this once.

        curl -X POST -H "Authorization: Bearer $API_KEY" --json '{"audio": true}' $URL/tasks/$TASK_ID/shares
    """
    wish = body or NewShare()
    lifetime = timedelta(seconds=wish.expires_in)
    token, row = shares.create(session, caller.id, task_id, has_audio=wish.audio, lifetime=lifetime)
    return CreatedShare(**dict(_info(row)), token=token, url=link(f"/shared/{token}"))


@router.get("", response_model=Shares, summary="Links to a task")
def listing(task_id: uuid.UUID, caller: CallerDep, session: SessionDep) -> Shares:
    """Those that are valid, newest first, without their secrets."""
    return Shares(items=[_info(row) for row in shares.of_task(session, caller.id, task_id)])


@router.delete("/{share_id}", status_code=204, summary="Revoke a link")
def revoke(task_id: uuid.UUID, share_id: uuid.UUID, caller: CallerDep, session: SessionDep) -> None:
    """It is invalid at once."""
    shares.revoke(session, caller.id, task_id, share_id)


def _info(row: Share) -> ShareInfo:
    return ShareInfo(share_id=row.id, audio=row.has_audio, created_at=row.created_at, expires_at=row.expires_at)
