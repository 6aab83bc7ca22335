"""GET /history: this key's tasks."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Response

from api import views
from api.dependencies import CallerDep, SessionDep
from api.errors import responses
from shared import history
from shared.errors import DatabaseUnavailable, Forbidden, InvalidRequest, Unauthorized
from shared.schemas import History
from shared.states import JobState

router = APIRouter(tags=["tasks"])

Limit = Annotated[int, Query(ge=1, le=100, description="Entries per page")]
Cursor = Annotated[str | None, Query(max_length=64, description="`next_cursor` of the page before")]


@router.get(
    "/history",
    response_model=History,
    summary="All tasks of this key",
    responses=responses(Unauthorized, Forbidden, InvalidRequest, DatabaseUnavailable),
)
def listing(
    response: Response,
    caller: CallerDep,
    session: SessionDep,
    limit: Limit = 20,
    cursor: Cursor = None,
    status: Annotated[JobState | None, Query(description="Only tasks in this state")] = None,
) -> History:
    """Newest first, a page at a time. The header `Link: <...>; rel="next"` leads to the next page as well.

    curl -H "Authorization: Bearer $API_KEY" "$URL/history?limit=20&status=done"
    """
    found, last = history.page(session, caller.id, limit=limit, before=views.row_before(cursor), state=status)
    next_cursor = views.cursor_of(last)
    if next_cursor:
        query = {"limit": limit, "cursor": next_cursor} | ({"status": status.value} if status else {})
        response.headers["Link"] = f'</history?{urlencode(query)}>; rel="next"'
    return History(items=[views.history_item(job) for job in found], next_cursor=next_cursor)
