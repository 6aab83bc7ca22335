"""GET /result: the transcript, in the format that is asked for."""

from __future__ import annotations

from anyio import to_thread
from fastapi import APIRouter, Response

from api.bodies.results import Result
from api.delivery import check_is_done, show
from api.dependencies import PollDep, StorageDep, TranscriptViewDep
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
async def result(poll: PollDep, storage: StorageDep, view: TranscriptViewDep) -> Response:
    """A finished task in any format; nothing is computed again.

    While the task is not finished this is 409 `not_ready`, with its status in `detail`. For a task that failed it is
    the error that ended it, with that error's own status.

        curl -OJ -H "Authorization: Bearer $API_KEY" "$URL/result/$TASK_ID?format=srt"
    """
    check_is_done(poll.view.job)
    return await to_thread.run_sync(show, poll.view.job, storage, view)
