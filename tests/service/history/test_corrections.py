"""Correcting a finished transcript on a real gateway: versions, exports, limits, and several hands at once."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from api.transcripts.correction_request import MAX_NAME_CHARS, MAX_TEXT_CHARS
from api.transcripts.corrections import KEPT_VERSIONS
from shared.db import session
from shared.models import Correction, Job
from tests.service.gateway import Caller, Gateway, finish
from tests.unit.transcripts.spoken import parsed_srt, parsed_vtt


@pytest.fixture
def task(gateway: Gateway, caller: Caller) -> uuid.UUID:
    """A finished task: spk_1 says `Hello there.`, then spk_2 `Good day.`"""
    task_id = caller.task(diarization="true")
    finish(task_id, gateway.storage, diarization=True)
    return task_id


@pytest.fixture(scope="module")
def untouched(gateway: Gateway) -> Iterator[tuple[Caller, uuid.UUID]]:
    """One such task for all that is refused."""
    new_caller = gateway.caller()
    with new_caller.http:
        task_id = new_caller.task(diarization="true")
        finish(task_id, gateway.storage, diarization=True)
        yield new_caller, task_id


def patch(caller: Caller, task_id: uuid.UUID, **fields: Any) -> httpx.Response:
    return caller.http.patch(f"/tasks/{task_id}", json=fields)


def corrected(caller: Caller, task_id: uuid.UUID, **fields: Any) -> int:
    """The version that a correction has made."""
    answer = patch(caller, task_id, **fields)
    assert answer.status_code == 200, answer.text
    return int(answer.json()["version"])


def problem(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def result_text(caller: Caller, task_id: uuid.UUID, format: str = "json", **query: Any) -> str:
    answer = caller.http.get(f"/result/{task_id}", params={"format": format, **query})
    assert answer.status_code == 200, answer.text
    return answer.text


def turns(caller: Caller, task_id: uuid.UUID, **query: Any) -> list[tuple[str, str]]:
    """Who said what."""
    segments = json.loads(result_text(caller, task_id, **query))["segments"]
    return [(segment["speaker"], segment["text"]) for segment in segments]


ORIGINAL = [("spk_1", "Hello there."), ("spk_2", "Good day.")]


# ---- results follow


def test_every_format_follows(caller: Caller, task: uuid.UUID) -> None:
    """A new name and a new text are in all formats at once, and the old ones in none."""
    segments = [{"id": 1, "text": "Good evening,\n Anna."}]
    assert corrected(caller, task, speakers={"spk_1": "Anna Li"}, segments=segments) == 1
    body = json.loads(result_text(caller, task))
    assert body["version"] == 1
    assert body["text"] == body["full_text"] == "Hello there. Good evening, Anna."
    assert turns(caller, task) == [("Anna Li", "Hello there."), ("spk_2", "Good evening, Anna.")]
    assert body["speakers"] == [{"id": "spk_1", "name": "Anna Li", "seconds": 1.0}, {"id": "spk_2", "seconds": 0.8}]
    assert result_text(caller, task, "text") == "Anna Li: Hello there.\n\nspk_2: Good evening, Anna.\n"
    assert [cue.plaintext for cue in parsed_srt(result_text(caller, task, "srt"))] == [
        "Anna Li: Hello there.",
        "spk_2: Good evening, Anna.",
    ]
    assert [cue.voice for cue in parsed_vtt(result_text(caller, task, "vtt"))] == ["Anna Li", "spk_2"]
    assert result_text(caller, task, "tsv").splitlines()[1] == "0\t1000\tHello there.\tAnna Li"
    assert [line.split()[7] for line in result_text(caller, task, "rttm").splitlines()] == ["Anna_Li", "spk_2"]


def test_the_apis_of_others_follow(caller: Caller, task: uuid.UUID) -> None:
    """A job of another API tells the corrected transcript too."""
    corrected(caller, task, speakers={"spk_2": "Bob"}, segments=[{"id": 0, "text": "Hello again."}])
    for path, result in ((f"/jobs/{task}", "result"), (f"/api/v1/status/{task.hex}", "result")):
        body = caller.http.get(path).json()[result]
        assert [(s["speaker"], s["text"]) for s in body["segments"]] == [
            ("spk_1", "Hello again."),
            ("Bob", "Good day."),
        ]
    assert caller.http.get(f"/transcript/{task}").json()["text"] == "Hello again. Good day."


def test_the_history_finds_the_corrected_words(caller: Caller, task: uuid.UUID) -> None:
    """A word is found as long as the newest version has it."""

    def hits(words: str) -> list[str]:
        return [item["task_id"] for item in caller.http.get("/history", params={"q": words}).json()["items"]]

    assert (hits("day"), hits("Feierabend")) == ([str(task)], [])
    corrected(caller, task, segments=[{"id": 1, "text": "Good Feierabend."}])
    assert (hits("day"), hits("Feierabend")) == ([], [str(task)])
    corrected(caller, task, restore=0)
    assert (hits("day"), hits("Feierabend")) == ([str(task)], [])


def test_words_keep_their_times(caller: Caller, task: uuid.UUID) -> None:
    """A word that stays has the time and confidence it had; a new one lies between its neighbours."""
    corrected(caller, task, segments=[{"id": 0, "text": "Hello, you there."}])
    [first, second, third] = json.loads(result_text(caller, task, timestamp_granularity="word"))["segments"][0]["words"]
    assert (first["word"], first["start"], first["end"], first["confidence"]) == ("Hello,", 0.0, 0.4, 0.9)
    assert (second["word"], second["start"], second["end"], second["confidence"]) == ("you", 0.4, 0.5, 1.0)
    assert (third["word"], third["start"], third["end"], third["confidence"]) == ("there.", 0.5, 1.0, 0.8)


def test_a_segment_goes_to_another_speaker(caller: Caller, task: uuid.UUID) -> None:
    """Turns and seconds follow, and a voice that the diarization missed may be added and named."""
    corrected(caller, task, segments=[{"id": 1, "speaker": "spk_1"}])
    assert turns(caller, task) == [("spk_1", "Hello there."), ("spk_1", "Good day.")]
    assert json.loads(result_text(caller, task))["speakers"] == [{"id": "spk_1", "seconds": 1.8}]
    assert [line.split()[7] for line in result_text(caller, task, "rttm").splitlines()] == ["spk_1", "spk_1"]
    corrected(caller, task, segments=[{"id": 1, "speaker": "spk_3"}], speakers={"spk_3": "Carla"})
    assert turns(caller, task) == [("spk_1", "Hello there."), ("Carla", "Good day.")]
    corrected(caller, task, segments=[{"id": 1, "speaker": None}])
    assert turns(caller, task) == ORIGINAL
    assert caller.http.get(f"/tasks/{task}/versions").json()["versions"][0]["speakers"] == {}


def test_two_voices_become_one_person(caller: Caller, task: uuid.UUID) -> None:
    """The same name for both joins them in what is shown; their ids stay, so that it can be taken back."""
    corrected(caller, task, speakers={"spk_1": "Anna", "spk_2": "Anna"})
    assert result_text(caller, task, "text") == "Anna: Hello there. Good day.\n"
    assert [speaker["id"] for speaker in json.loads(result_text(caller, task))["speakers"]] == ["spk_1", "spk_2"]
    corrected(caller, task, speakers={"spk_2": None})
    assert [speaker for speaker, _ in turns(caller, task)] == ["Anna", "spk_2"]


# ---- versions


def test_every_version_can_be_shown(caller: Caller, task: uuid.UUID) -> None:
    """Corrections add up; each version is shown as it was, 0 is the original, and one that is not there is 404."""
    assert turns(caller, task, version=0) == ORIGINAL
    assert corrected(caller, task, speakers={"spk_1": "Anna"}) == 1
    assert corrected(caller, task, segments=[{"id": 1, "text": "Bye."}]) == 2
    assert turns(caller, task) == turns(caller, task, version=2) == [("Anna", "Hello there."), ("spk_2", "Bye.")]
    assert turns(caller, task, version=1) == [("Anna", "Hello there."), ("spk_2", "Good day.")]
    assert turns(caller, task, version=0) == ORIGINAL
    assert "Bye" not in result_text(caller, task, "srt", version=1)
    body = caller.http.get(f"/tasks/{task}/versions").json()
    assert (body["task_id"], body["version"]) == (str(task), 2)
    assert [(row["version"], row["speakers"], row["segments"]) for row in body["versions"]] == [
        (2, {"spk_1": "Anna"}, 1),
        (1, {"spk_1": "Anna"}, 0),
        (0, {}, 0),
    ]
    missing = caller.http.get(f"/result/{task}", params={"version": 3})
    assert problem(missing) == (404, "not_found")
    assert missing.json()["detail"] == {"version": 2}


def test_null_goes_back_to_the_original(caller: Caller, task: uuid.UUID) -> None:
    """Also the original's own name and text are no difference, and what changes nothing makes no version."""
    corrected(caller, task, speakers={"spk_1": "Anna"}, segments=[{"id": 0, "text": "Hi."}, {"id": 1, "text": "Bye."}])
    assert corrected(caller, task, speakers={"spk_1": None}, segments=[{"id": 0, "text": None}]) == 2
    assert turns(caller, task) == [("spk_1", "Hello there."), ("spk_2", "Bye.")]
    assert corrected(caller, task, speakers={"spk_1": "spk_1"}, segments=[{"id": 1, "text": " Good  day. "}]) == 3
    assert turns(caller, task) == ORIGINAL
    assert caller.http.get(f"/tasks/{task}/versions").json()["versions"][0]["segments"] == 0
    assert corrected(caller, task, speakers={"spk_2": None}, segments=[]) == 3
    assert corrected(caller, task) == 3


