"""The history on a real gateway: filters, words, pages, export."""

from __future__ import annotations

import csv
import io
import itertools
import json
import os
import subprocess
import sys
import uuid
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import httpx
import pytest
from sqlalchemy import select, update

from api.history.search import NEWEST, Filters, page
from scripts.bench.kernel import archive
from shared.db import engine, session
from shared.models import Job
from shared.states import JobState
from shared.storage import storage
from tests.service.gateway import Caller, Gateway, finish

HOSTILE = '<script>alert("x")</script> \x01verdict\x02 & <b onclick=1>the verdict</b> =cmd|calc\r\n"quoted"'


def transcribed(caller: Caller, text: str, language: str = "en", model: str = "base", **fields: str) -> str:
    """A task that workers have finished with this text."""
    task_id = caller.task(**fields)
    finish(task_id, storage(), full_text=text, language=language, model=model)
    return str(task_id)


def hits(caller: Caller, **query: Any) -> list[str]:
    answer = caller.http.get("/history", params=query)
    assert answer.status_code == 200, answer.text
    return [item["task_id"] for item in answer.json()["items"]]


def snippets(answer: httpx.Response) -> list[str]:
    """The first place of each task, with its matches in brackets."""
    return [
        "".join(f"[{run['text']}]" if run["is_match"] else run["text"] for run in item["snippets"][0]["runs"])
        for item in answer.json()["items"]
    ]


# ---- filters


def test_each_filter_finds_its_own(caller: Caller) -> None:
    """State, language, model, tags (all of them) and reference, alone and together; an item shows what it matched."""
    call = transcribed(caller, "one", tags="call,urgent", reference="case 17")
    german = transcribed(caller, "zwei", language="de", model="large-v3", tags="call")
    waiting = str(caller.task(tags="urgent", reference="case 18"))
    assert hits(caller) == [waiting, german, call]
    assert hits(caller, status="done") == [german, call]
    assert hits(caller, status="queued") == [waiting]
    assert hits(caller, language="de") == hits(caller, language="German") == hits(caller, language="de-AT") == [german]
    assert hits(caller, model="large-v3") == [german]
    assert hits(caller, tag="call") == [german, call]
    assert hits(caller, tag="urgent") == [waiting, call]
    assert hits(caller, tag=["urgent", "call"]) == [call]
    assert hits(caller, tag="cal") == hits(caller, tag="Call") == []
    assert hits(caller, reference="case 17") == [call]
    assert hits(caller, tag="call", language="en", status="done", q="one") == [call]
    assert hits(caller, tag="call", language="en", status="error") == []
    item = caller.http.get("/history", params={"reference": "case 17"}).json()["items"][0]
    assert (item["tags"], item["reference"], item["expires_at"]) == (["call", "urgent"], "case 17", None)
    detail = caller.http.get(f"/tasks/{call}").json()
    assert (detail["tags"], detail["reference"], detail["expires_at"]) == (["call", "urgent"], "case 17", None)


