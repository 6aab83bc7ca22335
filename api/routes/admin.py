"""For operators: API keys, the queue, repair. Everything here needs the scope admin."""

from __future__ import annotations

import uuid
from collections import Counter
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends
from sqlalchemy import func, select

from api.bodies import views
from api.bodies.admin import (
    ChangedLimits,
    CreatedKey,
    Failure,
    KeyInfo,
    KeyLimits,
    Keys,
    NewKey,
    QueueSummary,
    Repaired,
    StageCount,
)
from api.bodies.schemas import described
from api.dependencies import AdminDep, DetachedAdminDep, SessionDep, SettingsDep, StorageDep
from api.errors import responses
from api.history.filters import Cursor, Limit
from api.intake import transfer
from api.intake.body_limits import json_body
from shared import db, repair
from shared.callers import keys
from shared.callers.limits import Limits
from shared.errors import (
    DatabaseUnavailable,
    FileTooLarge,
    Forbidden,
    InvalidRequest,
    NotFound,
    Unauthorized,
)
from shared.intake import open_uploads
from shared.ledger import counts, folding
from shared.models import Job
from shared.states import JobState
from tasks.app import ring

router = APIRouter(tags=["admin"], responses=responses(Unauthorized, Forbidden, DatabaseUnavailable))

RECENT_FAILURES = 20


@router.post(
    "/admin/keys",
    status_code=201,
    response_model=CreatedKey,
    summary="Create an API key",
    openapi_extra=described(NewKey),
    responses=responses(InvalidRequest, FileTooLarge, *transfer.REFUSALS),
)
def create_key(
    caller: DetachedAdminDep, body: Annotated[NewKey, Depends(json_body(NewKey))], session: SessionDep
) -> CreatedKey:
    """The answer shows the key this once; only its SHA-256 is stored.

        curl -H "Authorization: Bearer $ADMIN_KEY" -H "Content-Type: application/json" \\
             -d '{"name": "laptop", "scopes": ["transcribe"]}' $URL/admin/keys
    """
    limits = Limits(**{name: getattr(body, name) for name in KeyLimits.model_fields})
    row, key = keys.create(session, body.name, tuple(dict.fromkeys(body.scopes)), limits)
    return CreatedKey(**dict(views.key_info(row)), key=key)


@router.get("/admin/keys", response_model=Keys, summary="All API keys", responses=responses(InvalidRequest))
def list_keys(caller: AdminDep, session: SessionDep, limit: Limit = 20, cursor: Cursor = None) -> Keys:
    """Newest first, also the revoked ones."""
    rows, last = keys.page(session, limit=limit, before=views.row_before(cursor))
    return Keys(items=[views.key_info(row) for row in rows], next_cursor=views.cursor_of(last))


@router.patch(
    "/admin/keys/{key_id}",
    response_model=KeyInfo,
    summary="Set limits of an API key",
    openapi_extra=described(ChangedLimits),
    responses=responses(NotFound, InvalidRequest, FileTooLarge, *transfer.REFUSALS),
)
def change_key(
    key_id: uuid.UUID,
    caller: DetachedAdminDep,
    body: Annotated[ChangedLimits, Depends(json_body(ChangedLimits))],
    session: SessionDep,
) -> KeyInfo:
    """Omitted limits stay. `null` resets a limit to the server's default, 0 removes it.

        curl -X PATCH -H "Authorization: Bearer $ADMIN_KEY" -H "Content-Type: application/json" \\
             -d '{"requests_per_minute": 600, "max_running": 4}' $URL/admin/keys/$KEY_ID
    """
    return views.key_info(keys.change_limits(session, key_id, body.model_dump(exclude_unset=True)))


@router.delete("/admin/keys/{key_id}", status_code=204, summary="Revoke an API key", responses=responses(NotFound))
def revoke_key(key_id: uuid.UUID, caller: DetachedAdminDep, storage: StorageDep) -> None:
    """It is invalid at once; its open requests and uploads end within seconds. Its tasks continue and stay."""
    with db.session() as work:
        keys.revoke(work, key_id)
    open_uploads.erase_of_revoked(storage)


@router.get("/admin/queue", response_model=QueueSummary, summary="Waiting, running and failed work")
def queue(caller: AdminDep, session: SessionDep) -> QueueSummary:
    """Unfinished work of all keys, and the latest failures."""
    by_stage: Counter[tuple[str, str]] = Counter()
    for (name, _, state), count in counts.stages(session).items():
        by_stage[name, state] += count
    # ids are in the order of submission, so the smallest is the oldest and the index has it
    oldest = select(Job.created_at).where(Job.state == JobState.QUEUED).order_by(Job.id).limit(1).scalar_subquery()
    failures = (
        select(Job.id, Job.error_code, Job.error_message, Job.finished_at)
        .where(Job.state == JobState.ERROR)
        .order_by(Job.id.desc())
        .limit(RECENT_FAILURES)
    )
    return QueueSummary(
        jobs={str(state): count for state, count in counts.jobs(session).items()},
        stages=[StageCount(stage=name, state=state, count=n) for (name, state), n in sorted(by_stage.items())],
        oldest_queued_seconds=session.scalar(select(func.extract("epoch", func.now() - oldest))),
        recent_failures=[
            Failure(task_id=job_id, code=code, message=message, finished_at=finished_at)
            for job_id, code, message, finished_at in session.execute(failures)
        ],
    )


@router.post("/jobs/repair", response_model=Repaired, summary="Repair now")
def repair_now(caller: DetachedAdminDep, config: SettingsDep, storage: StorageDep) -> Repaired:
    """Runs the sweep at once, which otherwise runs every few seconds, and counts the queue anew. Safe at any time.

    curl -X POST -H "Authorization: Bearer $ADMIN_KEY" $URL/jobs/repair
    """
    repairs = repair.repair(config, storage, ring)
    return Repaired(**asdict(repairs), recounted=folding.recount())
