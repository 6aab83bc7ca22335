"""Who may do what on a real gateway, and what failures and the log tell."""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass
from pathlib import Path

import httpx
from sqlalchemy import update

from scripts.local.stack import Stack
from shared.config import Settings
from shared.db import session
from shared.models import Job
from shared.options import JobOptions
from shared.storage import storage_of
from tests.service.gateway import TRANSCRIPT, Caller, Gateway, eventually, finish, gateway_on


def problem(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


# ---- who may


@dataclass(frozen=True)
class Call:
    """One call of the API, as OpenAPI describes it."""

    method: str
    path: str
    is_ours: bool
    """False for the APIs of others, whose errors have shapes of their own."""
    needs_key: bool

    @property
    def names_a_task(self) -> bool:
        """By its id, or by the hash of its recording."""
        return "{" in self.path and "{key_id}" not in self.path

    @property
    def needs_admin(self) -> bool:
        return self.path.startswith("/admin") or (self.method, self.path) in OF_ALL_KEYS

    def address(self, task_id: uuid.UUID, content: str = "0" * 64) -> str:
        """The path with its variables filled in."""
        return re.sub(r"{(\w+)}", lambda name: content if "hash" in name[1] else str(task_id), self.path)


OF_ALL_KEYS = {("POST", "/jobs/repair"), ("POST", "/jobs/clear"), ("DELETE", "/jobs/all")}
OURS = {"transcribe", "batches", "uploads", "tasks", "catalogue", "health", "admin", "webhooks", "sessions", "shares"}


def calls(gateway: Gateway) -> list[Call]:
    paths = httpx.get(f"{gateway.url}/openapi.json", timeout=30).json()["paths"]
    return [
        Call(method.upper(), path, bool(OURS & set(operation["tags"])), "security" in operation)
        for path, operations in paths.items()
        for method, operation in operations.items()
    ]


def test_another_keys_task_is_not_there(gateway: Gateway, caller: Caller) -> None:
    """Every call about a task answers another key, an admin's too, exactly as if the task did not exist."""
    task_id = caller.task()
    finish(task_id, gateway.storage)
    content = caller.http.get(f"/tasks/{task_id}").json()["file"]["sha256"]
    about_a_task = [call for call in calls(gateway) if call.names_a_task]
    assert len(about_a_task) > 10
    for stranger in (gateway.caller(), gateway.caller("transcribe", "admin")):
        for call in about_a_task:
            real = stranger.http.request(call.method, call.address(task_id, content))
            unreal = stranger.http.request(call.method, call.address(uuid.uuid4()))
            assert real.status_code == unreal.status_code == 404, call
            if call.is_ours:
                assert problem(real) == (404, "not_found"), call
                assert real.json()["message"] == unreal.json()["message"]
        assert stranger.http.get("/history").json()["items"] == []
    assert caller.status(task_id) == "done"


def test_nothing_but_health_works_without_a_key(gateway: Gateway) -> None:
    """No key, a wrong one and a revoked one are 401 for every call; OpenAPI says which calls need one."""
    revoked, admin = gateway.caller(), gateway.caller("admin")
    admin.http.delete(f"/admin/keys/{revoked.id}").raise_for_status()
    with httpx.Client(base_url=gateway.url, timeout=30) as http:
        for call in calls(gateway):
            assert call.needs_key != call.path.startswith(("/health", "/metrics", "/shared/")), call
            for headers in (
                {},
                {"Authorization": "Bearer nonsense"},
                {"X-API-Key": revoked.key},
                {"Authorization": "Basic eDp5"},
            ):
                if not call.needs_key:
                    continue
                answer = http.request(call.method, call.address(uuid.uuid4()), headers=headers)
                assert answer.status_code == 401, call
                if call.is_ours:
                    assert problem(answer) == (401, "unauthorized"), call
                    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_scopes_are_kept_apart(gateway: Gateway, caller: Caller) -> None:
    """A transcribing key administers nothing, an administrator's key alone transcribes nothing."""
    admin = gateway.caller("admin")
    for call in calls(gateway):
        if not call.needs_key or call.path == "/session":  # where any key can sign in
            continue
        wrong = caller if call.needs_admin else admin
        answer = wrong.http.request(call.method, call.address(uuid.uuid4()))
        assert answer.status_code == 403, call
        if call.is_ours:
            assert problem(answer) == (403, "forbidden"), call


# ---- errors and logs


def test_every_failure_has_the_same_body(gateway: Gateway, caller: Caller) -> None:
    """Unknown paths and methods, ids that are none, and validation all answer with code, message and request id."""
    for method, path, status, code in (
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/status/1", 404, "not_found"),
        ("PUT", "/history", 405, "method_not_allowed"),
        ("GET", "/history?limit=x", 422, "invalid_request"),
    ):
        answer = caller.http.request(method, path)
        assert problem(answer) == (status, code)
        assert answer.json()["request_id"] == answer.headers["X-Request-Id"]
    assert caller.http.put("/history").headers["Allow"] == "GET, HEAD"
    assert caller.http.put("/jobs").headers["Allow"] == "GET, HEAD, POST"  # two routes, in two modules


def test_an_unforeseen_failure_tells_nothing(gateway: Gateway, caller: Caller) -> None:
    """A row that cannot be read is 500 with a request id; what happened is in the log under that id only."""
    task_id = caller.task()
    with session() as work:
        work.execute(update(Job).where(Job.id == task_id).values(options={"model": {"secret": "detail"}}))
    answer = caller.http.get(f"/tasks/{task_id}", headers={"X-Request-Id": "broken-row"})
    with session() as work:  # others work on whatever is queued here
        work.execute(update(Job).where(Job.id == task_id).values(options=JobOptions().stored()))
    assert problem(answer) == (500, "unexpected_error")
    assert answer.headers["X-Request-Id"] == answer.json()["request_id"] == "broken-row"
    assert "secret" not in answer.text
    logged = [json.loads(line) for line in gateway.log().splitlines() if '"broken-row"' in line]
    assert any("ValidationError" in line.get("exception", "") for line in logged)


def test_a_request_keeps_its_id(caller: Caller) -> None:
    """A client's id comes back without what does not belong in a log, and not longer than 128; else one is made."""
    ids = {"abc-1": "abc-1", 'a"b<c': "abc", "x" * 500: "x" * 128}
    for request_id, answer_id in ids.items():
        assert caller.http.get("/history", headers={"X-Request-Id": request_id}).headers["X-Request-Id"] == answer_id
    new_ids = {caller.http.get("/history").headers["X-Request-Id"] for _ in range(2)}
    assert len(new_ids) == 2


def test_the_log_has_a_line_per_request_and_no_secret(gateway: Gateway, caller: Caller) -> None:
    """It names component, task, status and time as JSON, but neither keys nor what is in a query."""
    task_id = caller.task()
    caller.http.get(f"/result/{task_id}", params={"format": "srt"}, headers={"X-Request-Id": "a-look-at-the-log"})
    eventually(lambda: "a-look-at-the-log" in gateway.log(), "the line, which is written after the answer")
    lines = [json.loads(line) for line in gateway.log().splitlines()]
    line = next(line for line in lines if line.get("request_id") == "a-look-at-the-log")
    assert (line["component"], line["job_id"], line["status"]) == ("api", str(task_id), 409)
    assert (line["method"], line["path"]) == ("GET", f"/result/{task_id}")
    assert line["duration_ms"] > 0
    submitted = [line for line in lines if line.get("job_id") == str(task_id) and line.get("path") == "/transcribe"]
    assert [line["status"] for line in submitted] == [202]
    assert caller.key not in gateway.log()
    assert "format=srt" not in gateway.log()


def test_private_answers_are_not_kept(gateway: Gateway, caller: Caller) -> None:
    """No cache may store an answer, and no browser guess its type."""
    for answer in (
        caller.http.get("/history"),
        caller.http.get("/nowhere"),
        caller.http.get(f"/result/{caller.task()}"),
    ):
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


# ---- other ways to ask


def test_head_is_get_without_a_body(gateway: Gateway, caller: Caller) -> None:
    """Every path that can be read answers HEAD with GET's status and type, at once and without a body; also streams."""
    task_id, log = caller.task(), gateway.log()
    readable = [call for call in calls(gateway) if call.method == "GET"]
    assert len(readable) > 30
    keys = {True: gateway.caller("admin").http, False: caller.http}
    for path, needs_admin in (
        *((call.address(task_id), call.needs_admin) for call in readable),
        (f"/tasks/{uuid.uuid4()}", False),
        ("/", False),
        ("/docs", False),
        ("/openapi.json", False),
        ("/transcribe", False),
    ):
        head = keys[needs_admin].head(path)
        assert head.content == b"", path
        assert head.headers["X-Request-Id"], path
        if path in (f"/tasks/{task_id}/events", "/events"):
            assert (head.status_code, head.headers["Content-Type"]) == (200, "text/event-stream; charset=utf-8")
            continue
        answer = keys[needs_admin].get(path)
        assert (head.status_code, head.headers["Content-Type"]) == (
            answer.status_code,
            answer.headers["Content-Type"],
        ), path
    assert httpx.head(f"{gateway.url}/history", timeout=30).status_code == 401
    assert "unexpected_error" not in gateway.log()[len(log) :]


def test_head_is_logged_as_what_it_is(gateway: Gateway, caller: Caller) -> None:
    """The line has the method that was sent, the task, and no error."""
    task_id = caller.task()
    caller.http.head(f"/tasks/{task_id}/events", headers={"X-Request-Id": "a-head"})
    eventually(lambda: "a-head" in gateway.log(), "the line, which is written after the answer")
    line = next(line for line in map(json.loads, gateway.log().splitlines()) if line.get("request_id") == "a-head")
    assert (line["event"], line["method"], line["status"], line["job_id"]) == ("request", "HEAD", 200, str(task_id))


def test_an_empty_parameter_counts_as_left_out(gateway: Gateway, caller: Caller) -> None:
    """In every query, whatever the parameter's type; only for `by` it means something."""
    task_id = caller.task()
    finish(task_id, gateway.storage)
    plain = caller.http.get(f"/result/{task_id}")
    for query in ("format=", "format", "format=%20&max_lines=&version=", "response_format=&timestamp_granularity=+"):
        answer = caller.http.get(f"/result/{task_id}?{query}")
        assert (answer.status_code, answer.text) == (200, plain.text), query
    for path in ("/history?limit=&status=&batch_id=&since=", "/uploads?state=&limit=", "/webhooks/deliveries?state="):
        assert caller.http.get(path).status_code == 200, path
    assert caller.http.get("/history/export?text=%20true%20&format=ndjson").json()["text"] == TRANSCRIPT.text
    assert caller.http.get("/usage?by=").json()["items"][0]["day"] is None
    assert problem(caller.http.get("/history?status=%20over")) == (422, "invalid_request")


# ---- pages of other origins

PAGE = "https://app.example"
PREFLIGHT = {
    "Origin": PAGE,
    "Access-Control-Request-Method": "DELETE",
    "Access-Control-Request-Headers": "authorization, idempotency-key",
}


def test_no_page_may_call_unless_it_is_listed(gateway: Gateway, caller: Caller) -> None:
    """By default no answer allows any origin, nor does a preflight."""
    for answer in (
        caller.http.get("/history", headers={"Origin": PAGE}),
        caller.http.options("/tasks/1", headers=PREFLIGHT),
    ):
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]


