"""The search of the history on a real gateway: what is on the screen finds its task, with the second it was said."""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st
from sqlalchemy import func, select, text

from api.history.headlines import places
from api.history.search import Filters, page
from shared.config import Settings
from shared.db import session
from shared.models import Job, SearchBacklog, SearchEntry
from shared.search import entries
from shared.storage import storage
from shared.text.search_query import parse
from shared.text.search_terms import pieces
from tests.service.gateway import Caller, Gateway, finish
from tests.service.history.search_cases import CASES, Case


def items(caller: Caller, words: str, **query: Any) -> list[dict[str, Any]]:
    answer = caller.http.get("/history", params={"q": words, **query})
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


def corrected(caller: Caller, task: uuid.UUID, wording: str, segment: int = 0) -> None:
    caller.http.patch(f"/tasks/{task}", json={"segments": [{"id": segment, "text": wording}]}).raise_for_status()


def matches(item: dict[str, Any]) -> str:
    """What is marked, place by place."""
    marks = [[run["text"] for run in place["runs"] if run["is_match"]] for place in item["snippets"]]
    return " / ".join(" ".join(place) for place in marks)


@pytest.fixture(scope="module")
def caller_and_task(gateway: Gateway) -> tuple[Caller, uuid.UUID]:
    """A finished task, whose first segment goes from 0 to 1 s and its second from 1.2 to 2 s."""
    caller = gateway.caller()
    task = caller.task()
    finish(task, storage())
    return caller, task


# ---- what is looked for


@pytest.mark.parametrize(("cases"), CASES.values(), ids=CASES.keys())
def test_what_is_on_the_screen_is_found(caller_and_task: tuple[Caller, uuid.UUID], cases: Sequence[Case]) -> None:
    """However it is written, and in every script; what was not said finds nothing."""
    caller, task = caller_and_task
    wrong = []
    for wording, words, is_there in cases:
        corrected(caller, task, wording)
        hits = items(caller, words)
        if [item["task_id"] for item in hits] != [str(task)] * is_there:
            wrong.append((wording, words))
        elif is_there and any(not clause.is_excluded for either in parse(words) for clause in either):
            assert matches(hits[0]), (wording, words)
    assert wrong == []


BY_WORD = ("abcdefgh'’-.,<>&\"“” \u0301éßÅø19½", "абвгдеёжй -–'", "कखगि ी्, ।", "ابتثم َُّ")
BY_CHARACTER = (
    "我们今天去图书馆开会，讨论预算。「」 ア々ーﾞ",
    "오늘도서관에서 회의가,.ㄱ",
    "วันนี้เรามีประชุมน้ำ ๆ",
    "မြန်မာ ကြည့်",
)


@pytest.fixture(scope="module")
def searched(environment: Settings, gateway: Gateway) -> uuid.UUID:
    return gateway.caller().id


