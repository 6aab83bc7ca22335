"""POST /transcribe on a real gateway with real servers: each upload becomes one job, or nothing at all."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Iterator

import httpx
import pytest
from sqlalchemy import select, text

from shared.db import session
from shared.kernel import erasure
from shared.models import Job, Stage
from shared.storage import PART_BYTES
from tests.service.gateway import (
    BOUNDARY,
    FORM_END,
    MULTIPART,
    NOTHING,
    Caller,
    Gateway,
    RawUpload,
    eventually,
    finish,
    form_part,
    gateway_with,
    sha256,
)

MAX_UPLOAD_BYTES = 24 * 1024**2
"""Three parts: enough for a real multipart upload."""


gateway = gateway_with(MAX_UPLOAD_BYTES=str(MAX_UPLOAD_BYTES))


def job_of(task_id: uuid.UUID) -> Job | None:
    with session() as work:
        return work.get(Job, task_id)


def stage_states(task_id: uuid.UUID) -> dict[str, str]:
    with session() as work:
        return {row.name: row.state for row in work.scalars(select(Stage).where(Stage.job_id == task_id))}


def jobs_of(caller: Caller) -> int:
    with session() as work:
        return len(work.scalars(select(Job.id).where(Job.owner_id == caller.id)).all())


def problem(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


# ---- what is accepted


@pytest.mark.parametrize("size", [1, PART_BYTES - 1, PART_BYTES, 2 * PART_BYTES + 12345, MAX_UPLOAD_BYTES])
def test_an_upload_becomes_a_job(gateway: Gateway, caller: Caller, size: int) -> None:
    """The bytes are in storage under the job, the row holds their digest and size, and the first stages are queued."""
    content = os.urandom(size)
    answer = caller.submit(content, diarization="true", lang="de", priority="batch")
    body = answer.json()
    assert answer.status_code == 202
    task_id = uuid.UUID(body["task_id"])
    assert body == {
        "task_id": str(task_id),
        "job_id": str(task_id),
        "status": "queued",
        "message": "The recording was accepted.",
        "status_url": f"/status/{task_id}",
        "result_url": f"/result/{task_id}",
        "eta_seconds": None,
    }
    assert answer.headers["Location"] == f"/status/{task_id}"
    assert gateway.left_behind(caller) == ({f"{caller.id}/{task_id}/upload"}, 0, 0)
    assert sha256(gateway.storage.get(f"{caller.id}/{task_id}/upload")) == sha256(content)
    job = job_of(task_id)
    assert job is not None
    assert (job.source_sha256, job.source_bytes, job.filename) == (sha256(content), size, "call.wav")
    assert (job.options["language"], job.options["diarization"], job.priority) == ("de", True, 2)
    assert job.request_id == answer.headers["X-Request-Id"]
    assert stage_states(task_id)["convert"] == "queued"


def test_fields_may_come_before_or_after_the_file(caller: Caller) -> None:
    """The order of the form's parts does not matter."""
    body = (
        form_part("lang", "Français".encode())
        + form_part("file", os.urandom(9), "a.mp3")
        + form_part("format", b"srt")
        + FORM_END
    )
    answer = caller.http.post("/transcribe", content=body, headers={"Content-Type": MULTIPART})
    job = job_of(uuid.UUID(answer.json()["task_id"]))
    assert job is not None
    assert (job.options["language"], job.options["format"]) == ("fr", "srt")


def test_a_key_may_come_in_either_header(gateway: Gateway, caller: Caller) -> None:
    """X-API-Key is as good as a bearer token."""
    files = {"file": ("a.wav", os.urandom(9))}
    answer = httpx.post(f"{gateway.url}/transcribe", files=files, headers={"X-API-Key": caller.key}, timeout=30)
    assert answer.status_code == 202


def test_the_same_recording_is_stored_once(gateway: Gateway, caller: Caller) -> None:
    """A second upload of the same bytes with other options uses the object of the first."""
    content = os.urandom(1000)
    first = caller.task(content)
    second = caller.task(content, language="de")
    assert gateway.objects(caller) == {f"{caller.id}/{first}/upload"}
    assert stage_states(second)["download"] == "done"


def test_a_known_answer_comes_at_once(gateway: Gateway, caller: Caller) -> None:
    """The same recording with the same options is done when it is submitted, and says that it is cached."""
    content = os.urandom(1000)
    finish(caller.task(content), gateway.storage)
    body = caller.submit(content, format="srt").json()
    assert (body["status"], body["eta_seconds"]) == ("done", 0)
    result = caller.http.get(body["result_url"], params={"format": "json"}).json()
    assert (result["cached"], result["processing_time"], result["full_text"]) == (True, 0, "Hello there. Good day.")


def test_owners_share_nothing(gateway: Gateway, caller: Caller) -> None:
    """What is known of a recording is no help, and no hint, to another key."""
    content = os.urandom(1000)
    finish(caller.task(content), gateway.storage)
    assert gateway.caller().submit(content).json()["status"] == "queued"


def test_a_recording_erased_while_it_is_sent_again_is_kept(gateway: Gateway, caller: Caller) -> None:
    """A duplicate whose original vanishes between look-up and commit becomes the original."""
    content = os.urandom(1000)
    first = caller.task(content)
    answers: list[httpx.Response] = []
    sender = threading.Thread(target=lambda: answers.append(caller.submit(content)))
    with session() as work:
        erasure.erase(work, caller.id, first)
        sender.start()
        eventually(_somebody_waits_for_a_lock, "the second upload meets the deletion")
    sender.join(30)
    task_id = answers[0].json()["task_id"]
    assert f"{caller.id}/{task_id}/upload" in gateway.objects(caller)
    assert stage_states(uuid.UUID(task_id))["convert"] == "queued"


