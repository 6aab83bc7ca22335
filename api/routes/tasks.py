"""A task: where it stands, stopping it, doing it again, and deleting it for good."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from uuid_utils.compat import uuid7

from api import auth, deletion, limits, retries
from api.bodies import views
from api.bodies.tasks import Accepted, Receipt, TaskDetail, TaskStatus
from api.dependencies import (
    CallerDep,
    DetachedCallerDep,
    IdempotencyKeyDep,
    PollDep,
    SessionDep,
    StorageDep,
    SubmitterDep,
)
from api.errors import responses
from api.waiting import until_ended
from shared.config import settings
from shared.errors import (
    DatabaseUnavailable,
    Forbidden,
    IdempotencyConflict,
    InvalidRequest,
    NotFound,
    Unauthorized,
    WrongState,
)
from shared.kernel import job_views, jobs
from shared.states import JobState
from shared.telemetry.logs import get_logger

log = get_logger(__name__)
router = APIRouter(tags=["tasks"])

USUAL = (Unauthorized, Forbidden, NotFound, DatabaseUnavailable)


@router.get(
    "/status/{task_id}",
    response_model=TaskStatus,
    summary="Status of a task",
    responses=responses(*USUAL, InvalidRequest),
)
async def status(
    poll: PollDep,
    wait: Annotated[
        float, Query(ge=0, allow_inf_nan=False, description="Seconds to wait for the task's end; MAX_WAIT_S at most")
    ] = 0,
) -> Response:
    """Progress in percent, the current stage, and the time left once it can be estimated. Polling is cheap.

    With `wait` the answer comes as soon as the task has ended, or after so many seconds.

        curl -H "Authorization: Bearer $API_KEY" "$URL/status/$TASK_ID?wait=60"
    """
    if wait and not poll.view.has_ended:
        await until_ended(poll.view.job.id, poll.caller.id, min(wait, settings().max_wait_s))
        poll = await poll.again()
    return _json(views.task_status(poll.view))


@router.get("/tasks/{task_id}", response_model=TaskDetail, summary="Details of a task", responses=responses(*USUAL))
async def detail(poll: PollDep) -> Response:
    """Its status, options, file and stages: everything but the text."""
    return _json(views.task_detail(poll.view))


async def _status_at_once(request: Request, task_id: uuid.UUID) -> Response:
    return await status(await auth.poll(request, task_id))


async def _detail_at_once(request: Request, task_id: uuid.UUID) -> Response:
    return await detail(await auth.poll(request, task_id))


SHORTCUTS = {"/status": ("/status/{task_id}", _status_at_once), "/tasks": ("/tasks/{task_id}", _detail_at_once)}
"""The same two calls, without a query, for api/middleware.py."""


def _json(body: TaskStatus) -> Response:
    """As FastAPI writes it, which would check the body once more."""
    return Response(body.model_dump_json(), media_type="application/json")


@router.post(
    "/tasks/{task_id}/cancel",
    response_model=TaskStatus,
    summary="Stop a task",
    responses=responses(*USUAL, WrongState),
)
def cancel(task_id: uuid.UUID, caller: CallerDep, session: SessionDep) -> TaskStatus:
    """It is `cancelled` at once, or `cancelling` for the few seconds until its worker has stopped.

    curl -X POST -H "Authorization: Bearer $API_KEY" $URL/tasks/$TASK_ID/cancel
    """
    jobs.cancel(session, caller.id, task_id)
    return views.task_status(job_views.get(session, caller.id, task_id))


@router.post(
    "/tasks/{task_id}/retry",
    status_code=202,
    response_model=Accepted,
    summary="Retry a failed or cancelled task",
    responses=responses(*USUAL, InvalidRequest, WrongState, IdempotencyConflict, *limits.REFUSALS),
)
def retry(
    task_id: uuid.UUID,
    request: Request,
    response: Response,
    caller: SubmitterDep,
    idempotency_key: IdempotencyKeyDep = None,
) -> Accepted:
    """Creates a new task with the same recording and options; finished stages are not repeated.

    curl -X POST -H "Authorization: Bearer $API_KEY" $URL/tasks/$TASK_ID/retry
    """
    new_id = uuid7()
    job = retries.retry(caller.id, task_id, new_id, request.state.request_id, idempotency_key)
    if job.id != new_id:
        response.headers["Idempotent-Replayed"] = "true"
    # as it was at first, so that a repeated request gets the same answer
    return views.accepted(job.id, JobState.DONE if job.cached else JobState.QUEUED)


@router.delete(
    "/tasks/{task_id}",
    response_model=Receipt,
    summary="Delete a task and everything that belongs to it",
    responses={
        202: {"model": Receipt, "description": "Erased; storage will be emptied when it answers again"},
        **responses(*USUAL),
    },
)
def delete(task_id: uuid.UUID, response: Response, caller: DetachedCallerDep, storage: StorageDep) -> Receipt:
    """Removes the recording, the transcript and everything in between; the receipt says whether that was verified.

    A worker that is processing the task stops. Data that another task of the same key uses stays until that task goes.

        curl -X DELETE -H "Authorization: Bearer $API_KEY" $URL/tasks/$TASK_ID
    """
    receipt = deletion.delete_task(caller.id, task_id, storage)
    response.status_code = 200 if receipt.verified else 202
    return receipt