def test_a_time_is_a_half_open_range(caller: Caller) -> None:
    """`since` includes its moment and `until` does not, in any zone, and also when the upload began a day before."""
    tasks = [str(caller.task()) for _ in range(3)]
    items = caller.http.get("/history").json()["items"]
    moments = [datetime.fromisoformat(item["created_at"]) for item in reversed(items)]
    tokyo = moments[1].astimezone(timezone(timedelta(hours=9))).isoformat()
    assert hits(caller, since=moments[1].isoformat()) == [tasks[2], tasks[1]]
    assert hits(caller, until=tokyo) == [tasks[0]]
    assert hits(caller, since=tokyo, until=moments[2].isoformat()) == [tasks[1]]
    today = moments[0].date()
    assert hits(caller, since=str(today - timedelta(days=1)), until=str(today + timedelta(days=2))) == tasks[::-1]
    assert hits(caller, until=str(today - timedelta(days=1))) == []
    late = moments[0] + timedelta(hours=23, minutes=59)
    with session() as work:
        work.execute(update(Job).where(Job.id == uuid.UUID(tasks[0])).values(created_at=late))
    assert hits(caller, since=(late - timedelta(seconds=1)).isoformat()) == [tasks[0]]


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ({"status": "finished"}, "status"),
        ({"language": "klingon"}, "language"),
        ({"since": "yesterday"}, "since"),
        ({"since": "2026-03-01T00:00:00"}, "since"),
        ({"until": "2026-02-30"}, "until"),
        ({"since": "2026-03-02", "until": "2026-03-01"}, "until"),
        ({"since": "1"}, "since"),
        ({"q": "... !"}, "q"),
        ({"q": "a\x00b"}, "q"),
        ({"tag": ["a", "\x00"]}, "tag"),
        ({"q": "x" * 501}, "q"),
        ({"tag": ["t"] * 21}, "tag"),
        ({"status": ["done", "error"]}, "status"),
        ({"state": "done"}, "state"),
        ({"cursor": "nonsense"}, "cursor"),
        ({"limit": 101}, "limit"),
    ],
)
def test_what_cannot_be_looked_for_is_refused(caller: Caller, query: dict[str, Any], parameter: str) -> None:
    """A parameter that is wrong, unknown or given twice is 422 and named, instead of finding everything."""
    answer = caller.http.get("/history", params=query)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert answer.json()["detail"]["parameter"] == parameter


# ---- words


def test_words_are_found_as_in_a_search_engine(caller: Caller) -> None:
    """Words in any case, phrases, or, and not; what is found is marked, and a task without a transcript is not."""
    first = transcribed(caller, "The train to Zürich was late again.")
    second = transcribed(caller, "A late train is better than NO train.")
    caller.task()
    assert hits(caller, q="train") == [second, first]
    assert hits(caller, q="zürich") == hits(caller, q="ZÜRICH") == [first]
    assert hits(caller, q='"late train"') == [second]
    assert hits(caller, q="train -better") == [first]
    assert hits(caller, q="better or zürich") == [second, first]
    assert hits(caller, q="trains") == []
    answer = caller.http.get("/history", params={"q": "late train"})
    assert snippets(answer) == [
        "A [late] [train] is better than NO [train].",
        "The [train] to Zürich was [late] again.",
    ]
    assert all(item["snippets"] is None for item in caller.http.get("/history").json()["items"])


