"""Following tasks on a real gateway: what a follower is told, and that a thousand of them cost no more than one."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import httpx
import psutil
import pytest
from sqlalchemy import ColumnElement, func, select, text, update
from uuid_utils.compat import uuid7

from api.waiting import follow
from shared import claims
from shared.claims import Answer
from shared.config import Settings
from shared.db import session
from shared.errors import UnexpectedError
from shared.kernel import events, leases
from shared.kernel.orders import JobOrder, Source
from shared.kernel.submission import new_jobs
from shared.models import Event, Job
from shared.options import JobOptions
from shared.repair import repair
from shared.storage import Storage
from shared.transcript import Segment, Shard, Word
from tests.service.gateway import (
    PATIENCE_S,
    SUMMARY,
    Caller,
    Gateway,
    eventually,
    finish,
    gateway_with,
    hand_in,
    work_on,
)

STREAMS = 1000
JOBS = 20


gateway = gateway_with()


def sentences(first: int, last: int) -> list[Segment]:
    """Segments of two seconds each, number `first` to `last` of a recording."""
    return [Segment(n, 2.0 * n, 2.0 * n + 1.5, f"Sentence {n}.", 0.9) for n in range(first, last + 1)]


def publish(claim: claims.Claim, segments: list[Segment]) -> None:
    with session() as work:
        events.publish(work, claim, segments)


def follower(caller: Caller, task_id: uuid.UUID, **headers: str) -> Iterator[dict[str, Any]]:
    """The events of a stream of lines, until it ends."""
    request_headers = {
        "Accept": "application/x-ndjson",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    with caller.http.stream("GET", f"/tasks/{task_id}/events", headers=request_headers) as answer:
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-ndjson")
        yield from (json.loads(line) for line in answer.iter_lines())


def at_transcribe(caller: Caller, storage: Storage) -> claims.Claim:
    """A fresh task whose speech recognition has begun."""
    task_id = caller.task()
    hand_in(work_on(task_id, "convert"), storage)
    return work_on(task_id, "transcribe")


def complete_from(claim: claims.Claim, storage: Storage) -> None:
    hand_in(claim, storage)
    for stage in ("merge", "store"):
        hand_in(work_on(claim.job_id, stage), storage)


# ---- what is told


def test_a_follower_hears_all_of_a_task(gateway: Gateway, caller: Caller) -> None:
    """From queued over progress and segments to done; progress never falls, and the stream ends by itself."""
    task_id = caller.task()
    stream: list[dict[str, Any]] = []

    def listen() -> None:
        for event in follower(caller, task_id):
            stream.append(event)  # at once, so that it is known what was told so far

    def details() -> list[str]:
        return [event["stage_detail"] for event in stream if event["event"] == "status"]

    listener = threading.Thread(target=listen)
    listener.start()
    eventually(lambda: stream, "the task is queued")
    hand_in(work_on(task_id, "convert"), gateway.storage)
    claim = work_on(task_id, "transcribe")
    with session() as work:
        leases.heartbeat(work, claim, progress=0.5, lease_s=30)
    publish(claim, sentences(0, 1))
    eventually(lambda: "transcribe 50 %" in details(), "half of it is done")
    publish(claim, sentences(2, 2))
    complete_from(claim, gateway.storage)
    listener.join(PATIENCE_S)
    segments = [event for event in stream if event["event"] == "segment"]
    assert [event["text"] for event in segments] == ["Sentence 0.", "Sentence 1.", "Sentence 2."]
    assert (segments[1]["start"], segments[1]["end"]) == (2.0, 3.5)
    statuses = [event for event in stream if event["event"] == "status"]
    assert {event["task_id"] for event in statuses} == {str(task_id)}
    progress = [event["progress"] for event in statuses]
    assert progress == sorted(progress)
    assert statuses[0]["status"] == "queued"
    assert stream[-1]["id"] == "end"
    assert (stream[-1]["status"], stream[-1]["progress"], stream[-1]["error"]) == ("done", 100, None)


def test_a_stream_goes_on_where_it_broke_off(gateway: Gateway, caller: Caller) -> None:
    """Last-Event-ID resumes behind that event; behind the last one of all the answer is 204, so browsers stop."""
    claim = at_transcribe(caller, gateway.storage)
    publish(claim, sentences(0, 2))
    stream = follower(caller, claim.job_id)
    second = next(event for event in stream if event.get("text") == "Sentence 1.")
    stream.close()  # type: ignore[attr-defined]
    complete_from(claim, gateway.storage)
    rest = list(follower(caller, claim.job_id, Last_Event_ID=second["id"]))
    assert [event["event"] for event in rest] == ["segment", "status"]
    assert rest[0]["text"] == "Sentence 2."
    again = caller.http.get(f"/tasks/{claim.job_id}/events", headers={"Last-Event-ID": rest[-1]["id"]})
    assert (again.status_code, again.content) == (204, b"")
    assert "unexpected_error" not in gateway.log()


def test_server_sent_events_have_their_form(gateway: Gateway, caller: Caller) -> None:
    """Without an Accept header the answer is text/event-stream: id, event and data, and a blank line behind each.

    Words are not told, and a null character ends nothing.
    """
    claim = at_transcribe(caller, gateway.storage)
    words = (Word(0.0, 0.4, "Zwei\n", 0.9), Word(0.4, 1.0, "Zeilen,\0 ä.", 0.9))
    publish(claim, [Segment(0, 0.0, 1.0, "Zwei\nZeilen,\0 ä.", 0.9, words=words)])
    complete_from(claim, gateway.storage)
    answer = caller.http.get(f"/tasks/{claim.job_id}/events")
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    segment, status, nothing = answer.text.split("\n\n")
    number, event, data = segment.split("\n")
    assert (number.startswith("id: "), event) == (True, "event: segment")
    assert json.loads(data.removeprefix("data: ")) == {"start": 0.0, "end": 1.0, "text": "Zwei\nZeilen, ä."}
    assert status.startswith("id: end\nevent: status\ndata: {")
    assert nothing == ""


def test_silence_is_broken_by_heartbeats(caller: Caller) -> None:
    """While nothing happens a follower hears that the connection lives."""
    task_id = caller.task()

    async def listen() -> list[bool]:
        news = follow(task_id, caller.id, after=0, heartbeat_s=0.2)
        return [await anext(news) is None for _ in range(3)]

    assert asyncio.run(listen()) == [False, True, True]


def test_a_failed_task_ends_its_stream_with_the_error(caller: Caller, gateway: Gateway) -> None:
    """The last status has the code and the message of what ended the task."""
    claim = work_on(caller.task(), "convert")
    with session() as work:
        leases.fail(work, claim, UnexpectedError("Broken."), max_attempts=1)
    *_, last = follower(caller, claim.job_id)
    assert (last["status"], last["error"]) == ("error", {"code": "unexpected_error", "message": "Broken."})


def test_a_deleted_task_ends_its_stream(caller: Caller) -> None:
    """A follower of a task that is deleted is told so."""
    task_id = caller.task()
    stream = follower(caller, task_id)
    assert next(stream)["status"] == "queued"
    assert caller.http.delete(f"/tasks/{task_id}").status_code == 200
    assert list(stream) == [{"event": "deleted", "id": "end", "task_id": str(task_id)}]


@pytest.mark.parametrize("position", ["x", "-1", "1" * 40, "²"])
def test_a_position_that_is_none_is_refused(caller: Caller, position: str) -> None:
    """422 for a Last-Event-ID that no event had."""
    headers = {"Last-Event-ID": position.encode()}
    answer = caller.http.get(f"/tasks/{caller.task()}/events", headers=headers)  # type: ignore[arg-type]
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


def test_nobody_follows_another_keys_task(gateway: Gateway, caller: Caller) -> None:
    """404 for another key's task, as for one that does not exist; 401 without a key."""
    task_id = caller.task()
    with gateway.caller().http as stranger:
        assert stranger.get(f"/tasks/{task_id}/events").status_code == 404
        assert stranger.get(f"/tasks/{uuid7()}/events").status_code == 404
    assert httpx.get(f"{gateway.url}/tasks/{task_id}/events", timeout=PATIENCE_S).status_code == 401


