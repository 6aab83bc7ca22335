"""What every contract is made of: submit a form as a job, wait for the job, fetch its transcript."""

from __future__ import annotations

import asyncio
import math
import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, TypeVar

from anyio import to_thread
from fastapi import Depends, Request
from uuid_utils.compat import uuid7

from api import limits
from api.bodies.schemas import FILE
from api.dependencies import ContractIdempotencyKeyDep, DetachedCallerDep, SettingsDep, StorageDep
from api.errors import stored
from api.intake import arrival, ingest, submission, transfer
from api.intake.ingest import Upload
from api.intake.parameters import JobSpec
from api.postgres.reader import reader
from api.transcripts import corrections
from api.waiting import until_ended
from shared import db
from shared.callers import quotas
from shared.callers.keys import Caller
from shared.config import Settings
from shared.errors import (
    AdapterDisabled,
    Cancelled,
    DatabaseUnavailable,
    DecodeFailed,
    FileTooLarge,
    Forbidden,
    IdempotencyConflict,
    InvalidRequest,
    MediaTooLong,
    ModelNotAllowed,
    ModelNotInstalled,
    ModelUnavailable,
    NoAudio,
    NotFound,
    NotReady,
    ParleyError,
    StageStalled,
    StorageFull,
    StorageUnavailable,
    TranscriptionError,
    Unauthorized,
    UnsupportedMedia,
    WorkerLost,
)
from shared.kernel import job_views
from shared.kernel.job_views import JobRow
from shared.models import Job
from shared.states import JobState
from shared.storage import Storage
from shared.transcript import Transcript, from_json

T = TypeVar("T")

SUBMITTING: tuple[type[ParleyError], ...] = (
    InvalidRequest,
    Unauthorized,
    Forbidden,
    *transfer.REFUSALS,
    FileTooLarge,
    ModelNotAllowed,
    ModelNotInstalled,
    NoAudio,
    AdapterDisabled,
    IdempotencyConflict,
    *limits.REFUSALS,
    DatabaseUnavailable,
    StorageUnavailable,
    StorageFull,
)
"""What can go wrong when a recording is sent, for OpenAPI."""

WAITING: tuple[type[ParleyError], ...] = (
    *SUBMITTING,
    NotFound,
    NotReady,
    Cancelled,
    UnsupportedMedia,
    MediaTooLong,
    DecodeFailed,
    ModelUnavailable,
    TranscriptionError,
    WorkerLost,
    StageStalled,
)
"""What can go wrong when its transcript is waited for as well."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A job that is done, and what it found."""

    job: JobRow
    transcript: Transcript


@dataclass(frozen=True, slots=True)
class ContractRequest:
    """One request of a contract, and what can be done for its caller."""

    request: Request
    caller: Caller
    config: Settings
    storage: Storage
    idempotency_key: str | None

    async def submit(
        self,
        read: Callable[[Upload], tuple[JobSpec, T]],
        *,
        field_names: Collection[str],
        repeatable: Collection[str] = (),
        file_field: str = FILE,
        preamble: bytes = b"",
        filename: str | None = None,
    ) -> tuple[Job, T]:
        """Store the form's file and make it a job. `read` says what the fields ask for, in our words and in its own.

        `filename` is the recording's where the form's is not.

        Raises what `read` raises, and the errors in SUBMITTING.
        """
        job_id = uuid7()
        self.request.state.task_id = job_id
        await self.admit()
        receive = partial(
            ingest.receive,
            self.request,
            field_names=field_names,
            repeatable=repeatable,
            file_field=file_field,
            preamble=preamble,
            max_bytes=self.config.max_upload_bytes,
            takes_files=self.config.allow_upload_adapter,
        )
        arrived = await arrival.store(self.request, self.storage, self.caller.id, job_id, receive, read)
        spec, options = arrived.result
        source = replace(arrived.source, filename=filename) if filename else arrived.source
        order = submission.Order(
            job_id, self.caller.id, source, spec, self.request.state.request_id, self.idempotency_key
        )
        return await submission.place(order, arrived.writer, self.storage), options

    async def admit(self) -> None:
        """Raises when no further task is taken of this caller now."""
        usage = quotas.usage(await reader.first_row(quotas.of_owner(self.caller.id)))
        await limits.admit_request(self.request, self.caller, usage, self.idempotency_key)

    async def until_ended(self, job_id: uuid.UUID, timeout_s: float = math.inf) -> bool:
        """Wait for the job's end, `CONTRACT_WAIT_S` at most; whether it has come. Also over when the client leaves."""
        timeout_s = min(timeout_s, self.config.contract_wait_s)
        waiting = asyncio.ensure_future(until_ended(job_id, self.caller.id, timeout_s, stays=True))
        leaving = asyncio.ensure_future(self._client_leaves())
        try:
            await asyncio.wait({waiting, leaving}, return_when=asyncio.FIRST_COMPLETED)
            return waiting.done() and waiting.result() is not None
        finally:
            waiting.cancel()
            leaving.cancel()

    async def finished(self, job_id: uuid.UUID) -> Finished:
        """The job when it is done, waited for. Raises the error that ended it, and NotReady when it takes too long."""
        if not await self.until_ended(job_id):
            raise self.overdue(job_id)
        return await to_thread.run_sync(self.fetch, job_id)

    def overdue(self, job_id: uuid.UUID) -> NotReady:
        """What is said of a job that goes on after `CONTRACT_WAIT_S`."""
        return NotReady(
            f"The recording takes longer than {self.config.contract_wait_s:g} s. The task goes on: ask for its "
            f"result at /result/{job_id}.",
            task_id=str(job_id),
        )

    def fetch(self, job_id: uuid.UUID) -> Finished:
        """The job and its transcript, as corrected. Raises NotFound, NotReady, and the error that ended the job."""
        with db.session() as work:
            job = job_views.get(work, self.caller.id, job_id).job
        if error := failure(job):
            raise error
        if job.state != JobState.DONE:
            raise NotReady("The transcript is not ready yet.", status=job.state)
        return fetched(job, self.storage)

    async def _client_leaves(self) -> None:
        while (await self.request.receive())["type"] != "http.disconnect":
            pass


def fetched(job: JobRow, storage: Storage) -> Finished:
    """A job that is done and its transcript, as corrected. Raises NotFound and StorageUnavailable."""
    with db.session() as work:
        key = job_views.transcript_key(work, job.id)
        edits = corrections.edits_of(work, job)
    return Finished(job, corrections.corrected(from_json(Transcript, storage.get(key)), edits))


def failure(job: JobRow) -> ParleyError | None:
    """Why the job ended without a transcript; None when it did not."""
    if job.state == JobState.ERROR:
        return stored(job.error_code, job.error_message, status=job.state)
    return Cancelled("The task was cancelled.", status=job.state) if job.state == JobState.CANCELLED else None


def numbered_speaker(speaker: str) -> str:
    """A speaker as WhisperX calls them, SPEAKER_01 and so on; one whom a correction has named keeps the name."""
    number = speaker.removeprefix("spk_")
    return f"SPEAKER_{number:0>2}" if speaker != number and number.isdecimal() else speaker


async def _contract_request(
    request: Request,
    caller: DetachedCallerDep,
    config: SettingsDep,
    storage: StorageDep,
    idempotency_key: ContractIdempotencyKeyDep = None,
) -> ContractRequest:
    return ContractRequest(request, caller, config, storage, idempotency_key)


ContractRequestDep = Annotated[ContractRequest, Depends(_contract_request)]