@pytest.mark.parametrize(("letters", "length"), [("abcdefghijklmnopqrstuvwxyz0123456789", 4), ("жзийклмнопрст", 3)])
def test_no_transcript_has_too_many_words(caller: Caller, letters: str, length: int) -> None:
    """Hours of words-with-hyphens, each another, would fill PostgreSQL's index of a text three times over: the task is
    done all the same, and found by how it begins."""
    words = ("".join(letters) for letters in itertools.product(letters, repeat=length))
    pairs = itertools.islice(zip(words, words, strict=False), 400_000 // (2 * length + 2))
    task = transcribed(caller, "anfang " + " ".join("-".join(pair) for pair in pairs))
    assert hits(caller, q="anfang") == [task]


def test_what_was_said_cannot_be_taken_for_a_mark(caller: Caller) -> None:
    """Snippets are runs of text: markup and control characters that somebody said or wrote mark nothing."""
    transcribed(caller, HOSTILE)
    (item,) = caller.http.get("/history", params={"q": "verdict"}).json()["items"]
    runs = [run for place in item["snippets"] for run in place["runs"]]
    assert [run["text"] for run in runs if run["is_match"]] == ["verdict", "verdict"]
    assert not any(mark in run["text"] for run in runs for mark in "\x01\x02\x03")
    assert len(hits(caller, q="script")) == 1


def test_nobody_finds_what_another_key_has(gateway: Gateway, caller: Caller) -> None:
    """Not by words, by tags, nor by making the other's id a tag or a word."""
    transcribed(caller, "a secret", tags="secret")
    stranger = gateway.caller()
    stranger.task(tags=f"secret,{caller.id}")
    transcribed(stranger, f"a secret {caller.id} of {stranger.id}", tags="secret")
    assert hits(stranger, q="a secret", tag="secret") != hits(caller, q="a secret", tag="secret")
    for query in ({"q": "secret"}, {"tag": "secret"}):
        assert len(hits(caller, **query)) == 1
    assert len(hits(gateway.caller(), tag="secret")) == 0


# ---- pages


@pytest.fixture(scope="module")
def historian(gateway: Gateway) -> Caller:
    """A caller with more tasks than are looked at one by one."""
    caller = gateway.caller()
    with engine().begin() as connection:
        archive.insert(connection, caller.id, NEWEST + 700, words=5)
    return caller


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (Filters(words=archive.COMMON), lambda job: archive.COMMON in job.full_text.split()),
        (Filters(words=archive.MEDIUM), lambda job: archive.MEDIUM in job.full_text.split()),
        (Filters(words=archive.OLD), lambda job: archive.OLD in job.full_text.split()),
        (Filters(words="nowhere"), lambda job: False),
        (Filters(words=f"-{archive.OLD}"), lambda job: archive.OLD not in job.full_text.split()),
        (Filters(tags=(archive.COMMON_TAG,)), lambda job: archive.COMMON_TAG in job.tags),
        (Filters(words=archive.MEDIUM, language="de"), lambda job: False),
        (
            Filters(words=archive.OLD, tags=(archive.COMMON_TAG,), language="en", model="base"),
            lambda job: archive.OLD in job.full_text.split() and archive.COMMON_TAG in job.tags,
        ),
        (Filters(language="de"), lambda job: job.language == "de"),
        (Filters(language="de", state=JobState.ERROR), lambda job: (job.language, job.state) == ("de", "error")),
        (Filters(reference="case-9"), lambda job: job.reference == "case-9"),
        (Filters(), lambda job: True),
    ],
)
@pytest.mark.parametrize("limit", [100, 7])
def test_pages_hold_each_task_once(historian: Caller, filters: Filters, expected: Any, limit: int) -> None:
    """Whatever is looked for, and however it is spread, the pages together are all that there is, newest first."""
    with session() as work:
        everything = work.scalars(select(Job).where(Job.owner_id == historian.id).order_by(Job.id.desc())).all()
        job_ids, before, pages = [], None, 0
        while pages < 30:
            jobs, before = page(work, historian.id, limit=limit, before=before, filters=filters)
            job_ids += [job.id for job in jobs]
            pages += 1
            if before is None:
                break
        matches = [job.id for job in everything if expected(job)]
        assert job_ids == (matches if before is None else matches[: 30 * limit])


def test_a_link_leads_through_all_pages(historian: Caller) -> None:
    """The header `Link` keeps every filter, also a repeated one."""
    first = historian.http.get("/history", params={"tag": ["call", "call"], "limit": 100, "language": "en"})
    second = historian.http.get(first.links["next"]["url"])
    assert "tag=call&tag=call" in first.links["next"]["url"]
    ids = [item["task_id"] for answer in (first, second) for item in answer.json()["items"]]
    assert len(set(ids)) == 200
    assert all(item["tags"] == ["call"] and item["language"] == "en" for item in second.json()["items"])