# ---- what workers publish


def published(job_id: uuid.UUID, *conditions: ColumnElement[bool]) -> list[str]:
    with session() as work:
        rows = work.scalars(select(Event.data).where(Event.job_id == job_id, *conditions).order_by(Event.id))
        return [row["text"].removeprefix("Sentence ").removesuffix(".") for row in rows]


def test_a_repeated_attempt_repeats_nothing(caller: Caller, bucket: Storage) -> None:
    """The second attempt begins anew, but followers are told only what lies behind what they were told before."""
    first = at_transcribe(caller, bucket)
    publish(first, sentences(0, 2))
    publish(first, sentences(2, 3))  # as after a COMMIT whose answer was lost
    with session() as work:
        leases.give_back(work, first)
    second = work_on(first.job_id, "transcribe")
    publish(second, sentences(0, 1))
    publish(second, sentences(2, 5))
    assert published(first.job_id) == ["0", "1", "2", "3", "4", "5"]


def test_a_stale_worker_publishes_nothing(caller: Caller, bucket: Storage) -> None:
    """Neither after its lease went to another, nor after the task ended or was deleted."""
    stale = at_transcribe(caller, bucket)
    with session() as work:
        leases.give_back(work, stale)
    publish(stale, sentences(0, 0))
    current = work_on(stale.job_id, "transcribe")
    publish(stale, sentences(0, 0))
    assert published(stale.job_id) == []
    complete_from(current, bucket)
    publish(current, sentences(0, 0))
    assert published(stale.job_id) == []
    assert caller.http.delete(f"/tasks/{stale.job_id}").status_code == 200
    publish(current, sentences(0, 0))
    assert published(stale.job_id) == []


