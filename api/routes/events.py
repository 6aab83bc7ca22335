"""GET /tasks/{task_id}/events: a task as it goes on, as server-sent events or as lines of JSON."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Header, Response
from fastapi.responses import StreamingResponse

from api.dependencies import DetachedCallerDep
from api.errors import responses
from api.waiting import GatewayEnds, News, follow
from shared.errors import DatabaseUnavailable, Forbidden, InvalidRequest, NotFound, Unauthorized
from shared.kernel.events import Standing

router = APIRouter(tags=["tasks"])

HEARTBEAT_S = 10.0
"""Proxies commonly end a connection that is silent for 30 to 60 s."""

SSE, NDJSON = "text/event-stream", "application/x-ndjson"

END = "end"
"""Id of the last event. Nothing comes behind it."""

Encode = Callable[[str, Any, str | None], str]
"""`encode(event, data, id)`: one event on the wire."""

EXAMPLE = """\
event: status
data: {"task_id": "019aa5c8-7d3e-7a41-9f0b-5d6c2b8e1f4a", "status": "processing", "progress": 42, \
"eta_seconds": 31, "queue_position": null, "stage_detail": "transcribe 61 %", "error": null}

id: 1207
event: segment
data: {"start": 0.0, "end": 1.0, "text": "Hello there."}

: heartbeat

id: end
event: status
data: {"task_id": "019aa5c8-7d3e-7a41-9f0b-5d6c2b8e1f4a", "status": "done", "progress": 100, \
"eta_seconds": 0, "queue_position": null, "stage_detail": null, "error": null}

"""


@router.get(
    "/tasks/{task_id}/events",
    response_model=None,
    summary="Follow a task",
    responses={
        200: {
            "description": "Events until the task has ended",
            "content": {
                SSE: {"example": EXAMPLE},
                NDJSON: {"schema": {"type": "string"}},
            },
        },
        204: {"description": "`Last-Event-ID` was the last event, so nothing follows"},
        **responses(Unauthorized, Forbidden, NotFound, InvalidRequest, DatabaseUnavailable),
    },
)
async def events(
    task_id: uuid.UUID,
    caller: DetachedCallerDep,
    accept: Annotated[str, Header(include_in_schema=False)] = SSE,
    last_event_id: Annotated[str, Header(description="Resume after this event")] = "0",
) -> Response:
    """`status` whenever status or progress change, and each `segment` as soon as it is recognised, without a speaker.

    Of a live session there is first a `live` for each of its finals, then a `segment` for each of its transcript.

    The stream ends behind a status of `done`, `error` or `cancelled`, or with `deleted`. A stream that broke off is
    resumed with the header `Last-Event-ID`, as browsers do by themselves; no segment comes twice. Segments of what was
    known already, or of a task that ended an hour ago, are in the result only.

        curl -N -H "Authorization: Bearer $API_KEY" $URL/tasks/$TASK_ID/events
    """
    news = follow(task_id, caller.id, after=_position(last_event_id), heartbeat_s=HEARTBEAT_S)
    first = await anext(news)
    if last_event_id == END and first and first.standing.has_ended:
        return Response(status_code=204)
    is_ndjson = NDJSON in accept
    return StreamingResponse(
        _stream(task_id, first, news, as_line if is_ndjson else as_sse),
        media_type=NDJSON if is_ndjson else SSE,
        headers={"X-Accel-Buffering": "no"},  # nginx would hold the events back
    )


def _position(last_event_id: str) -> int:
    if last_event_id == END:
        return 0
    if not last_event_id.isascii() or not last_event_id.isdigit() or len(last_event_id) > 18:
        raise InvalidRequest("Last-Event-ID must be the id of an earlier event.", parameter="Last-Event-ID")
    return int(last_event_id)


async def _stream(
    task_id: uuid.UUID, first: News | None, later: AsyncIterator[News | None], encode: Encode
) -> AsyncIterator[str]:
    standing: Standing | None = None
    news = first
    try:
        while standing is None or not standing.has_ended:
            if news is None:
                yield encode("heartbeat", None, None)
            else:
                for segment in news.segments:
                    yield encode(segment.kind, segment.segment, str(segment.id))
                if news.standing != standing:
                    standing = news.standing
                    yield encode("status", status_of(task_id, standing), END if standing.has_ended else None)
            news = await anext(later, None)
    except (GatewayEnds, Unauthorized):
        pass  # a stream that just stops is resumed by its client, who is told then that the key was revoked
    except NotFound:
        yield encode("deleted", {"task_id": str(task_id)}, END)


def status_of(task_id: uuid.UUID, standing: Standing) -> dict[str, Any]:
    error = {"code": standing.error_code, "message": standing.error_message} if standing.error_code else None
    return {
        "task_id": str(task_id),
        "status": standing.state,
        "progress": standing.progress,
        "eta_seconds": standing.eta_seconds,
        "queue_position": standing.queue_position,
        "stage_detail": standing.stage_detail,
        "error": error,
    }


def as_sse(event: str, data: Any, event_id: str | None) -> str:
    if data is None:
        return f": {event}\n\n"
    head = f"id: {event_id}\n" if event_id else ""
    return f"{head}event: {event}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"


def as_line(event: str, data: Any, event_id: str | None) -> str:
    head = {"event": event, "id": event_id} if event_id else {"event": event}
    return json.dumps({**head, **(data or {})}, ensure_ascii=False) + "\n"
