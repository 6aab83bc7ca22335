"""Jobs: post a recording, poll until `completed`, find the transcript in the answer."""

from __future__ import annotations

import uuid
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Response

from api import deletion
from api.bodies.schemas import file_form
from api.bodies.submission import Parameters
from api.contracts.contract_request import SUBMITTING, ContractRequestDep, fetched
from api.contracts.whisper_service import NAMES, USUAL
from api.dependencies import DetachedCallerDep, JobPollDep, StorageDep
from api.errors import responses
from api.intake import parameters
from api.intake.ingest import Upload
from api.intake.parameters import JobSpec
from api.transcripts.formats import as_dict
from shared.errors import StorageUnavailable
from shared.kernel.job_views import View
from shared.options import JobOptions
from shared.states import JobState

router = APIRouter(prefix="/jobs", tags=["jobs"])

DEFAULTS = {"diarization": "true"}
"""A job of this API says who spoke when unless the form says otherwise."""

DOING = {"download": "downloading", "convert": "converting", "transcribe": "transcribing", "diarize": "diarizing"}
ENDED = {JobState.DONE: "completed", JobState.ERROR: "failed", JobState.CANCELLED: "cancelled"}


@router.post(
    "",
    status_code=202,
    response_model=None,
    summary="Transcribe a recording as a job",
    openapi_extra=file_form(Parameters),
    responses=responses(*SUBMITTING),
)
async def submit(contract: ContractRequestDep) -> dict[str, str]:
    """Speakers are told apart unless `diarization=false`.

    curl -H "Authorization: Bearer $API_KEY" -F file=@long_audio.wav $URL/jobs
    """

    def read(upload: Upload) -> tuple[JobSpec, None]:
        return parameters.parse(DEFAULTS | dict(upload.fields), contract.config), None

    job, _ = await contract.submit(read, field_names=NAMES)
    return {"job_id": str(job.id)}


@router.get(
    "/{job_id}",
    response_model=None,
    summary="Where a job stands, and its transcript",
    responses=responses(*USUAL, StorageUnavailable),
)
async def status(poll: JobPollDep, storage: StorageDep) -> dict[str, Any]:
    """`status` is what is being done; with `completed`, `result` is the transcript.

    curl -H "Authorization: Bearer $API_KEY" $URL/jobs/$JOB_ID
    """
    view, job = poll.view, poll.view.job
    words = JobOptions.from_row(job.options).timestamp_granularity == "word"

    def result() -> dict[str, Any]:  # in a thread: others wait for the event loop
        return as_dict(fetched(job, storage).transcript, words=words)

    return {
        "id": str(job.id),
        "status": _status(view),
        "progress": float(view.progress),
        "stage_detail": view.stage_detail,
        "result": await to_thread.run_sync(result) if job.state == JobState.DONE else None,
        "error": job.error_message,
        "created_at": job.created_at,
        "updated_at": job.updated_at,
    }


@router.delete(
    "/{job_id}",
    response_model=None,
    summary="Delete a job",
    responses={202: {"description": "Deleted; storage will be emptied when it answers again"}, **responses(*USUAL)},
)
def delete(job_id: uuid.UUID, response: Response, caller: DetachedCallerDep, storage: StorageDep) -> dict[str, Any]:
    """Removes the recording and everything made of it, as DELETE /tasks/{task_id} does.

    curl -X DELETE -H "Authorization: Bearer $API_KEY" $URL/jobs/$JOB_ID
    """
    receipt = deletion.delete_task(caller.id, job_id, storage)
    response.status_code = 200 if receipt.verified else 202
    return {"id": str(job_id), "deleted": receipt.erased}


def _status(view: View) -> str:
    state = JobState(view.job.state)
    if state == JobState.QUEUED:
        return "queued"
    return ENDED.get(state) or DOING.get(view.stage or "", "processing")
