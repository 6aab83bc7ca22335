"""The API of jobs on a real gateway."""

from __future__ import annotations

import os
import uuid
from typing import Any

from shared.db import session
from shared.errors import NoAudio
from shared.kernel import leases
from tests.service.gateway import Caller, Gateway, finish, gateway_with, hand_in, work_on

gateway = gateway_with()


def submit(caller: Caller, **fields: str) -> str:
    answer = caller.http.post("/jobs", files={"file": ("long_audio.wav", os.urandom(64))}, data=fields)
    assert answer.status_code == 202, answer.text
    assert set(answer.json()) == {"job_id"}
    return str(answer.json()["job_id"])


def look(caller: Caller, job_id: str) -> dict[str, Any]:
    return dict(caller.http.get(f"/jobs/{job_id}").json())


def test_a_job_goes_from_queued_to_completed(gateway: Gateway, caller: Caller) -> None:
    """Each step has its word and its detail; the whole transcript, with speakers, is in `result` at the end."""
    job_id = submit(caller)
    first = look(caller, job_id)
    assert (first["id"], first["status"], first["result"], first["error"]) == (job_id, "queued", None, None)
    hand_in(work_on(uuid.UUID(job_id), "convert"), gateway.storage)
    claim = work_on(uuid.UUID(job_id), "transcribe")
    with session() as work:
        leases.heartbeat(work, claim, progress=0.5, lease_s=30)
    second = look(caller, job_id)
    assert (second["status"], second["stage_detail"]) == ("transcribing", "transcribe 50 %, diarize queued")
    assert 0 < first["progress"] < second["progress"] < 100
    hand_in(claim, gateway.storage)
    assert look(caller, job_id)["status"] == "diarizing"
    for stage in ("diarize", "merge", "store"):
        hand_in(work_on(uuid.UUID(job_id), stage), gateway.storage)
    last = look(caller, job_id)
    assert (last["status"], last["progress"], last["stage_detail"]) == ("completed", 100.0, None)
    assert [segment["speaker"] for segment in last["result"]["segments"]] == ["spk_1", "spk_2"]
    assert last["updated_at"] > last["created_at"]


def test_speakers_can_be_left_out(gateway: Gateway, caller: Caller) -> None:
    """diarization=false spares the work."""
    job_id = submit(caller, diarization="false")
    finish(uuid.UUID(job_id), gateway.storage)
    assert look(caller, job_id)["status"] == "completed"


def test_a_failed_job_says_why(caller: Caller) -> None:
    """`failed` with a message."""
    job_id = submit(caller)
    with session() as work:
        leases.fail(work, work_on(uuid.UUID(job_id), "convert"), NoAudio("Nothing can be heard."), max_attempts=1)
    job = look(caller, job_id)
    assert (job["status"], job["error"], job["result"]) == ("failed", "Nothing can be heard.", None)


def test_deleting_leaves_nothing(gateway: Gateway, caller: Caller) -> None:
    """The owner can delete a job, nobody else can see or delete it."""
    job_id = submit(caller)
    stranger = gateway.caller()
    assert stranger.http.get(f"/jobs/{job_id}").status_code == 404
    assert stranger.http.delete(f"/jobs/{job_id}").status_code == 404
    assert caller.http.delete(f"/jobs/{job_id}").json() == {"id": job_id, "deleted": True}
    assert caller.http.get(f"/jobs/{job_id}").status_code == 404
    assert gateway.objects(caller) == set()
