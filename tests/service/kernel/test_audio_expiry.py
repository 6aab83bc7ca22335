"""Converted audio expires, and nothing is lost by it: what needs it again makes it again."""

from __future__ import annotations

import os
import threading
import uuid
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update
from uuid_utils.compat import uuid7

from shared import claims
from shared.claims import Answer
from shared.db import session
from shared.kernel import audio, erasure, jobs, leases
from shared.kernel.orders import JobOrder, Source
from shared.kernel.submission import new_jobs
from shared.models import Artifact, AudioDay, Job, Stage
from shared.options import JobOptions
from shared.states import JobState
from shared.storage import Storage, upload_key
from tests.service.gateway import SUMMARY, Caller, Gateway, finish, gateway_with, hand_in, work_on

PLAN = [
    {"start": 0.0, "end": 10.0, "heard_from": 0.0, "heard_to": 11.0},
    {"start": 10.0, "end": 20.0, "heard_from": 9.0, "heard_to": 20.0},
]


gateway = gateway_with()


def grow_old(owner_id: uuid.UUID) -> None:
    """All audio of the owner was last used two days ago."""
    with session() as work:
        statement = update(Artifact).where(Artifact.owner_id == owner_id)
        work.execute(statement.values(used_at=func.now() - timedelta(days=2)))


def sweep(gateway: Gateway) -> None:
    gateway.caller("admin").http.post("/jobs/repair").raise_for_status()


def sounds(gateway: Gateway, caller: Caller) -> set[str]:
    return {key for key in gateway.objects(caller) if "/convert/" in key}


def stages(task_id: uuid.UUID) -> dict[str, str]:
    with session() as work:
        rows = work.scalars(select(Stage).where(Stage.job_id == task_id))
        return {f"{row.name}{row.shard or ''}": row.state for row in rows}


def minutes(owner_id: uuid.UUID) -> float:
    with session() as work:
        return work.scalar(select(func.sum(AudioDay.seconds)).where(AudioDay.owner_id == owner_id)) or 0.0


def test_audio_goes_and_the_recording_stays(gateway: Gateway, caller: Caller) -> None:
    """A day after its task the audio is removed, and no longer counted; recording and transcript are as before."""
    task = caller.task(os.urandom(100))
    finish(task, gateway.storage)
    (sound,) = sounds(gateway, caller)
    size = gateway.storage.size(sound)
    before = caller.http.get("/usage").json()["quotas"]["max_stored_bytes"]["used"]
    sweep(gateway)
    assert sounds(gateway, caller) == {sound}
    grow_old(caller.id)
    sweep(gateway)
    assert sounds(gateway, caller) == set()
    assert f"{caller.id}/{task}/upload" in gateway.objects(caller)
    assert caller.http.get("/usage").json()["quotas"]["max_stored_bytes"]["used"] == before - size
    assert caller.http.get(f"/result/{task}").status_code == 200
    assert caller.http.delete(f"/tasks/{task}").json()["verified"] is True
    assert gateway.objects(caller) == set()


def test_what_needs_the_audio_makes_it_again(gateway: Gateway, caller: Caller) -> None:
    """The same request is answered at once without it. Speakers, asked for later, convert once more and recognise
    nothing again; a minute of audio is counted once per task. Then all can be erased."""
    recording = os.urandom(100)
    first = caller.task(recording)
    finish(first, gateway.storage)
    grow_old(caller.id)
    sweep(gateway)
    counted = minutes(caller.id)
    assert caller.submit(recording).json()["status"] == "done"
    assert sounds(gateway, caller) == set()
    assert minutes(caller.id) == counted

    second = caller.task(recording, diarization="true")
    assert {name: stages(second)[name] for name in ("download", "convert", "transcribe", "diarize")} == {
        "download": "done",
        "convert": "queued",
        "transcribe": "done",
        "diarize": "waiting",
    }
    for stage in ("convert", "diarize", "merge", "store"):
        hand_in(work_on(second, stage), gateway.storage)
    assert caller.status(second) == "done"
    assert minutes(caller.id) == 2 * counted
    assert len(sounds(gateway, caller)) == 1
    with session() as work:
        assert work.scalars(
            select(Artifact.stage).where(Artifact.owner_id == caller.id, Artifact.stage.in_(("convert", "expired")))
        ).all() == ["convert"]

    grow_old(caller.id)
    sweep(gateway)
    assert sounds(gateway, caller) == set()
    for item in caller.http.get("/history").json()["items"]:
        assert caller.http.delete(f"/tasks/{item['task_id']}").json()["verified"] is True
    assert gateway.objects(caller) == set()


def test_a_task_that_failed_is_retried_without_its_audio(gateway: Gateway, caller: Caller) -> None:
    """A cancelled task whose audio has expired is retried from the recording."""
    task = caller.task(os.urandom(100))
    hand_in(work_on(task, "convert"), gateway.storage)
    assert caller.http.post(f"/tasks/{task}/cancel").status_code == 200
    grow_old(caller.id)
    sweep(gateway)
    assert sounds(gateway, caller) == set()
    again = uuid.UUID(caller.http.post(f"/tasks/{task}/retry").json()["task_id"])
    assert stages(again)["convert"] == "queued"
    for stage in ("convert", "transcribe", "merge", "store"):
        hand_in(work_on(again, stage), gateway.storage)
    assert caller.status(again) == "done"


@pytest.mark.parametrize("running", [True, False])
def test_audio_of_an_unfinished_task_stays(gateway: Gateway, caller: Caller, running: bool) -> None:
    """However old it is, while a stage that reads it waits or runs."""
    task = caller.task(os.urandom(100))
    hand_in(work_on(task, "convert"), gateway.storage)
    if running:
        work_on(task, "transcribe")
    grow_old(caller.id)
    sweep(gateway)
    assert len(sounds(gateway, caller)) == 1


