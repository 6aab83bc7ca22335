"""GET /events: all tasks of a key in one stream."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import StreamingResponse

from api.auth import session_token
from api.dependencies import DetachedCallerDep
from api.errors import responses
from api.routes.events import HEARTBEAT_S, NDJSON, SSE, Encode, as_line, as_sse, status_of
from api.routes.workspace.feed import Changes, Feed, follow
from shared.errors import DatabaseUnavailable, Forbidden, InvalidRequest, TooManyStreams, Unauthorized

router = APIRouter(tags=["tasks"])

POSITION = re.compile(r"[0-9]{1,13}")
"""In milliseconds, up to the year 2286."""

EXAMPLE = """\
id: 1772359200120
event: ready
data: {}

id: 1772359200123
event: status
data: {"task_id": "019aa5c8-7d3e-7a41-9f0b-5d6c2b8e1f4a", "status": "processing", "progress": 42, \
"eta_seconds": 31, "queue_position": null, "stage_detail": "transcribe 61 %", "error": null}

: heartbeat

id: 1772359207431
event: deleted
data: {"task_id": "019aa5c8-7d3e-7a41-9f0b-5d6c2b8e1f4a"}

"""


@router.get(
    "/events",
    response_model=None,
    summary="Follow all tasks of this key",
    responses={
        200: {
            "description": "Events, without an end",
            "content": {SSE: {"example": EXAMPLE}, NDJSON: {"schema": {"type": "string"}}},
        },
        **responses(Unauthorized, Forbidden, InvalidRequest, TooManyStreams, DatabaseUnavailable),
    },
)
async def all_events(
    request: Request,
    caller: DetachedCallerDep,
    accept: Annotated[str, Header(include_in_schema=False)] = SSE,
    last_event_id: Annotated[str | None, Header(description="Resume after this event")] = None,
) -> Response:
    """First `ready`, then a `status` for each unfinished task and whenever one begins, gets on or ends; `deleted`
    for one that is gone.

    A stream that broke off is resumed with the header `Last-Event-ID`, as browsers do by themselves: it tells of what
    has ended or was deleted meanwhile (of each the latest 2,000), and again where the unfinished tasks stand. Something
    may come twice.

        curl -N -H "Authorization: Bearer $API_KEY" $URL/events
    """
    news = follow(Feed(caller.id, _position(last_event_id), session_token(request)), HEARTBEAT_S)
    first = await anext(news)
    is_ndjson = NDJSON in accept
    return StreamingResponse(
        _stream(first, news, as_line if is_ndjson else as_sse),
        media_type=NDJSON if is_ndjson else SSE,
        headers={"X-Accel-Buffering": "no"},  # nginx would hold the events back
    )


def _position(last_event_id: str | None) -> int | None:
    if not last_event_id:
        return None
    if not POSITION.fullmatch(last_event_id):
        raise InvalidRequest("Last-Event-ID must be the id of an earlier event.", parameter="Last-Event-ID")
    return int(last_event_id)


async def _stream(first: Changes | None, later: AsyncIterator[Changes | None], encode: Encode) -> AsyncIterator[str]:
    news = first
    if first is not None:  # so that a client knows at once that it is connected, and where to go on
        yield encode("ready", {}, str(first.position))
    try:
        while True:
            if news is None:
                yield encode("heartbeat", None, None)
            else:
                for number, change in enumerate(news.changes, 1):
                    # the id says that all of a look has been told, so it comes with the last one
                    event_id = str(news.position) if number == len(news.changes) else None
                    if change.standing is None:
                        yield encode("deleted", {"task_id": str(change.task_id)}, event_id)
                    else:
                        yield encode("status", status_of(change.task_id, change.standing), event_id)
            news = await anext(later)
    except (StopAsyncIteration, Unauthorized):
        pass  # a stream that just stops is resumed by its client, who is told then that the key or session has ended
