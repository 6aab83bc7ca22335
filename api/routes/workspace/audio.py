"""GET /tasks/{task_id}/audio and /peaks: listening to a recording."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Header, Query, Request, Response

from api.bodies.workspace import Peaks
from api.dependencies import PollDep, StorageDep
from api.errors import responses
from api.routes.workspace import playback
from shared.errors import (
    DatabaseUnavailable,
    Forbidden,
    InvalidRequest,
    NotFound,
    NotReady,
    RangeNotSatisfiable,
    StorageUnavailable,
    Unauthorized,
)

router = APIRouter(tags=["tasks"])

USUAL = (Unauthorized, Forbidden, NotFound, NotReady, InvalidRequest, DatabaseUnavailable, StorageUnavailable)


@router.get(
    "/tasks/{task_id}/audio",
    response_model=None,
    summary="Listen to a recording",
    responses={**playback.RESPONSES, **responses(*USUAL, RangeNotSatisfiable)},
)
async def audio(
    request: Request,
    poll: PollDep,
    storage: StorageDep,
    original: Annotated[bool, Query(description="The recording as it was sent, whatever that is")] = False,
    _range: Annotated[str | None, Header(alias="Range", description="One range: `bytes=0-1023`")] = None,
) -> Response:
    """Mono Opus in WebM, of 16 kHz, as soon as the recording was converted. Browsers play it and seek in it.

    It is kept as long as the task. It is missing where an earlier release converted the recording; `original=true`
    then still sends what came.

        curl -H "Authorization: Bearer $API_KEY" -H "Range: bytes=0-65535" $URL/tasks/$TASK_ID/audio
    """
    sound = await to_thread.run_sync(partial(playback.find, poll.view.job, is_original=original))
    return await playback.send(request, sound, storage, playback.key_check(poll.caller.id))


@router.get(
    "/tasks/{task_id}/peaks",
    response_model=Peaks,
    summary="Waveform of a recording",
    responses=responses(*USUAL),
)
async def peaks(
    poll: PollDep,
    storage: StorageDep,
    points: Annotated[
        int, Query(ge=10, le=playback.MAX_POINTS, description="Maximum number of values per channel")
    ] = 1000,
) -> dict[str, object]:
    """How loud it is, from beginning to end; one list for each channel that was kept apart.

    curl -H "Authorization: Bearer $API_KEY" "$URL/tasks/$TASK_ID/peaks?points=500"
    """
    return await to_thread.run_sync(playback.peaks, poll.view.job, storage, points)
