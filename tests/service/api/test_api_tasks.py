"""Following, fetching, stopping, repeating and deleting tasks on a real gateway."""

from __future__ import annotations

import re
import uuid
from datetime import datetime
from io import BytesIO
from zipfile import ZipFile

import httpx
import pytest

from api.transcripts.formats import FORMATS
from scripts.local.stack import Stack
from shared.db import session
from shared.errors import NoAudio
from shared.kernel import leases
from shared.models import Job, Stage
from tests.service.gateway import NOTHING, Caller, Gateway, finish, gateway_with, hand_in, work_on

gateway = gateway_with()


def problem(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


# ---- following


def test_status_tells_where_a_task_stands(gateway: Gateway, caller: Caller) -> None:
    """From queued over a running stage with its percentage to done; progress grows all the way."""
    task_id = caller.task()
    first = caller.http.get(f"/status/{task_id}").json()
    assert (first["task_id"], first["status"], first["stage"]) == (str(task_id), "queued", "convert")
    assert (first["error"], first["eta_seconds"]) == (None, None)
    assert datetime.fromisoformat(first["created_at"]).tzinfo is not None
    hand_in(work_on(task_id, "convert"), gateway.storage)
    claim = work_on(task_id, "transcribe")
    with session() as work:
        leases.heartbeat(work, claim, progress=0.5, lease_s=30)
    second = caller.http.get(f"/status/{task_id}").json()
    assert (second["status"], second["stage_detail"]) == ("processing", "transcribe 50 %")
    hand_in(claim, gateway.storage)
    for stage in ("merge", "store"):
        hand_in(work_on(task_id, stage), gateway.storage)
    third = caller.http.get(f"/status/{task_id}").json()
    assert (third["status"], third["progress"], third["eta_seconds"], third["stage"]) == ("done", 100, 0, None)
    assert first["progress"] < second["progress"] < third["progress"]


def test_a_task_tells_its_options_and_file(caller: Caller) -> None:
    """GET /tasks shows what was asked for, the file and every stage."""
    body = caller.http.get(f"/tasks/{caller.task(b'RIFF', language='de', priority='interactive')}").json()
    assert (body["options"]["language"], body["priority"], body["cached"]) == ("de", "interactive", False)
    assert (body["file"]["name"], body["file"]["bytes"]) == ("call.wav", 4)
    assert [stage["name"] for stage in body["stages"]][:3] == ["download", "convert", "transcribe"]


# ---- fetching


def test_a_result_has_every_format(gateway: Gateway, caller: Caller) -> None:
    """Each format has its type and a file name made of the recording's; the words are in all but rttm."""
    task_id = caller.task(diarization="true", format="srt")
    finish(task_id, gateway.storage, diarization=True)
    for name, form in FORMATS.items():
        answer = caller.http.get(f"/result/{task_id}", params={"format": name})
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == form.media_type
        assert f'filename="call{form.suffix}"' in answer.headers["Content-Disposition"]
        body = ZipFile(BytesIO(answer.content)).read("word/document.xml").decode() if name == "docx" else answer.text
        assert bool(re.search("Good.*day", body, re.DOTALL)) == (name != "rttm")
    assert caller.http.get(f"/result/{task_id}").text.startswith("1\n00:00:00,000")


def test_json_is_the_transcript(gateway: Gateway, caller: Caller) -> None:
    """The JSON result has the task, the text, segments with speakers, and words only when they are asked for."""
    task_id = caller.task(diarization="true")
    finish(task_id, gateway.storage, diarization=True)
    body = caller.http.get(f"/result/{task_id}").json()
    assert (body["task_id"], body["status"], body["cached"]) == (str(task_id), "done", False)
    assert (body["language"], body["duration"], body["model"]) == ("en", 2.0, "base")
    assert body["full_text"] == body["text"] == "Hello there. Good day."
    assert [(segment["speaker"], segment["text"]) for segment in body["segments"]] == [
        ("spk_1", "Hello there."),
        ("spk_2", "Good day."),
    ]
    assert body["speakers"] == [{"id": "spk_1", "seconds": 1.0}, {"id": "spk_2", "seconds": 0.8}]
    assert body["processing_time"] >= 0
    assert all("words" not in segment for segment in body["segments"])
    body = caller.http.get(f"/result/{task_id}", params={"timestamp_granularity": "word"}).json()
    assert [word["word"] for word in body["segments"][0]["words"]] == ["Hello", "there."]


def test_subtitle_lines_are_as_long_as_asked_for(gateway: Gateway, caller: Caller) -> None:
    """max_line_length reaches the renderer, and one that leaves no room is an invalid request."""
    task_id = caller.task()
    finish(task_id, gateway.storage)
    query: dict[str, str | int] = {"format": "srt", "max_line_length": 12}
    narrow = caller.http.get(f"/result/{task_id}", params=query).text
    wide = caller.http.get(f"/result/{task_id}", params=query | {"max_line_length": 80}).text
    assert "Good\nday." in narrow
    assert "Good day." in wide
    assert max(len(line) for line in narrow.splitlines() if "-->" not in line) <= 12
    answer = caller.http.get(f"/result/{task_id}", params=query | {"max_line_length": 1})
    assert problem(answer) == (422, "invalid_request")
    assert answer.json()["detail"] == {"parameter": "max_line_length"}
    assert problem(caller.http.get(f"/result/{task_id}", params={"format": "pdf"})) == (422, "invalid_request")


def test_subtitles_have_the_limits_of_a_broadcaster(gateway: Gateway, caller: Caller) -> None:
    """A preset shapes them, an option beside it wins, and an empty one counts as left out."""
    task_id = caller.task(diarization="true")
    finish(task_id, gateway.storage, diarization=True)

    def subtitles(**params: str) -> str:
        return caller.http.get(f"/result/{task_id}", params={"format": "srt"} | params).text

    assert "spk_1: Hello there." in subtitles()
    assert "spk_" not in subtitles(preset="netflix")
    assert "spk_1: Hello there." in subtitles(preset="netflix", speaker_marks="names", reading_speed="")
    assert "00:00:00,000 --> 00:00:00,700" in subtitles(preset="ebu", gap_s="0.5", min_cue_s="0.5")


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        *(("preset", "hbo"), ("min_cue_s", "9"), ("max_cue_s", "inf"), ("reading_speed", "fast"), ("gap_s", "-1")),
        *(("closed_gap_s", "nan"), ("speaker_marks", "colours"), ("max_lines", "1.5"), ("max_line_length", "1" * 30)),
    ],
)
def test_limits_that_make_no_sense_are_refused(gateway: Gateway, caller: Caller, parameter: str, value: str) -> None:
    """By name, whichever format is asked for."""
    task_id = caller.task()
    finish(task_id, gateway.storage)
    for format_name in ("srt", "json"):
        answer = caller.http.get(f"/result/{task_id}", params={"format": format_name, parameter: value})
        assert problem(answer) == (422, "invalid_request")
        assert answer.json()["detail"]["parameter"] == parameter


