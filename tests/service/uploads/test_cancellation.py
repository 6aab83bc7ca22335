"""A gateway that is made to stop while PostgreSQL makes a job of an upload."""

from __future__ import annotations

import asyncio
import uuid
from functools import partial

from sqlalchemy import func, select, text
from uuid_utils.compat import uuid7

from api.intake.parameters import JobSpec
from api.postgres.writes import writes
from shared.db import first_row, session
from shared.kernel import erasure
from shared.kernel.orders import Source
from shared.models import Erasure
from shared.options import JobOptions
from shared.storage import Storage
from tests.service.gateway import eventually, sha256

RECORDING = b"some bytes of a recording"
WAITS = text(
    "SELECT pid FROM pg_stat_activity, pg_blocking_pids(pid) AS blockers"
    " WHERE datname = current_database() AND blockers && ARRAY[CAST(:lock AS integer)]"
)
RUNS = text("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = :pid AND state <> 'idle')")
FATE = text("SELECT EXISTS (SELECT FROM jobs WHERE id = :job_id), EXISTS (SELECT FROM erasures WHERE job_id = :job_id)")


def test_no_job_is_left_without_its_recording(bucket: Storage, owner: uuid.UUID) -> None:
    """At the end of its patience a server cancels whatever goes on. The statement may be carried out all the same, so
    the recording stays, for the job or for the sweep."""
    from api.intake import submission  # which reads the settings when it is imported

    job_id = uuid7()
    key = f"{owner}/{job_id}/upload"
    writer = bucket.writer(key)
    writer.write(RECORDING)
    writer.close()
    spec = JobSpec(JobOptions(), "normal")
    order = submission.Order(job_id, owner, Source(key, sha256(RECORDING), len(RECORDING), "call.wav"), spec, "request")

    async def cancelled() -> int:
        """The backend whose statement nobody waits for any more."""
        await writes.open()
        with session() as lock:
            own = lock.execute(select(func.pg_backend_pid())).scalar_one()
            lock.scalar(select(Erasure.job_id).where(Erasure.job_id == job_id).with_for_update())
            placing = asyncio.create_task(submission.place(order, writer, bucket))
            backend = await asyncio.to_thread(eventually, partial(waiting, own), "the statement waits for the lock")
            placing.cancel()
            await asyncio.sleep(0)
        await asyncio.wait([placing])
        return int(backend)

    def waiting(lock: int) -> int | None:
        with session() as work:
            pid: int | None = work.scalar(WAITS, {"lock": lock})
        return pid

    def is_over(backend: int) -> bool:
        with session() as work:
            return not work.scalar(RUNS, {"pid": backend})

    def fate() -> tuple[bool, bool]:
        """Whether there is a job and whether there is an announcement, in one look: between two, the statement may
        be carried out."""
        with session() as work:
            is_job, is_announced = work.execute(FATE, {"job_id": job_id}).one()
        return is_job, is_announced

    with session() as work:
        first_row(work, erasure.announcement(owner, job_id))
    backend = asyncio.run(cancelled())
    assert fate() in {(True, False), (False, True)}
    eventually(partial(is_over, backend), "the statement's end")
    assert fate() in {(True, False), (False, True)}
    assert bucket.get(key) == RECORDING
