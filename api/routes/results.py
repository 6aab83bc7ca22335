"""GET /result: the transcript, in the format that is asked for."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import APIRouter, Query, Response

from api.bodies.results import Result
from api.delivery import DEFAULTS, Granularity, TranscriptView, deliver
from api.dependencies import DetachedCallerDep, StorageDep
from api.errors import responses
from api.transcripts.formats import FORMATS
from shared.errors import (
    Cancelled,
    DatabaseUnavailable,
    Forbidden,
    InvalidRequest,
    NotFound,
    NotReady,
    StorageUnavailable,
    Unauthorized,
)
from shared.options import Format

router = APIRouter(tags=["tasks"])


@router.get(
    "/result/{task_id}",
    response_model=None,
    summary="The transcript",
    responses={
        200: {
            "model": Result,
            "content": {form.media_type.partition(";")[0]: {} for name, form in FORMATS.items() if name != "json"},
            "description": "The transcript in the format that was asked for",
        },
        **responses(
            Unauthorized,
            Forbidden,
            NotFound,
            NotReady,
            Cancelled,
            InvalidRequest,
            DatabaseUnavailable,
            StorageUnavailable,
        ),
    },
)
def result(
    task_id: uuid.UUID,
    caller: DetachedCallerDep,
    storage: StorageDep,
    format: Annotated[Format | None, Query(description="Default: the task's own")] = None,
    response_format: Annotated[Format | None, Query(description="The same as format")] = None,
    timestamp_granularity: Annotated[
        Granularity | None, Query(description="word puts each word's times into json")
    ] = None,
    max_line_length: Annotated[int, Query(description="Columns of a line in srt and vtt")] = DEFAULTS.max_line_length,
    max_lines: Annotated[int, Query(description="Lines of a cue in srt and vtt")] = DEFAULTS.max_lines,
    version: Annotated[
        int | None,
        Query(ge=0, le=2**31 - 1, description="Version of the corrections; default: the newest. 0 is the original"),
    ] = None,
) -> Response:
    """A finished task in any format; nothing is computed again.

    While the task is not finished this is 409 `not_ready`, with its status in `detail`. For a task that failed it is
    the error that ended it, with that error's own status.

        curl -OJ -H "Authorization: Bearer $API_KEY" "$URL/result/$TASK_ID?format=srt"
    """
    if format and response_format and format != response_format:
        raise InvalidRequest("format is given twice, under two names.", parameter="format")
    view = TranscriptView(format or response_format, timestamp_granularity, max_line_length, max_lines, version)
    return deliver(caller.id, task_id, storage, view)