def test_a_result_that_is_not_there_says_why(gateway: Gateway, caller: Caller) -> None:
    """409 with the status while it is worked on or after a cancel; the stored error of a task that failed."""
    waiting, failed = caller.task(), caller.task()
    answer = caller.http.get(f"/result/{waiting}")
    assert problem(answer) == (409, "not_ready")
    assert answer.json()["detail"] == {"status": "queued"}
    caller.http.post(f"/tasks/{waiting}/cancel").raise_for_status()
    assert problem(caller.http.get(f"/result/{waiting}")) == (409, "cancelled")
    fail(failed)
    answer = caller.http.get(f"/result/{failed}")
    assert problem(answer) == (422, "no_audio")
    assert answer.json()["detail"] == {"status": "error"}
    error = caller.http.get(f"/status/{failed}").json()["error"]
    assert error == {"code": "no_audio", "message": "Nothing in it is sound."}


def fail(task_id: uuid.UUID) -> None:
    claim = work_on(task_id, "convert")
    with session() as work:
        leases.fail(work, claim, NoAudio("Nothing in it is sound."), max_attempts=1)


# ---- stopping, repeating, deleting


def test_a_queued_task_is_cancelled_at_once(caller: Caller) -> None:
    """Cancel answers with the new status, may be repeated, and progress does not jump."""
    task_id = caller.task()
    before = caller.http.get(f"/status/{task_id}").json()["progress"]
    for _ in range(2):
        answer = caller.http.post(f"/tasks/{task_id}/cancel")
        assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert answer.json()["progress"] == before


