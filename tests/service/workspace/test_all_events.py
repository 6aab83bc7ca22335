"""GET /events: one stream tells of all tasks of a key, and of what was missed when it is resumed."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from api.routes.workspace import feed
from api.routes.workspace.feed import Feed, follow
from shared.db import session
from shared.errors import TooManyStreams
from tests.service.gateway import PATIENCE_S, Caller, Gateway, finish, work_on

REVOKED_WITHIN_S = 10


class Stream:
    """What a stream tells, one event after another."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self.last_id = ""
        self.tasks: set[str] = set()

    def until(self, task: uuid.UUID, what: str) -> dict[str, Any]:
        """The first event from here on that says this of the task, by its status or name."""
        deadline = time.monotonic() + PATIENCE_S
        for line in self._lines:
            assert time.monotonic() < deadline
            event: dict[str, Any] = json.loads(line)
            self.last_id = event.get("id", self.last_id)
            self.tasks |= {event["task_id"]} if "task_id" in event else set()
            if event.get("task_id") == str(task) and what in (event["event"], event.get("status")):
                return event
        raise AssertionError("the stream has ended")


@contextmanager
def stream(caller: Caller, last_id: str = "") -> Iterator[Stream]:
    headers = {"Accept": "application/x-ndjson", **({"Last-Event-ID": last_id} if last_id else {})}
    with caller.http.stream("GET", "/events", headers=headers) as answer:
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-ndjson")
        yield Stream(answer.iter_lines())


def test_all_tasks_come_in_one_stream(gateway: Gateway, caller: Caller) -> None:
    """Those that are there at the beginning, those that come, their beginning, their end and their deletion; nothing
    of another key."""
    stranger = gateway.caller().task()
    first = caller.task()
    with stream(caller) as updates:
        assert updates.until(first, "queued")["queue_position"] == 1
        second = caller.task()
        assert updates.until(second, "queued")["queue_position"] == 2
        work_on(first, "convert")
        assert updates.until(first, "processing")["stage_detail"] == "convert 0 %"
        finish(second, gateway.storage)
        ended = updates.until(second, "done")
        assert (ended["progress"], ended["eta_seconds"]) == (100, 0)
        for task in (first, second):
            caller.http.delete(f"/tasks/{task}").raise_for_status()
            assert updates.until(task, "deleted")
    assert updates.tasks == {str(first), str(second)}
    assert str(stranger) not in updates.tasks


def test_a_stream_that_is_resumed_tells_what_was_missed(gateway: Gateway, caller: Caller) -> None:
    """Behind the last id: ends and deletions since then, and where unfinished tasks stand."""
    waiting, ending, leaving = (caller.task() for _ in range(3))
    with stream(caller) as updates:
        updates.until(leaving, "queued")
        assert updates.last_id.isdigit()
        last_id = updates.last_id
    finish(ending, gateway.storage)
    caller.http.delete(f"/tasks/{leaving}").raise_for_status()
    for task, what in ((waiting, "queued"), (ending, "done"), (leaving, "deleted")):
        with stream(caller, last_id) as updates:
            assert updates.until(task, what)


def test_server_sent_events_by_default(caller: Caller) -> None:
    """An EventSource gets its format, and an event at once although nothing is new: it says where to go on."""
    with caller.http.stream("GET", "/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        first = [next(lines) for _ in range(3)]
        assert first[0].removeprefix("id: ").isdigit()
        assert first[1:] == ["event: ready", "data: {}"]


@pytest.mark.parametrize("last_id", ["x", "-1", "9" * 30, "0" * 20 + "9" * 30, "1.5"])
def test_an_id_of_no_event_is_refused(caller: Caller, last_id: str) -> None:
    answer = caller.http.get("/events", headers={"Last-Event-ID": last_id})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert answer.json()["detail"] == {"parameter": "Last-Event-ID"}


def test_a_stream_ends_with_its_key(gateway: Gateway, caller: Caller) -> None:
    """Within seconds of the revocation; without a key there is none."""
    assert httpx.get(f"{gateway.url}/events", timeout=30).status_code == 401
    with caller.http.stream("GET", "/events") as answer:
        lines = answer.iter_lines()
        next(lines)
        gateway.caller("admin").http.delete(f"/admin/keys/{caller.id}").raise_for_status()
        began = time.monotonic()
        for _ in lines:
            pass
    assert time.monotonic() - began < REVOKED_WITHIN_S


def test_a_stream_ends_with_its_session(gateway: Gateway, caller: Caller) -> None:
    """Not when its cookie is renewed, and within seconds of signing out."""
    with httpx.Client(base_url=gateway.url, timeout=PATIENCE_S) as browser:
        browser.cookies = caller.http.post("/session").cookies
        with browser.stream("GET", "/events") as answer:
            lines = answer.iter_lines()
            next(lines)
            headers = {"X-CSRF-Token": browser.get("/session").json()["csrf_token"]}
            headers = {"X-CSRF-Token": browser.post("/session", headers=headers).json()["csrf_token"]}
            task = caller.task()
            assert any(str(task) in line for line in lines)
            browser.delete("/session", headers=headers).raise_for_status()
            began = time.monotonic()
            for _ in lines:
                pass
    assert time.monotonic() - began < REVOKED_WITHIN_S


def test_a_key_has_a_bounded_number_of_streams(caller: Caller) -> None:
    """One more is refused until another has ended; another key has its own."""

    async def first(owner_id: uuid.UUID) -> Any:
        news = follow(Feed(owner_id, None), 10)
        await anext(news)
        return news

    async def many() -> None:
        streams = [await first(caller.id) for _ in range(feed.MAX_STREAMS)]
        with pytest.raises(TooManyStreams):
            await first(caller.id)
        streams.append(await first(uuid.uuid4()))
        await streams.pop(0).aclose()
        streams.append(await first(caller.id))
        for news in streams:
            await news.aclose()

    asyncio.run(many())


def test_of_too_much_that_was_missed_the_latest_is_told(caller: Caller) -> None:
    """A stream that is resumed after very many ends tells of the last ones."""
    rows = """
    INSERT INTO jobs (id, owner_id, state, priority, options, finished_at)
    SELECT gen_random_uuid(), :owner, 'done', 5, '{}', now() - :count * interval '1 ms' + number * interval '1 ms'
    FROM generate_series(1, :count) AS number RETURNING id
    """
    count = feed.MOST_OVER + 10
    with session() as work:
        work.execute(text(rows), {"owner": caller.id, "count": count})
        of_key = text("SELECT id FROM jobs WHERE owner_id = :owner ORDER BY finished_at")
        ids = list(work.scalars(of_key, {"owner": caller.id}))
    task_ids = {change.task_id for change in Feed(caller.id, 1).look().changes}
    assert task_ids == set(ids[10:])