def test_a_version_is_restored_as_a_new_one(caller: Caller, task: uuid.UUID) -> None:
    """Nothing is lost by it: the versions in between stay."""
    corrected(caller, task, speakers={"spk_1": "Anna"})
    corrected(caller, task, speakers={"spk_1": "Berta"})
    assert corrected(caller, task, restore=0) == 3
    assert turns(caller, task) == ORIGINAL
    assert corrected(caller, task, restore=2) == 4
    assert turns(caller, task)[0] == ("Berta", "Hello there.")
    assert problem(patch(caller, task, restore=9)) == (404, "not_found")
    assert problem(patch(caller, task, restore=1, speakers={"spk_1": "X"})) == (422, "invalid_request")


def test_an_edit_of_an_old_version_is_refused(caller: Caller, task: uuid.UUID) -> None:
    """With `version`, only that version is corrected; else nothing is changed, and the answer tells the newest."""
    assert corrected(caller, task, speakers={"spk_1": "Anna"}, version=0) == 1
    answer = patch(caller, task, speakers={"spk_1": "Berta"}, tags=["x"], version=0)
    assert problem(answer) == (409, "version_conflict")
    assert answer.json()["detail"] == {"version": 1}
    assert turns(caller, task)[0][0] == "Anna"
    assert caller.http.get(f"/tasks/{task}").json()["tags"] == []