def test_listed_pages_may_call(servers: Stack, environment: Settings, tmp_path: Path) -> None:
    """They may send every method and header and read every answer, also errors; other pages still may not."""
    origins = f"{PAGE}, http://localhost:3000"
    with gateway_on(servers, tmp_path, storage_of(environment), CORS_ORIGINS=origins) as open_gateway:
        http = open_gateway.caller().http
        preflight = httpx.options(f"{open_gateway.url}/tasks/1", headers=PREFLIGHT, timeout=30)
        assert preflight.status_code == 200
        assert "DELETE" in preflight.headers["Access-Control-Allow-Methods"]
        assert preflight.headers["Access-Control-Allow-Headers"] == PREFLIGHT["Access-Control-Request-Headers"]
        for origin, path, status in (
            (PAGE, "/history", 200),
            ("http://localhost:3000", "/nowhere", 404),
            (PAGE, "/v1/nowhere", 404),
        ):
            answer = http.get(path, headers={"Origin": origin})
            assert answer.status_code == status
            assert answer.headers["Access-Control-Allow-Origin"] == origin
            assert answer.headers["Access-Control-Expose-Headers"] == "*"
            assert "Access-Control-Allow-Credentials" not in answer.headers
        for stranger in ("https://evil.example", f"{PAGE}.evil.example", "http://app.example", "null"):
            assert "Access-Control-Allow-Origin" not in http.get("/history", headers={"Origin": stranger}).headers
        http.close()