def test_a_running_task_is_cancelling_until_its_worker_lets_go(gateway: Gateway, caller: Caller) -> None:
    """The gateway is honest about a worker that still holds the task."""
    task_id = caller.task()
    claim = work_on(task_id, "convert")
    assert caller.http.post(f"/tasks/{task_id}/cancel").json()["status"] == "cancelling"
    assert problem(caller.http.get(f"/result/{task_id}")) == (409, "not_ready")
    with session() as work:
        leases.give_back(work, claim)
    assert caller.status(task_id) == "cancelled"


def test_a_finished_task_cannot_be_cancelled_or_retried(gateway: Gateway, caller: Caller) -> None:
    """Both are wrong_state, with the status in the detail."""
    task_id = caller.task()
    finish(task_id, gateway.storage)
    for verb in ("cancel", "retry"):
        answer = caller.http.post(f"/tasks/{task_id}/{verb}")
        assert problem(answer) == (409, "wrong_state")
        assert answer.json()["detail"] == {"status": "done"}


def test_a_retry_is_a_new_task_over_the_same_recording(gateway: Gateway, caller: Caller) -> None:
    """It has the old options and file, reuses finished stages, and outlives the old task."""
    old = caller.task(language="de", priority="batch")
    hand_in(work_on(old, "convert"), gateway.storage)
    caller.http.post(f"/tasks/{old}/cancel").raise_for_status()
    answer = caller.http.post(f"/tasks/{old}/retry")
    assert (answer.status_code, answer.json()["status"]) == (202, "queued")
    new = uuid.UUID(answer.json()["task_id"])
    assert caller.status(old) == "cancelled"
    body = caller.http.get(f"/tasks/{new}").json()
    assert (body["retry_of"], body["options"]["language"], body["priority"]) == (str(old), "de", "batch")
    assert (body["file"]["name"], body["stage"]) == ("call.wav", "transcribe")
    caller.http.delete(f"/tasks/{old}").raise_for_status()
    for stage in ("transcribe", "merge", "store"):
        hand_in(work_on(new, stage), gateway.storage)
    assert caller.http.get(f"/result/{new}").json()["text"] == "Hello there. Good day."


def test_a_failed_task_can_be_retried(caller: Caller) -> None:
    """A task in error is tried again from the stage that failed."""
    old = caller.task()
    fail(old)
    new = uuid.UUID(caller.http.post(f"/tasks/{old}/retry").json()["task_id"])
    assert (caller.status(old), caller.status(new)) == ("error", "queued")
    assert caller.http.get(f"/status/{new}").json()["stage"] == "convert"