@effort(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_every_part_of_a_transcript_finds_it(searched: uuid.UUID, data: st.DataObject) -> None:
    """Whole words of a transcript as displayed, or any characters of a script without spaces, copied into quotes."""
    letters = data.draw(st.sampled_from([*BY_WORD, *BY_CHARACTER]))
    wording = data.draw(st.text(letters, min_size=1, max_size=60))
    parts = list(pieces(wording, 1)) if letters in BY_CHARACTER else [f"{word} " for word in wording.split()]
    start = data.draw(st.integers(0, len(parts)))
    part = "".join(parts[start : data.draw(st.integers(start, len(parts)))])
    query = f'"{part.replace(chr(34), " ").translate(dict.fromkeys(map(ord, "“”"), " "))}"'
    if not parse(query):
        return
    with session() as work:
        job = Job(owner_id=searched, state="done", priority=1, options={}, full_text=wording)
        work.add(job)
        work.flush()
        entries.write(work, [job])
        jobs, _ = page(work, searched, limit=1, filters=Filters(words=query))
        assert [one.id for one in jobs] == [job.id], (wording, query)
        assert places(wording, [clause for either in parse(query) for clause in either]), (wording, query)
        work.rollback()


def test_names_are_searched_too(caller: Caller) -> None:
    """File name, tags and reference, also of a task that has no transcript yet; no phrase goes from one to the next."""
    recording = {"file": ("Réunion_du-conseil.2026.mp3", os.urandom(64))}
    answer = caller.http.post("/transcribe", files=recording, data={"tags": "north,Köln", "reference": "Case #17"})
    task = answer.json()["task_id"]
    finish_later = str(caller.task())
    for words in ("conseil", "reunion_du-conseil.2026.mp3", "KOLN", '"case 17"', "north conseil 17"):
        assert [(item["task_id"], item["snippets"]) for item in items(caller, words)] == [(task, [])], words
    for words in ('"mp3 north"', "south", "conseils"):
        assert items(caller, words) == [], words
    caller.http.patch(f"/tasks/{task}", json={"tags": ["south"], "reference": None}).raise_for_status()
    assert [item["task_id"] for item in items(caller, "south")] == [task]
    assert items(caller, "north") == items(caller, '"case 17"') == []
    assert [item["task_id"] for item in items(caller, "-conseil")] == [finish_later]


# ---- what a hit shows


def test_a_hit_has_its_second(caller: Caller) -> None:
    """Each place says when its first matched word is said: the time that the result shows, as corrected."""
    task = caller.task()
    finish(task, storage())

    def said_at(words: str) -> list[float]:
        return [place["start"] for item in items(caller, words) for place in item["snippets"]]

    def shown_at(word: str) -> list[float]:
        result = caller.http.get(f"/result/{task}", params={"timestamp_granularity": "word"}).json()
        return [one["start"] for segment in result["segments"] for one in segment["words"] if one["word"] == word]

    assert said_at("hello") == [0.0]
    assert said_at("there") == said_at('"there good"') == [0.5]
    assert said_at("day") == [1.2]
    corrected(caller, task, "Hello, my old friend there.")
    assert said_at("friend") == said_at('"friend there good"') == shown_at("friend")
    assert 0.4 < shown_at("friend")[0] < 0.5
    corrected(caller, task, "今天去图书馆。", segment=1)
    assert said_at("图书馆") == shown_at("图")
    assert 1.2 < shown_at("图")[0] < 2
    assert said_at("there") == [0.5]


def test_a_hit_is_shown_without_its_second_while_the_store_is_away(gateway: Gateway, caller: Caller) -> None:
    """The search needs only PostgreSQL."""
    task = caller.task()
    finish(task, storage())
    keys = [key for key in gateway.objects(caller) if "/store/" in key]
    storage().delete(keys)
    (item,) = items(caller, "hello")
    assert [(place["start"], place["runs"][0]["text"]) for place in item["snippets"]] == [(None, "Hello")]


def test_long_transcripts_keep_every_word(caller: Caller) -> None:
    """Of hours of speech also the last phrase is found, though one of its words was said thousands of times."""
    task = caller.task()
    finish(task, storage(), full_text="the same words of the day " * 40_000 + "then the end")
    assert [matches(item) for item in items(caller, '"then the end"')] == ["then the end"]
    assert items(caller, '"the then end"') == []
    assert len(items(caller, "then same")) == 1


def test_more_words_than_the_index_takes(caller: Caller) -> None:
    """Noise of more different words than PostgreSQL takes of one text is done all the same, and found by short ones."""
    task = caller.task()
    finish(task, storage(), full_text="begin " + " ".join(f"x{number:07}" for number in range(140_000)) + " end")
    assert len(items(caller, "begin end")) == 1


# ---- erasure


def test_nothing_of_an_erased_task_stays(caller: Caller) -> None:
    """Its entry goes with its row, in the same transaction."""
    task = caller.task()
    word = f"secret{task.hex}"
    finish(task, storage(), full_text=f"a {word}")
    with session() as work:
        assert work.get_one(SearchEntry, task).text.startswith(f" a {word} ")
    caller.http.delete(f"/tasks/{task}").raise_for_status()
    with session() as work:
        assert work.get(SearchEntry, task) is None
        assert work.get(SearchBacklog, task) is None
        raw = text("SELECT count(*) FROM search_entries WHERE job_id = :task OR text LIKE :word")
        assert work.scalar(raw, {"task": task, "word": f"%{word}%"}) == 0


def test_every_task_has_an_entry(caller: Caller) -> None:
    """Nothing that this release writes waits for the sweep."""
    finish(caller.task(), storage())
    caller.task()
    with session() as work:
        job_count = select(func.count()).select_from(Job).where(Job.owner_id == caller.id)
        there = select(func.count()).select_from(SearchEntry).where(SearchEntry.owner_id == caller.id)
        assert work.scalar(job_count) == work.scalar(there) == 2
        waiting = select(SearchBacklog.job_id).join(Job, Job.id == SearchBacklog.job_id)
        assert work.scalars(waiting.where(Job.owner_id == caller.id)).all() == []