def _somebody_waits_for_a_lock() -> bool:
    with session() as work:
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        return bool(work.scalar(text(waiting)))


# ---- what is refused, and leaves nothing


@pytest.mark.parametrize(
    ("fields", "code", "parameter"),
    [
        ({"language": "klingon"}, "invalid_request", "language"),
        ({"model": "gpt-9"}, "model_not_allowed", "model"),
        ({"colour": "http://example.org"}, "invalid_request", "colour"),
        ({"num_speakers": "2"}, "invalid_request", None),
        ({"temperature": "hot"}, "invalid_request", "temperature"),
    ],
)
def test_wrong_options_are_refused(
    gateway: Gateway, caller: Caller, fields: dict[str, str], code: str, parameter: str | None
) -> None:
    """An option that is wrong or unknown is named, also after a whole file, of which nothing stays."""
    body = form_part("file", os.urandom(PART_BYTES + 10), "a.mp3")
    body += b"".join(form_part(name, value.encode()) for name, value in fields.items()) + FORM_END
    answer = caller.http.post("/transcribe", content=body, headers={"Content-Type": MULTIPART})
    assert problem(answer) == (422, code)
    assert answer.json().get("detail", {}).get("parameter") == parameter
    assert gateway.left_behind(caller) == NOTHING


def test_misplaced_options_are_refused(caller: Caller) -> None:
    """Options in the address are errors and not ignored, and so is an Idempotency-Key that is too long."""
    files = {"file": ("a.wav", b"x")}
    answer = caller.http.post("/transcribe?diarization=true", files=files)
    assert answer.json()["detail"] == {"parameter": "diarization"}
    answer = caller.http.post("/transcribe", files=files, headers={"Idempotency-Key": "k" * 256})
    assert answer.json()["detail"] == {"parameter": "Idempotency-Key"}


def test_an_empty_file_has_no_audio(gateway: Gateway, caller: Caller) -> None:
    """A file of zero bytes is refused at the door."""
    answer = caller.http.post("/transcribe", files={"file": ("a.wav", b"")})
    assert problem(answer) == (422, "no_audio")
    assert gateway.left_behind(caller) == NOTHING


def test_another_body_than_a_form_is_refused(gateway: Gateway, caller: Caller) -> None:
    """JSON that is no object, raw bytes and no body at all are invalid requests."""
    for options in ({"json": ["RIFF"]}, {"content": b"RIFF"}, {}):
        assert problem(caller.http.post("/transcribe", **options)) == (422, "invalid_request")
    assert gateway.left_behind(caller) == NOTHING


def test_nothing_is_read_without_a_key(gateway: Gateway) -> None:
    """The answer to a wrong key comes before a single byte of the body was sent."""
    status, answer = RawUpload(gateway, "wrong", 10**9).answer()
    assert (status, '"unauthorized"' in answer) == (401, True)


def test_a_size_announced_too_large_is_refused_at_once(gateway: Gateway, caller: Caller) -> None:
    """The Content-Length alone is enough for 413."""
    status, answer = RawUpload(gateway, caller.key, 10**12).answer()
    assert (status, '"file_too_large"' in answer) == (413, True)
    assert gateway.left_behind(caller) == NOTHING


def test_a_size_counted_too_large_is_refused(gateway: Gateway, caller: Caller) -> None:
    """Without a Content-Length the limit holds as well; the parts sent until then are removed."""

    def body() -> Iterator[bytes]:
        yield form_part("file", b"", "a.mp3")[:-2]
        for _ in range(MAX_UPLOAD_BYTES // 2**20 + 1):
            yield os.urandom(2**20)
        yield b"\r\n" + FORM_END

    answer = caller.http.post("/transcribe", content=body(), headers={"Content-Type": MULTIPART})
    assert problem(answer) == (413, "file_too_large")
    assert answer.json()["detail"] == {"max_upload_bytes": MAX_UPLOAD_BYTES}
    assert gateway.left_behind(caller) == NOTHING


def test_a_client_that_goes_away_leaves_nothing(gateway: Gateway, caller: Caller) -> None:
    """After a connection that ends in the middle of the body there is no object, no part and no job."""
    upload = RawUpload(gateway, caller.key, 3 * PART_BYTES)
    upload.send(form_part("file", os.urandom(2 * PART_BYTES), "a.mp3"))
    eventually(lambda: gateway.unfinished_uploads(caller), "parts are stored")
    upload.drop()
    eventually(lambda: gateway.left_behind(caller) == NOTHING, "everything is removed")
    assert jobs_of(caller) == 0


def test_a_form_without_its_end_leaves_nothing(gateway: Gateway, caller: Caller) -> None:
    """A complete HTTP body whose form is cut off is an incomplete upload."""
    body = form_part("file", os.urandom(PART_BYTES + 10), "a.mp3")
    answer = caller.http.post("/transcribe", content=body, headers={"Content-Type": MULTIPART})
    assert problem(answer) == (400, "incomplete_upload")
    assert gateway.left_behind(caller) == NOTHING


def test_the_boundary_is_that_of_the_header(caller: Caller) -> None:
    """A body with another boundary than announced is malformed."""
    body = (form_part("file", b"x", "a") + FORM_END).replace(BOUNDARY.encode(), b"another")
    answer = caller.http.post("/transcribe", content=body, headers={"Content-Type": MULTIPART})
    assert problem(answer) == (422, "invalid_request")