def test_delete_leaves_nothing(gateway: Gateway, caller: Caller) -> None:
    """Objects and rows are gone, the receipt says so, and the task is not found any more."""
    task_id = caller.task()
    finish(task_id, gateway.storage)
    objects = gateway.objects(caller)
    assert len(objects) == 5  # the upload and the answers of convert, transcribe, merge and store
    answer = caller.http.delete(f"/tasks/{task_id}")
    receipt = answer.json()
    assert answer.status_code == 200
    assert datetime.fromisoformat(receipt.pop("erased_at")).tzinfo is not None
    assert receipt == {"task_id": str(task_id), "erased": True, "objects": 5, "verified": True}
    assert gateway.left_behind(caller)[:2] == NOTHING[:2]
    with session() as work:
        assert work.get(Job, task_id) is None
        assert work.get(Stage, (task_id, "convert", 0)) is None
    for method, path in (("GET", "status"), ("GET", "result"), ("GET", "tasks"), ("DELETE", "tasks")):
        assert problem(caller.http.request(method, f"/{path}/{task_id}")) == (404, "not_found")


def test_delete_keeps_what_another_task_uses(gateway: Gateway, caller: Caller) -> None:
    """The recording stays until the last task over it is deleted."""
    first = caller.task(b"the same bytes")
    second = caller.task(b"the same bytes", language="de")
    caller.http.delete(f"/tasks/{first}").raise_for_status()
    assert gateway.objects(caller) == {f"{caller.id}/{first}/upload"}
    caller.http.delete(f"/tasks/{second}").raise_for_status()
    assert gateway.objects(caller) == set()


def test_delete_is_finished_when_storage_is_back(servers: Stack, gateway: Gateway, caller: Caller) -> None:
    """With storage away the rows go at once, the receipt is not verified, and repair removes the objects later."""
    task_id = caller.task()
    servers.stop_process("seaweedfs")
    try:
        answer = caller.http.delete(f"/tasks/{task_id}")
    finally:
        servers.start_process("seaweedfs")
    assert (answer.status_code, answer.json()["verified"]) == (202, False)
    assert problem(caller.http.get(f"/status/{task_id}")) == (404, "not_found")
    assert len(gateway.objects(caller)) == 1
    gateway.caller("admin").http.post("/jobs/repair").raise_for_status()
    assert gateway.objects(caller) == set()


# ---- all tasks


def test_history_is_paged_newest_first(caller: Caller) -> None:
    """Following the cursor, or the Link header, shows every task once, in order."""
    tasks = [str(caller.task()) for _ in range(5)]
    pages, answer = [], caller.http.get("/history", params={"limit": 2})
    while True:
        body = answer.json()
        pages.append([item["task_id"] for item in body["items"]])
        if body["next_cursor"] is None:
            break
        assert body["next_cursor"] in answer.headers["Link"]
        answer = caller.http.get(answer.links["next"]["url"])
    assert pages == [tasks[:2:-1], tasks[2:0:-1], tasks[:1]]
    assert "Link" not in answer.headers
    assert body["items"][0]["filename"] == "call.wav"


def test_history_can_be_filtered_by_status(gateway: Gateway, caller: Caller) -> None:
    """The filter holds on every page."""
    cancelled = {str(caller.task()) for _ in range(3)}
    for task_id in cancelled:
        caller.http.post(f"/tasks/{task_id}/cancel").raise_for_status()
        caller.task()
    answer = caller.http.get("/history", params={"limit": 2, "status": "cancelled"})
    rest = caller.http.get(answer.links["next"]["url"])
    task_ids = {item["task_id"] for item in answer.json()["items"] + rest.json()["items"]}
    assert (task_ids, rest.json()["next_cursor"]) == (cancelled, None)


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ({"cursor": "nonsense"}, "cursor"),
        ({"limit": "0"}, "limit"),
        ({"limit": "101"}, "limit"),
        ({"status": "x"}, "status"),
    ],
)
def test_a_wrong_query_is_named(caller: Caller, query: dict[str, str], parameter: str) -> None:
    """A cursor that nobody gave out, and values out of range, are invalid requests."""
    answer = caller.http.get("/history", params=query)
    assert problem(answer) == (422, "invalid_request")
    assert answer.json()["detail"] == {"parameter": parameter}