def submit(owner: uuid.UUID, sha256: str, **options: object) -> uuid.UUID:
    job_id = uuid7()
    with session() as work:
        source = Source(upload_key(owner, job_id), sha256, 10, "call.wav")
        new_jobs.submit(
            work,
            JobOrder(job_id=job_id, owner_id=owner, source=source, options=JobOptions.model_validate(options)),
        )
    return job_id


def convert(job_id: uuid.UUID, bucket: Storage) -> None:
    claim = work_on(job_id, "convert")
    key = f"{claim.owner_id}/{job_id}/convert/0.{claim.fence}.wav"
    if claim.known_answer is None:
        bucket.put(key, b"sound")
    with session() as work:
        leases.complete(work, claim, claim.known_answer or Answer(key, 5, {"duration": 20.0, "shards": PLAN}))


def answer(claim: claims.Claim, bucket: Storage) -> None:
    """Complete a stage with what is known, or with an object of its own."""
    key = f"{claim.owner_id}/{claim.job_id}/{claim.stage}/{claim.shard}.{claim.fence}.json"
    with session() as work:
        leases.complete(work, claim, claim.known_answer or Answer(key, bucket.put(key, b"{}"), SUMMARY))


def test_parts_that_were_recognised_stay_known(owner: uuid.UUID, bucket: Storage) -> None:
    """Of a recording in two parts one was recognised when its task was cancelled: without the audio the next task has
    this part at once, and converts for the other."""
    sha256 = uuid.uuid4().hex
    first = submit(owner, sha256)
    convert(first, bucket)
    hand_in(work_on(first, "transcribe"), bucket)
    with session() as work:
        jobs.cancel(work, owner, first)
    grow_old(owner)
    audio.expire(bucket, 3600)
    second = submit(owner, sha256)
    assert {name: state for name, state in stages(second).items() if name.startswith(("convert", "transcribe"))} == {
        "convert": "queued",
        "transcribe": "done",
        "transcribe1": "waiting",
    }
    convert(second, bucket)
    assert stages(second)["transcribe1"] == "queued"


def test_expiry_and_new_tasks_at_the_same_moment_lose_nothing(owner: uuid.UUID, bucket: Storage) -> None:
    """While audio expires as fast as it can, every stage that is claimed finds its audio in storage, every task ends,
    and after the last erasure nothing is left."""
    recordings = [uuid.uuid4().hex for _ in range(3)]
    is_over = threading.Event()
    failures: list[str] = []

    def expire() -> None:
        while not is_over.is_set():
            grow_old(owner)
            audio.expire(bucket, 3600)

    def submit_and_work(number: int) -> None:
        try:
            for turn in range(8):
                speakers = {"diarization": True, "num_speakers": 1 + (number + turn) % 4}
                job_id = submit(owner, recordings[turn % 3], **speakers)
                if stages(job_id)["convert"] == "queued":
                    convert(job_id, bucket)
                for name, shard in (("transcribe", 0), ("transcribe", 1), ("diarize", 0), ("merge", 0), ("store", 0)):
                    with session() as work:
                        claim = leases.claim(work, job_id, name, shard, worker="w", device="cpu", lease_s=60)
                    if claim is None:
                        continue  # known
                    for claim_input in claim.inputs:
                        if claim_input.stage == "convert":
                            assert claim_input.key is not None
                            assert bucket.get(claim_input.key) == b"sound"
                    answer(claim, bucket)
                with session() as work:
                    assert work.get_one(Job, job_id).state == JobState.DONE
        except BaseException as error:  # noqa: BLE001 - told by the test's own thread
            failures.append(f"{type(error).__name__}: {error}")

    expiring = threading.Thread(target=expire)
    working = [threading.Thread(target=submit_and_work, args=(number,)) for number in range(4)]
    for thread in (expiring, *working):
        thread.start()
    for thread in working:
        thread.join(300)
    is_over.set()
    expiring.join(60)
    assert failures == []
    with session() as work:
        tasks = work.scalars(select(Job.id).where(Job.owner_id == owner)).all()
    assert len(tasks) == 32
    for job_id in tasks:
        with session() as work:
            row = erasure.erase(work, owner, job_id)
            erasure.purge(work, bucket, row)
    with session() as work:
        for row in erasure.unfinished(work):
            erasure.purge(work, bucket, row)
        assert not work.scalar(select(func.count()).where(Artifact.owner_id == owner))
    assert {key for key in bucket.list(f"{owner}/") if "/convert/" in key} == set()


def test_audio_that_an_older_release_made_again_expires_too(owner: uuid.UUID, bucket: Storage) -> None:
    """It has a row of its own beside the expired one."""
    sha256 = uuid.uuid4().hex
    first = submit(owner, sha256)
    convert(first, bucket)
    with session() as work:
        jobs.cancel(work, owner, first)
    grow_old(owner)
    audio.expire(bucket, 3600)
    with session() as work:
        old = work.scalars(select(Artifact).where(Artifact.owner_id == owner, Artifact.stage == "expired")).one()
        twin = Artifact(
            owner_id=owner,
            stage="convert",
            hash=old.hash,
            key=f"{owner}/twin/convert/0.1.wav",
            bytes=bucket.put(f"{owner}/twin/convert/0.1.wav", b"sound"),
            meta=old.meta,
        )
        work.add(twin)
    grow_old(owner)
    audio.expire(bucket, 3600)
    with session() as work:
        kinds = work.scalars(select(Artifact.stage).where(Artifact.owner_id == owner, Artifact.stage != "download"))
        assert kinds.all() == ["expired", "expired"]
    assert {key for key in bucket.list(f"{owner}/") if "/convert/" in key} == set()
