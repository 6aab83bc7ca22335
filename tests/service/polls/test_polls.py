"""Polls on a real gateway: what they say of a task, and to whom."""

from __future__ import annotations

import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import httpx
from sqlalchemy import text, update

from api.bodies import views
from scripts.local.stack import Stack
from shared.db import session
from shared.errors import NoAudio
from shared.kernel import erasure, job_views, leases
from shared.models import Stage
from tests.service.gateway import (
    PATIENCE_S,
    Caller,
    Gateway,
    eventually,
    finish,
    gateway_with,
    hand_in,
    work_on,
)

OURS = ("/status/{}", "/tasks/{}", "/result/{}")
PATHS = (*OURS, "/jobs/{}", "/transcribe/{}", "/api/v1/status/{}", "/api/v1/result/{}")
"""All that is asked again and again."""


gateway = gateway_with(MAX_WAIT_S="60")


def problem(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def processing(caller: Caller, gateway: Gateway) -> uuid.UUID:
    """A task in the midst of its work."""
    task_id = caller.task()
    hand_in(work_on(task_id, "convert"), gateway.storage)
    work_on(task_id, "transcribe")
    return task_id


def disconnect(condition: str) -> int:
    """End connections to PostgreSQL, but for this one; how many."""
    ends = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    with session() as work:
        return work.scalar(text(f"{ends} AND datname = current_database() AND {condition}")) or 0


# ---- what they say


def test_a_poll_says_what_a_session_reads(gateway: Gateway, caller: Caller) -> None:
    """GET /tasks and GET /status are the same for the event loop and for a session, at each stage of a task."""
    task_id = caller.task(diarization="true", tags="one,two", reference="case-17")

    def agree() -> None:
        with session() as work:
            view = job_views.get(work, caller.id, task_id)
        assert caller.http.get(f"/tasks/{task_id}").json() == json.loads(views.task_detail(view).model_dump_json())
        assert caller.http.get(f"/status/{task_id}").json() == json.loads(views.task_status(view).model_dump_json())

    agree()
    hand_in(work_on(task_id, "convert"), gateway.storage)
    agree()
    claim = work_on(task_id, "transcribe")
    with session() as work:
        leases.heartbeat(work, claim, progress=0.31, lease_s=30)
    agree()
    hand_in(claim, gateway.storage)
    hand_in(work_on(task_id, "diarize"), gateway.storage)
    agree()
    for stage in ("merge", "store"):
        hand_in(work_on(task_id, stage), gateway.storage)
    agree()
    body = caller.http.get(f"/tasks/{task_id}").json()
    assert (body["tags"], body["reference"], body["status"]) == (["one", "two"], "case-17", "done")
    assert all(stage["finished_at"] for stage in body["stages"] if stage["name"] not in ("download",))


def test_a_poll_forecasts_the_end(gateway: Gateway, caller: Caller) -> None:
    """`eta_seconds` comes from recent runs, also for a task that is being worked on."""
    ended_task = caller.task(model="tiny")
    finish(ended_task, gateway.storage)
    with session() as work:  # 10 s of audio took a worker 50 s
        work.execute(
            update(Stage)
            .where(Stage.job_id == ended_task, Stage.name == "transcribe")
            .values(audio_seconds=10.0, finished_at=Stage.started_at + text("interval '50 s'"))
        )
    task_id = caller.task(model="tiny")
    hand_in(work_on(task_id, "convert"), gateway.storage)
    claim = work_on(task_id, "transcribe")
    with session() as work:
        leases.heartbeat(work, claim, progress=0.5, lease_s=30)
    assert caller.http.get(f"/status/{task_id}").json()["eta_seconds"] == 5  # half of 2 s of audio


def test_a_failed_task_says_why(caller: Caller) -> None:
    """The error is in the status, and is the answer to /result with its own status."""
    task_id = caller.task()
    claim = work_on(task_id, "convert")
    with session() as work:
        leases.fail(work, claim, NoAudio("No sound."), max_attempts=3)
    body = caller.http.get(f"/status/{task_id}").json()
    assert (body["status"], body["error"]) == ("error", {"code": "no_audio", "message": "No sound."})
    assert problem(caller.http.get(f"/result/{task_id}")) == (422, "no_audio")


# ---- to whom


def test_polls_are_for_the_owner(gateway: Gateway, caller: Caller) -> None:
    """404 for another key's task and for one that there is not, 403 without the scope, 401 without a key."""
    task_id = processing(caller, gateway)
    for path in PATHS:
        own, strangers = path.format(task_id), (gateway.caller().http, gateway.caller("admin").http)
        assert caller.http.get(own).status_code in (200, 409)
        assert problem(strangers[0].get(own)) == (404, "not_found")
        assert problem(strangers[1].get(own)) == (403, "forbidden")
        assert problem(httpx.get(f"{gateway.url}{own}", timeout=30)) == (401, "unauthorized")
        assert problem(caller.http.get(path.format(uuid.uuid4()))) == (404, "not_found")
        assert problem(caller.http.get(path.format("no-id"))) == (404, "not_found")


def test_a_revoked_key_polls_no_more(gateway: Gateway, caller: Caller) -> None:
    """However often a key was let in before, it is not after it was revoked."""
    task_id = processing(caller, gateway)
    for _ in range(20):
        assert caller.http.get(f"/status/{task_id}").status_code == 200
    assert gateway.caller("admin").http.delete(f"/admin/keys/{caller.id}").status_code == 204
    for path in PATHS:
        assert problem(caller.http.get(path.format(task_id))) == (401, "unauthorized")


def test_polls_count(gateway: Gateway) -> None:
    """Each is a request of its key: the answers say how many are left, and 429 comes behind the last."""
    caller = gateway.limited(requests_per_minute=4)
    task_id = caller.task()
    answers = [caller.http.get(f"/status/{task_id}", params={"wait": 0.1}) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert '"requests";r=2' in answers[0].headers["RateLimit"]
    assert int(answers[3].headers["Retry-After"]) > 0


def test_a_poll_is_logged(gateway: Gateway, caller: Caller) -> None:
    """The line has the task, the caller and the path; the metrics have the route."""
    task_id = caller.task()
    answer = caller.http.get(f"/status/{task_id}", headers={"X-Request-Id": f"poll-{task_id}"})
    assert answer.headers["X-Request-Id"] == f"poll-{task_id}"

    def line() -> dict[str, object] | None:
        lines = (line for line in gateway.log().splitlines() if f'"poll-{task_id}"' in line)
        return next((json.loads(line) for line in lines), None)

    logged = eventually(line, "the line is written")
    assert (logged["job_id"], logged["caller_id"], logged["status"]) == (str(task_id), str(caller.id), 200)
    metrics = httpx.get(f"{gateway.url}/metrics", timeout=30).text
    assert 'route="/status/{task_id}",status="200"' in metrics.replace("'", '"')


# ---- waiting


def test_a_status_can_be_waited_for(gateway: Gateway, caller: Caller) -> None:
    """With `wait` the answer comes with the end of the task; of one that has ended, at once."""
    task_id = caller.task()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(caller.http.get, f"/status/{task_id}", params={"wait": 60})
        time.sleep(0.5)
        assert not waiting.done()
        finish(task_id, gateway.storage)
        assert waiting.result(PATIENCE_S).json()["status"] == "done"
    assert caller.http.get(f"/status/{task_id}?wait=60").json()["status"] == "done"


def test_a_wait_for_a_status_is_over_in_time(gateway: Gateway, caller: Caller) -> None:
    """A task that goes on is told as it stands after so many seconds."""
    task_id = processing(caller, gateway)
    began = time.monotonic()
    assert caller.http.get(f"/status/{task_id}?wait=1").json()["status"] == "processing"
    assert 1 <= time.monotonic() - began < PATIENCE_S
    for wrong in ("-1", "soon", "nan", "inf"):
        refused = caller.http.get(f"/status/{task_id}?wait={wrong}")
        assert (refused.status_code, refused.json()["detail"]) == (422, {"parameter": "wait"})


def test_a_wait_for_a_status_ends_with_the_task_and_with_the_key(gateway: Gateway, caller: Caller) -> None:
    """404 when the task is deleted meanwhile, 401 when the key is revoked."""
    deleted, remaining = caller.task(), caller.task()
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(caller.http.get, f"/status/{task_id}?wait=60") for task_id in (deleted, remaining)]
        time.sleep(0.5)
        with session() as work:
            erasure.erase(work, caller.id, deleted)
        assert problem(waiting[0].result(PATIENCE_S)) == (404, "not_found")
        gateway.caller("admin").http.delete(f"/admin/keys/{caller.id}")
        assert problem(waiting[1].result(PATIENCE_S)) == (401, "unauthorized")


# ---- when connections end


def test_polls_outlive_their_connections(gateway: Gateway, caller: Caller) -> None:
    """PostgreSQL ends all connections: the next polls, many at once, are answered all the same."""
    task_id = processing(caller, gateway)
    with ThreadPoolExecutor(16) as pool:

        def polls() -> set[int]:
            return set(pool.map(lambda _: caller.http.get(f"/status/{task_id}").status_code, range(64)))

        for _ in range(3):
            assert polls() == {200}
            assert disconnect("true") > 0
        assert polls() == {200}


def test_polls_find_postgres_again(servers: Stack, gateway: Gateway, caller: Caller) -> None:
    """While PostgreSQL is away each poll is 503; once it is back they are answered, and waits hear of ends again."""
    task_id = processing(caller, gateway)
    servers.stop_process("postgres")
    try:
        for path in OURS:
            assert problem(caller.http.get(path.format(task_id))) == (503, "database_unavailable")
    finally:
        servers.start_process("postgres")
    eventually(lambda: caller.http.get(f"/status/{task_id}").status_code == 200, "a poll is answered")
    waited = caller.task()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(caller.http.get, f"/status/{waited}?wait=60")
        finish(waited, gateway.storage)
        assert waiting.result(PATIENCE_S).json()["status"] == "done"


def test_a_wait_outlives_the_listening_connection(gateway: Gateway, caller: Caller) -> None:
    """While the connection is away on which the gateway hears of ends, it looks for them; then it listens again."""
    listener = "application_name = 'parley-listener'"

    def listening() -> set[int]:
        with session() as work:
            return set(work.scalars(text(f"SELECT pid FROM pg_stat_activity WHERE {listener}")))

    task_id = caller.task()
    before = eventually(listening, "the gateway listens")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(caller.http.get, f"/status/{task_id}?wait=60")
        time.sleep(0.5)
        assert disconnect(listener) == 1
        eventually(lambda: not before & listening(), "the connection has ended")
        finish(task_id, gateway.storage)
        assert waiting.result(PATIENCE_S).json()["status"] == "done"
    eventually(listening, "the gateway listens again")
    assert "listening_ended" in gateway.log()
