"""GET /history: this key's tasks, searched, in pages or as a file."""

from __future__ import annotations

from itertools import chain
from typing import Annotated, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from api.bodies import views
from api.bodies.choices import Switch
from api.bodies.tasks import History
from api.dependencies import CallerDep, DetachedCallerDep, SessionDep, StorageDep
from api.errors import responses
from api.history import export, search
from api.history.filters import FILTERS, Cursor, FiltersDep, Limit, only
from api.history.headlines import headlines
from api.history.moments import moments
from shared.config import link
from shared.errors import DatabaseUnavailable, Forbidden, InvalidRequest, Unauthorized

router = APIRouter(tags=["tasks"])


USUAL = (Unauthorized, Forbidden, InvalidRequest, DatabaseUnavailable)


@router.get("/history", response_model=History, summary="Tasks of this key, searched", responses=responses(*USUAL))
def listing(
    request: Request,
    response: Response,
    caller: CallerDep,
    session: SessionDep,
    storage: StorageDep,
    filters: FiltersDep,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> History:
    """Newest first, a page at a time. The header `Link: <...>; rel="next"` leads to the next page as well.

        curl -H "Authorization: Bearer $API_KEY" "$URL/history?limit=20&status=done"
        curl -H "Authorization: Bearer $API_KEY" -G $URL/history --data-urlencode 'q="train delay" -freight'

    With `q` each task has up to two `snippets`, in runs of plain text: `is_match` says which are words of `q`, and
    `start` at which second of the recording the first of them is said.
    """
    only(request, *FILTERS, "limit", "cursor")
    jobs, last = search.page(session, caller.id, limit=limit, before=views.row_before(cursor), filters=filters)
    places = headlines(session, [job.id for job in jobs], filters.words) if filters.words else None
    starts = moments(session, storage, jobs, places) if places else {}
    next_cursor = views.cursor_of(last)
    if next_cursor:
        query = [(name, value) for name, value in request.query_params.multi_items() if name not in ("limit", "cursor")]
        query += [("limit", str(limit)), ("cursor", next_cursor)]
        response.headers["Link"] = f'<{link("/history")}?{urlencode(query)}>; rel="next"'
    items = [
        views.history_item(job, None if places is None else places.get(job.id, ()), starts.get(job.id, ()))
        for job in jobs
    ]
    return History(items=items, next_cursor=next_cursor)


@router.get(
    "/history/export",
    response_class=StreamingResponse,
    summary="Tasks of this key as a file",
    responses=responses(*USUAL),
)
def exported(
    request: Request,
    caller: DetachedCallerDep,
    filters: FiltersDep,
    format: Annotated[Literal["csv", "ndjson"], Query(description="A table, or a JSON object per line")] = "csv",
    text: Annotated[Switch, Query(description="With the transcripts' text")] = False,
) -> StreamingResponse:
    """All that the filters of GET /history let through, newest first, in one answer of any length.

        curl -OJ -H "Authorization: Bearer $API_KEY" "$URL/history/export?format=csv&since=2026-03-01"
        curl -OJ -H "Authorization: Bearer $API_KEY" "$URL/history/export?format=ndjson&text=true&tag=interview"

    In CSV a cell that begins with `=`, `+`, `-` or `@` gets an apostrophe in front, so that no spreadsheet computes it.
    """
    only(request, *FILTERS, "format", "text")
    write = export.spreadsheet if format == "csv" else export.ndjson
    lines = write(caller.id, filters, texts=text)
    first = next(lines, "")  # what is wrong with the request is found before the answer begins
    return StreamingResponse(
        chain([first], lines),
        media_type="text/csv; charset=utf-8" if format == "csv" else "application/x-ndjson",
        headers={"Content-Disposition": f'attachment; filename="history.{format}"'},
    )