def test_corrections_at_once_lose_nothing(caller: Caller, task: uuid.UUID) -> None:
    """Of eight that arrive together each makes a version, and the last one holds all that they changed."""
    bodies: list[dict[str, object]] = [{"speakers": {"spk_1": "Anna"}}, {"speakers": {"spk_2": "Bob"}}]
    bodies += [{"segments": [{"id": 0, "text": "Hi."}]}, {"segments": [{"id": 1, "text": "Bye."}]}]
    bodies += [{"speakers": {"spk_1": "Anna"}, "tags": [f"tag-{n}"]} for n in range(4)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda body: patch(caller, task, **body), bodies))
    assert [answer.status_code for answer in answers] == [200] * 8
    assert turns(caller, task) == [("Anna", "Hi."), ("Bob", "Bye.")]
    assert caller.http.get(f"/tasks/{task}").json()["version"] == 4
    with session() as work:
        assert work.scalars(select(Job.full_text).where(Job.id == task)).one() == "Hi. Bye."


def test_only_the_newest_versions_are_kept(caller: Caller, task: uuid.UUID) -> None:
    """After more corrections than are kept, the oldest are gone; the newest and the original are not."""
    with session() as work:
        work.get_one(Job, task).version = KEPT_VERSIONS + 5
        work.add_all(
            Correction(job_id=task, version=n, speakers={"spk_1": f"N{n}"}, segments={})
            for n in range(6, KEPT_VERSIONS + 6)
        )
    assert corrected(caller, task, speakers={"spk_2": "Bob"}) == KEPT_VERSIONS + 6
    versions = [row["version"] for row in caller.http.get(f"/tasks/{task}/versions").json()["versions"]]
    assert versions == [*range(KEPT_VERSIONS + 6, 6, -1), 0]
    assert turns(caller, task, version=7)[0][0] == "N7"
    assert problem(caller.http.get(f"/result/{task}", params={"version": 6})) == (404, "not_found")


# ---- labels


def test_labels_are_changed_without_a_version(caller: Caller) -> None:
    """Tags and reference may be set and taken back at any time, also while the task waits."""
    task_id = caller.task(tags="a,b", reference="old")
    body = patch(caller, task_id, tags=["x", "y", "x"], reference="case-17").json()
    assert (body["tags"], body["reference"], body["version"], body["status"]) == (["x", "y"], "case-17", 0, "queued")
    body = patch(caller, task_id, reference=None).json()
    assert (body["tags"], body["reference"]) == (["x", "y"], None)
    assert patch(caller, task_id, tags=None).json()["tags"] == []


# ---- what it does not touch


