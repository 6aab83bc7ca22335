"""Many recordings at once: submitted together, seen as a whole, stopped and deleted together."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from uuid_utils.compat import uuid7

from api import limits
from api.bodies import views
from api.bodies.batches import AcceptedBatch, Batches, BatchReceipt, BatchStatus, BatchTask, BatchTasks
from api.bodies.schemas import described
from api.bodies.submission import NewBatch
from api.deletion import purged
from api.dependencies import CallerDep, DetachedCallerDep, IdempotencyKeyDep, SessionDep, SettingsDep, StorageDep
from api.errors import responses
from api.history.filters import Cursor, Limit
from api.intake import batch_orders, batch_submission, fields, ingest, transfer
from api.intake.batch_submission import BatchOrder, Placed
from shared import db
from shared.config import link
from shared.errors import (
    AdapterDisabled,
    BlockedAddress,
    DatabaseUnavailable,
    FileTooLarge,
    Forbidden,
    IdempotencyConflict,
    InvalidRequest,
    InvalidUrl,
    ModelNotAllowed,
    ModelNotInstalled,
    NotFound,
    Unauthorized,
    WrongState,
)
from shared.kernel import batches, erasure, jobs
from shared.kernel.batches import Overview
from shared.states import JobState

router = APIRouter(tags=["batches"])

USUAL = (Unauthorized, Forbidden, NotFound, DatabaseUnavailable)

PURGE_S = 10.0
"""How long DELETE empties storage itself. A task takes some 10 ms; what is left then the sweep removes."""


@router.post(
    "/transcribe/batch",
    status_code=202,
    response_model=AcceptedBatch,
    summary="Transcribe many recordings",
    openapi_extra=described(NewBatch),
    responses=responses(
        InvalidRequest,
        Unauthorized,
        Forbidden,
        NotFound,
        WrongState,
        *transfer.REFUSALS,
        FileTooLarge,
        ModelNotAllowed,
        ModelNotInstalled,
        InvalidUrl,
        BlockedAddress,
        AdapterDisabled,
        IdempotencyConflict,
        *limits.REFUSALS,
        DatabaseUnavailable,
    ),
)
async def submit(
    request: Request,
    caller: DetachedCallerDep,
    config: SettingsDep,
    idempotency_key: IdempotencyKeyDep = None,
) -> Response:
    """All of them become tasks, or none: each is checked first, and an error names the item in `detail.parameter`.

        curl -H "Authorization: Bearer $API_KEY" --json '{"diarization": true, "items": [
          {"url": "https://media.example/1.mp3", "reference": "first"},
          {"url": "https://media.example/2.mp3", "language": "de"}]}' $URL/transcribe/batch

    Options and notes beside `items` apply to every item without its own. `webhook_url` is called once, when the last
    task has ended.
    """
    body = await fields.read_json(request)
    spec = await ingest.in_thread(batch_orders.parse, body, config)
    order = BatchOrder(uuid7(), caller, spec, request.state.request_id, idempotency_key)
    placed = await ingest.in_thread(batch_submission.place, order, config)
    headers = {"Location": link(f"/batches/{placed.batch.id}")}
    if placed.batch.id != order.batch_id:
        headers["Idempotent-Replayed"] = "true"
    return JSONResponse(_accepted(placed).model_dump(mode="json"), 202, headers)


@router.get(
    "/batches",
    response_model=Batches,
    summary="All batches of this key",
    responses=responses(Unauthorized, Forbidden, InvalidRequest, DatabaseUnavailable),
)
def listing(
    response: Response, caller: CallerDep, session: SessionDep, limit: Limit = 20, cursor: Cursor = None
) -> Batches:
    """Newest first, a page at a time, as GET /history.

    curl -H "Authorization: Bearer $API_KEY" $URL/batches
    """
    rows, last = batches.page(session, caller.id, limit=limit, before=views.row_before(cursor))
    next_cursor = _next_page(response, "/batches", limit, last)
    return Batches(items=[_status(one) for one in batches.overviews(session, rows)], next_cursor=next_cursor)


@router.get("/batches/{batch_id}", response_model=BatchStatus, summary="Status of a batch", responses=responses(*USUAL))
def status(batch_id: uuid.UUID, caller: CallerDep, session: SessionDep) -> BatchStatus:
    """Tasks per status, overall progress, and the time left once a task has ended.

    curl -H "Authorization: Bearer $API_KEY" $URL/batches/$BATCH_ID
    """
    return _status(*batches.overviews(session, [batches.get(session, caller.id, batch_id)]))


@router.get(
    "/batches/{batch_id}/tasks",
    response_model=BatchTasks,
    summary="The tasks of a batch",
    responses=responses(*USUAL, InvalidRequest),
)
def tasks(
    batch_id: uuid.UUID,
    response: Response,
    caller: CallerDep,
    session: SessionDep,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> BatchTasks:
    """In the order of the items, a page at a time.

    curl -H "Authorization: Bearer $API_KEY" "$URL/batches/$BATCH_ID/tasks?limit=100"
    """
    batches.get(session, caller.id, batch_id)
    rows, last = batches.tasks(session, batch_id, limit=limit, after=views.row_before(cursor))
    next_cursor = _next_page(response, f"/batches/{batch_id}/tasks", limit, last)
    return BatchTasks(items=[views.history_item(job) for job in rows], next_cursor=next_cursor)


@router.post(
    "/batches/{batch_id}/cancel",
    response_model=BatchStatus,
    summary="Stop all tasks of a batch",
    responses=responses(*USUAL),
)
def cancel(batch_id: uuid.UUID, caller: DetachedCallerDep) -> BatchStatus:
    """Those that have ended stay as they are; those that a worker holds end within seconds.

    curl -X POST -H "Authorization: Bearer $API_KEY" $URL/batches/$BATCH_ID/cancel
    """
    with db.session() as work:
        unfinished = batches.unfinished_ids(work, batches.get(work, caller.id, batch_id).id)
    for task_id in unfinished:  # one transaction each: many locked tasks would wait for each other's workers
        with suppress(NotFound, WrongState), db.session() as work:  # deleted, or ended meanwhile
            jobs.cancel(work, caller.id, task_id)
    with db.session() as work:
        return _status(*batches.overviews(work, [batches.get(work, caller.id, batch_id)]))


@router.delete(
    "/batches/{batch_id}",
    response_model=BatchReceipt,
    summary="Delete a batch with all of its tasks",
    responses={
        202: {"model": BatchReceipt, "description": "Erased; the sweep is still emptying storage"},
        **responses(*USUAL),
    },
)
def delete(batch_id: uuid.UUID, response: Response, caller: DetachedCallerDep, storage: StorageDep) -> BatchReceipt:
    """Every task is erased as DELETE /tasks/{task_id} does it, running ones too.

    curl -X DELETE -H "Authorization: Bearer $API_KEY" $URL/batches/$BATCH_ID
    """
    with db.session() as work:
        doomed = batches.all_ids(work, batches.get(work, caller.id, batch_id).id)
    erased: list[uuid.UUID] = []
    for task_id in doomed:
        with suppress(NotFound), db.session() as work:
            erasure.erase(work, caller.id, task_id)
            erased.append(task_id)
    with db.session() as work:
        batches.remove(work, batch_id)
    objects, verified = _purge(erased, storage)
    response.status_code = 200 if verified == len(erased) else 202
    return BatchReceipt(
        batch_id=batch_id, erased=True, tasks=len(erased), objects=objects, verified=verified == len(erased)
    )


def _purge(erased: Sequence[uuid.UUID], storage: StorageDep) -> tuple[int, int]:
    """Empty storage of these tasks while there is time: objects removed, and tasks of which nothing is left."""
    until = time.monotonic() + PURGE_S
    objects = verified = 0
    for task_id in erased:
        if time.monotonic() > until or (receipt := purged(task_id, storage)) is None:
            break
        objects += receipt.objects
        verified += receipt.verified_at is not None
    return objects, verified


def _accepted(placed: Placed) -> AcceptedBatch:
    # as it was at first, so that a repeated request gets the same answer
    entries = [
        BatchTask(
            task_id=task_id,
            status=JobState.DONE if is_cached else JobState.QUEUED,
            status_url=link(f"/status/{task_id}"),
            result_url=link(f"/result/{task_id}"),
        )
        for task_id, is_cached in placed.tasks
    ]
    batch = placed.batch
    return AcceptedBatch(batch_id=batch.id, total=batch.total, status_url=link(f"/batches/{batch.id}"), tasks=entries)


def _status(overview: Overview) -> BatchStatus:
    batch = overview.batch
    return BatchStatus.model_validate(
        {
            "batch_id": batch.id,
            "status": overview.status,
            "total": batch.total,
            "counts": {**overview.counts, "deleted": overview.deleted},
            "progress": overview.progress,
            "eta_seconds": overview.eta_seconds,
            "reference": batch.reference,
            "created_at": batch.created_at,
            "finished_at": batch.finished_at,
            "tasks_url": link(f"/batches/{batch.id}/tasks"),
        }
    )


def _next_page(response: Response, path: str, limit: int, last: uuid.UUID | None) -> str | None:
    cursor = views.cursor_of(last)
    if cursor:
        response.headers["Link"] = f'<{link(path)}?{urlencode({"limit": limit, "cursor": cursor})}>; rel="next"'
    return cursor