def test_the_command_line_searches(gateway: Gateway, caller: Caller) -> None:
    """`parley history` takes the same filters, and a tag more than once; it says when the words are said."""
    task_id = transcribed(caller, "a train late", tags="a,b")
    transcribed(caller, "a train late", tags="a")
    command = [sys.executable, "-m", "cli", "history", "--json", "-q", '"train late"', "--tag", "a", "--tag", "b"]
    env = {**os.environ, "PARLEY_URL": gateway.url, "PARLEY_API_KEY": caller.key}
    process = subprocess.run(
        [*command, "--language", "en"], env=env, capture_output=True, text=True, timeout=60, check=True
    )
    (line,) = process.stdout.splitlines()
    assert json.loads(line)["task_id"] == task_id
    other_id = caller.task()
    finish(other_id, storage())
    table = [sys.executable, "-m", "cli", "history", "-q", "day"]
    process = subprocess.run(table, env=env, capture_output=True, text=True, timeout=60, check=True)
    assert f"{other_id}  00:00:01.2  Hello there. Good day." in process.stdout
    wrong = subprocess.run(
        [*command, "--since", "soon"], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert (wrong.returncode != 0, "since must be a time" in wrong.stderr) == (True, True)


# ---- export


def test_an_export_is_all_of_the_history(historian: Caller) -> None:
    """Every task once and in order, in both formats; filters hold as they do for pages."""
    with session() as work:
        expected = [
            str(job) for job in work.scalars(select(Job.id).where(Job.owner_id == historian.id).order_by(Job.id.desc()))
        ]
    lines = historian.http.get("/history/export", params={"format": "ndjson"}).text.splitlines()
    assert [json.loads(line)["task_id"] for line in lines] == expected
    table = list(csv.DictReader(io.StringIO(historian.http.get("/history/export").text)))
    assert [row["task_id"] for row in table] == expected
    some = historian.http.get("/history/export", params={"format": "ndjson", "q": archive.MEDIUM, "tag": "call"})
    assert len(some.text.splitlines()) == len([number for number in range(1, len(expected) + 1) if number % 100 == 7])


def test_an_export_is_read_back_as_it_was(caller: Caller) -> None:
    """Commas, quotes, line ends and markup survive; what a spreadsheet would compute has an apostrophe in front."""
    formula = "=HYPERLINK(0)"
    task = transcribed(caller, HOSTILE, tags="a b,+1", reference=formula)
    waiting = str(caller.task(reference="-2+3"))
    csv_answer = caller.http.get("/history/export", params={"text": "true"})
    assert csv_answer.headers["Content-Disposition"] == 'attachment; filename="history.csv"'
    assert csv_answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    first, second = csv.DictReader(io.StringIO(csv_answer.content.decode(), newline=""))
    assert (first["task_id"], first["reference"], first["text"]) == (waiting, "'-2+3", "")
    assert (second["reference"], second["tags"], second["text"]) == (f"'{formula}", "a b,+1", HOSTILE)
    assert (second["cached"], second["duration"], second["filename"]) == ("false", "2.0", "call.wav")
    for row in (first, second):
        assert not any(str(value).startswith(("=", "+", "-", "@")) for value in row.values())
    answer = caller.http.get("/history/export", params={"format": "ndjson", "text": "true", "status": "done"})
    (line,) = answer.text.removesuffix("\n").split("\n")
    row = json.loads(line)
    assert (row["task_id"], row["reference"], row["tags"], row["text"]) == (task, formula, ["a b", "+1"], HOSTILE)
    assert datetime.fromisoformat(row["finished_at"]).tzinfo == UTC


def test_an_export_of_nothing_and_of_nonsense(caller: Caller) -> None:
    """An empty history is a header, or no line; what is wrong with the request is an error and no file."""
    assert caller.http.get("/history/export").text.startswith("task_id,status,")
    assert caller.http.get("/history/export", params={"format": "ndjson"}).text == ""
    for query in ({"format": "xlsx"}, {"q": "?"}, {"limit": 5}):
        assert caller.http.get("/history/export", params=query).json()["code"] == "invalid_request"


def test_deleted_tasks_are_found_no_more(caller: Caller) -> None:
    """Deleting takes a task out of the search and the export at once."""
    task = transcribed(caller, "gone tomorrow", tags="gone")
    assert hits(caller, q="tomorrow") == [task]
    caller.http.delete(f"/tasks/{task}").raise_for_status()
    assert hits(caller, q="tomorrow") == hits(caller, tag="gone") == []
    assert task not in caller.http.get("/history/export").text
