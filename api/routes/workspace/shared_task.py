"""/shared/{token}: a task for whoever has a link to it. No key; its requests count as those of the link's key."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Depends, Header, Query, Request, Response
from sqlalchemy.orm import Session

from api import limits
from api.bodies.workspace import Peaks, SharedTask
from api.delivery import check_is_done, show
from api.dependencies import NewestViewDep, StorageDep
from api.errors import responses
from api.routes.workspace import playback
from shared import db
from shared.callers import shares
from shared.callers.shares import OpenShare
from shared.errors import (
    Cancelled,
    DatabaseUnavailable,
    InvalidRequest,
    NotFound,
    NotReady,
    RangeNotSatisfiable,
    RateLimited,
    StorageUnavailable,
)
from shared.kernel import job_views
from shared.kernel.job_views import JobRow
from shared.states import JobState

router = APIRouter(
    prefix="/shared/{token}",
    tags=["shares"],
    responses=responses(NotFound, InvalidRequest, RateLimited, DatabaseUnavailable),
)

NO_REFERRER = {"Referrer-Policy": "no-referrer"}
"""The path is the secret."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A link that is valid, and its task."""

    token: str
    share: OpenShare
    job: JobRow

    def check_link(self, work: Session) -> None:
        """Raises NotFound when the link is not valid any more."""
        shares.opened(work, self.token)

    def check_audio(self) -> None:
        """Raises NotFound for a link without."""
        if not self.share.has_audio:
            raise NotFound("This link does not include the recording.")


def _visit(token: str, request: Request) -> Visit:
    with db.session(is_reading=True) as work:
        share = shares.opened(work, token)
        request.state.caller_id = share.owner.id
        limits.spend_request(request, share.owner)
        return Visit(token, share, job_views.get(work, share.owner.id, share.job_id).job)


VisitDep = Annotated[Visit, Depends(_visit)]


@router.get("", response_model=SharedTask, summary="A task that is shared")
def about(visit: VisitDep, response: Response) -> SharedTask:
    """What it is, and what can be asked for with this link.

    curl $URL/shared/$TOKEN
    """
    response.headers.update(NO_REFERRER)
    return SharedTask(
        status=JobState(visit.job.state),
        filename=visit.job.filename,
        duration=visit.job.duration,
        language=visit.job.language,
        created_at=visit.job.created_at,
        audio=visit.share.has_audio,
        expires_at=visit.share.expires_at,
    )


@router.get(
    "/result",
    response_model=None,
    summary="Its transcript",
    responses={200: {"description": "In any format"}, **responses(NotReady, Cancelled, StorageUnavailable)},
)
def result(visit: VisitDep, storage: StorageDep, view: NewestViewDep) -> Response:
    """As GET /result gives it, in any format, with the corrections made so far; earlier versions are the owner's.

    curl "$URL/shared/$TOKEN/result?format=text"
    """
    check_is_done(visit.job)
    answer = show(visit.job, storage, view)
    answer.headers.update(NO_REFERRER)
    return answer


@router.get(
    "/audio",
    response_model=None,
    summary="Its recording, to listen to",
    responses={**playback.RESPONSES, **responses(NotReady, RangeNotSatisfiable, StorageUnavailable)},
)
async def audio(
    request: Request,
    visit: VisitDep,
    storage: StorageDep,
    _range: Annotated[str | None, Header(alias="Range", description="One range: `bytes=0-1023`")] = None,
) -> Response:
    """As GET /tasks/{task_id}/audio, but never the original; 404 for a link without audio."""
    visit.check_audio()
    sound = await to_thread.run_sync(partial(playback.find, visit.job, is_original=False))
    answer = await playback.send(request, sound, storage, visit.check_link)
    answer.headers.update(NO_REFERRER)
    return answer


@router.get("/peaks", response_model=Peaks, summary="Its waveform", responses=responses(NotReady, StorageUnavailable))
def peaks(
    visit: VisitDep,
    storage: StorageDep,
    points: Annotated[int, Query(ge=10, le=playback.MAX_POINTS, description="Maximum values per channel")] = 1000,
) -> dict[str, object]:
    """As GET /tasks/{task_id}/peaks; 404 for a link without audio."""
    visit.check_audio()
    return playback.peaks(visit.job, storage, points)