def test_another_task_over_the_same_recording_is_not_corrected(gateway: Gateway, caller: Caller) -> None:
    """A correction belongs to its task: the same upload again, before or after, shows what the models said."""
    content = b"the same recording"
    first = caller.task(content, diarization="true")
    finish(first, gateway.storage, diarization=True)
    before = gateway.objects(caller)
    second = caller.task(content, diarization="true")
    corrected(caller, first, speakers={"spk_1": "Anna"}, segments=[{"id": 1, "text": "Bye."}])
    third = caller.task(content, diarization="true")
    assert turns(caller, second) == turns(caller, third) == ORIGINAL
    assert caller.status(third) == "done"
    assert gateway.objects(caller) == before


def test_a_deleted_task_leaves_no_versions(caller: Caller, task: uuid.UUID) -> None:
    """The corrections go with the task."""
    corrected(caller, task, speakers={"spk_1": "Anna"})
    assert caller.http.delete(f"/tasks/{task}").json()["verified"]
    with session() as work:
        assert work.scalars(select(Correction).where(Correction.job_id == task)).all() == []


# ---- what is refused


def test_a_task_without_a_transcript_cannot_be_corrected(caller: Caller) -> None:
    """409 not_ready while it is worked on, 409 wrong_state when it has ended without one."""
    task_id = caller.task()
    answer = patch(caller, task_id, speakers={"spk_1": "Anna"})
    assert problem(answer) == (409, "not_ready")
    assert answer.json()["detail"] == {"status": "queued"}
    caller.http.post(f"/tasks/{task_id}/cancel").raise_for_status()
    assert problem(patch(caller, task_id, segments=[{"id": 0, "text": "x"}])) == (409, "wrong_state")


@pytest.mark.parametrize(
    ("fields", "parameter"),
    [
        ({"speakers": {"spk_1": "Anna\nBob"}}, "speakers.spk_1"),
        ({"speakers": {"spk_1": "A\x00"}}, "speakers.spk_1"),
        ({"speakers": {"spk_1": "\u202eanna"}}, "speakers.spk_1"),
        ({"speakers": {"spk_1": " \u200b "}}, "speakers.spk_1"),
        ({"speakers": {"spk_1": "x" * (MAX_NAME_CHARS + 1)}}, "speakers.spk_1"),
        ({"speakers": {"spk_1": "spk_2"}}, "speakers"),
        ({"speakers": {"spk_1": "spk_7"}}, "speakers"),
        ({"speakers": {"spk_7": "Anna"}}, "speakers"),
        ({"speakers": ["Anna"]}, "speakers"),
        ({"segments": [{"id": 2, "text": "x"}]}, "segments"),
        ({"segments": [{"id": 0, "speaker": "Bob"}]}, "segments"),
        ({"segments": [{"id": 0, "text": "x"}, {"id": 0, "text": "y"}]}, "segments"),
        ({"segments": [{"id": 0, "text": "x" * (MAX_TEXT_CHARS + 1)}]}, "segments.0.text"),
        ({"segments": [{"id": -1, "text": "x"}]}, "segments.0.id"),
        ({"segments": [{"id": 10**30, "text": "x"}]}, "segments.0.id"),
        ({"segments": [{"id": 0, "words": []}]}, "segments.0.words"),
        ({"restore": -1}, "restore"),
        ({"version": "x"}, "version"),
        ({"tags": ["x" * 65]}, "tags"),
        ({"tags": [str(n) for n in range(21)]}, "tags"),
        ({"tags": ["a\x00"]}, "tags.0"),
        ({"reference": "a\nb"}, "reference"),
        ({"text": "x"}, "text"),
    ],
)
def test_what_makes_no_sense_is_refused(
    untouched: tuple[Caller, uuid.UUID], fields: dict[str, Any], parameter: str
) -> None:
    """422 names the parameter, and nothing is changed."""
    caller, task = untouched
    answer = patch(caller, task, **fields)
    assert problem(answer) == (422, "invalid_request"), answer.text
    assert answer.json()["detail"]["parameter"].startswith(parameter)
    assert turns(caller, task) == ORIGINAL


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"speakers":{"spk_1":"\\ud800"}}', b"\xff", b"[" * 100_000])
def test_what_is_no_correction_is_refused(untouched: tuple[Caller, uuid.UUID], body: bytes) -> None:
    """A body that is not JSON, no object, or holds half a character is an invalid request."""
    caller, task = untouched
    answer = caller.http.patch(f"/tasks/{task}", content=body)
    assert problem(answer) == (422, "invalid_request")


def test_a_body_without_end_is_refused(untouched: tuple[Caller, uuid.UUID]) -> None:
    """It is not read further than any correction is long."""
    caller, task = untouched
    answer = caller.http.patch(f"/tasks/{task}", content=b" " * (9 * 1024**2))
    assert problem(answer) == (422, "invalid_request")