def test_the_shards_of_a_recording_are_told_in_its_order(caller: Caller, bucket: Storage) -> None:
    """What a later shard says is held back until those before it are done; then all of it is told, each once."""
    task_id = caller.task()
    convert = work_on(task_id, "convert")
    plan = [asdict(Shard(20.0 * n, 20.0 * n + 20, 20.0 * n, 20.0 * n + 20)) for n in range(3)]
    with session() as work:
        leases.complete(work, convert, Answer(f"{convert.owner_id}/{task_id}/c", 1, SUMMARY | {"shards": plan}))
        shards = [leases.claim(work, task_id, "transcribe", n, worker="w", device="cpu", lease_s=30) for n in range(3)]
    condition = Event.kind == events.SEGMENT
    first, second, third = (claim for claim in shards if claim)
    publish(second, sentences(10, 12))
    publish(third, sentences(20, 20))
    publish(second, sentences(12, 13))
    publish(first, sentences(0, 1))
    assert published(task_id, condition) == ["0", "1"]
    hand_in_shard(third, sentences(21, 21))
    assert published(task_id, condition) == ["0", "1"]
    hand_in_shard(first, sentences(2, 2))
    assert published(task_id, condition) == ["0", "1", "2", "10", "11", "12", "13"]
    publish(second, sentences(13, 14))
    hand_in_shard(second, sentences(15, 15))
    assert published(task_id, condition) == ["0", "1", "2", "10", "11", "12", "13", "14", "15", "20", "21"]


def hand_in_shard(claim: claims.Claim, segments: list[Segment]) -> None:
    key = f"{claim.owner_id}/{claim.job_id}/{claim.stage}/{claim.shard}.{claim.fence}.json"
    with session() as work:
        events.publish(work, claim, segments, ended=True)
        leases.complete(work, claim, Answer(key, 1, SUMMARY))


def test_events_go_an_hour_after_the_end(environment: Settings, bucket: Storage, owner: uuid.UUID) -> None:
    """The sweep forgets the segments of what ended long ago; those of younger and of unfinished jobs stay."""
    long_ago = uuid.UUID(int=int((time.time() - 7200) * 1000) << 80 | uuid.uuid4().int >> 52)
    unfinished = uuid.UUID(int=int((time.time() - 7200) * 1000) << 80 | uuid.uuid4().int >> 52)
    just_now = uuid7()
    with session() as work:
        for job_id in (long_ago, unfinished, just_now):
            source = Source(f"{owner}/{job_id}/upload", uuid.uuid4().hex, 10, "call.wav")
            new_jobs.submit(work, JobOrder(job_id=job_id, owner_id=owner, source=source, options=JobOptions()))
            work.add(Event(job_id=job_id, kind=events.SEGMENT, data={"text": "a"}))
        work.flush()
        over = update(Job).where(Job.id.in_((long_ago, just_now)))
        work.execute(over.values(state="done", finished_at=func.now() - text("interval '61 minutes'")))
        work.execute(update(Job).where(Job.id == just_now).values(finished_at=func.now()))
    repair(environment, bucket, lambda _: None)
    assert [len(published(job_id)) for job_id in (long_ago, unfinished, just_now)] == [0, 1, 1]


# ---- a thousand followers


def test_a_thousand_followers_cost_no_more_than_one(gateway: Gateway, caller: Caller) -> None:
    """1,000 open streams hold a handful of threads and connections, and each of them is told of the end."""
    task_ids = [caller.task() for _ in range(JOBS)]
    process = psutil.Process(gateway.stack.pid("api"))
    process = (process.children(recursive=True) or [process])[-1]

    async def begin(task_id: uuid.UUID) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = gateway.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        request = f"GET /tasks/{task_id}/events HTTP/1.0\r\nHost: {host}\r\nX-API-Key: {caller.key}\r\n\r\n"
        writer.write(request.encode())
        await reader.readuntil(b'"status": "queued"')
        return reader, writer

    async def rest(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        answer = (await reader.read()).decode()
        writer.close()
        return answer

    async def listen() -> tuple[list[str], int, int]:
        async with asyncio.timeout(2 * PATIENCE_S):
            streams = await asyncio.gather(*(begin(task_ids[n % JOBS]) for n in range(STREAMS)))
            threads, connections = process.num_threads(), await asyncio.to_thread(connections_of, process)
            for task_id in task_ids:
                await asyncio.to_thread(finish, task_id, gateway.storage)
            return await asyncio.gather(*(rest(*stream) for stream in streams)), threads, connections

    answers, threads, connections = asyncio.run(listen())
    assert sum('"status": "done"' in answer and answer.count("id: end\n") == 1 for answer in answers) == STREAMS
    print(f"{STREAMS} streams: {threads} threads, {connections} connections to PostgreSQL")
    # 40 threads and 10 connections are what the gateway keeps of a burst of requests, whatever they were; its event
    # loop has up to 8 for polls, and one that listens
    assert (threads <= 50, connections <= 10 + 8 + 1) == (True, True)


def connections_of(process: psutil.Process) -> int:
    """Sockets of the process that are connected to PostgreSQL."""
    with session() as work:
        port = int(work.scalar(text("SHOW port")) or 0)
    return sum(bool(socket.raddr) and socket.raddr.port == port for socket in process.net_connections("tcp"))
