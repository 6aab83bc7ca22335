"""What the logs of a whole stack hold, and what they never hold; request ids, and what Flower shows."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from scripts.local.apps import API, BEAT, FLOWER, worker
from shared.config import Settings
from shared.db import session
from tests.faults.rig import Rig, eventually, start
from tests.service.webhooks.receiver import Receiver
from tests.unit.intake.outside import MediaServer, tone

APPS = (API, worker("io", "io,cpu", concurrency=2, threads=1), worker("models", "asr,diarize", 1, 1), BEAT, FLOWER)
LONG_NAME = "Interview with the mayor, second part, 2026-03-01.wav"
PATIENCE_S = 60


@dataclass
class Story:
    """What was done on the stack: words that no log may hold, and the ids of requests that made tasks."""

    secrets: dict[str, str] = field(default_factory=dict)
    request_ids: dict[str, str] = field(default_factory=dict)
    tasks: dict[str, str] = field(default_factory=dict)
    flower_tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)

    def word(self, what: str) -> str:
        """A word to be sent as `what`, found nowhere else."""
        return self.secrets.setdefault(what, f"canary{uuid.uuid4().hex}")

    def note(self, name: str, answer: httpx.Response) -> str:
        """Remember a task that was made; returns its id."""
        assert answer.status_code in (200, 202), answer.text
        self.request_ids[name] = answer.headers["X-Request-Id"]
        self.tasks[name] = str(answer.json().get("task_id") or answer.json()["tasks"][0]["task_id"])
        return self.tasks[name]

    def lines(self, *names: str) -> list[dict[str, Any]]:
        """The lines of these logs."""
        return [json.loads(line) for name in names for line in self.logs[name].splitlines()]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Everything happens to one stack, which is then stopped, so that its logs are complete."""
    story, receiver, media = Story(), Receiver(), MediaServer()
    settings = {
        "egress_allow_hosts": f"{receiver.host},{media.host}",
        "egress_ports": f"80,443,{media.server_port}",
        "max_attempts": 1,
        "sleeper_seconds": 0.01,
        "webhook_retry_s": 0.05,
        "log_level": "debug",
        "flower_basic_auth": "somebody:else",  # of another stack's environment; ours has its own login
    }
    try:
        with start(tmp_path_factory.mktemp("logs"), APPS, **settings) as rig:
            logs = rig.stack.home.logs
            eventually(lambda: _flower_is_up(rig), "Flower answers", PATIENCE_S)
            _tell(story, rig, receiver, media)
            _look_at_flower(story, rig)
        story.logs = {path.stem: path.read_text() for path in logs.iterdir()}
        yield story
    finally:
        receiver.close()
        media.close()


def _tell(story: Story, rig: Rig, receiver: Receiver, media: MediaServer) -> None:
    environment, word = rig.stack.env, story.word
    story.secrets |= {
        name: environment[name] for name in ("API_KEY", "DATABASE_URL", "REDIS_URL", "AWS_SECRET_ACCESS_KEY")
    }
    story.secrets |= {
        "password of " + name: httpx.URL(environment[name]).password for name in ("DATABASE_URL", "REDIS_URL")
    }
    story.secrets |= {"Flower's password": rig.stack.flower_password}
    key = rig.caller.http.post("/admin/keys", json={"name": "logs"}).json()
    story.secrets["key"] = key["key"]
    with httpx.Client(base_url=rig.stack.url, timeout=PATIENCE_S) as nobody:
        refused = nobody.get("/history", headers={"X-API-Key": word("wrong key")})
        assert refused.status_code == 401
        assert refused.json()["request_id"] == refused.headers["X-Request-Id"]
        nobody.get("/history", headers={"Authorization": f"Bearer {word('wrong bearer')}"})
    headers = {"Authorization": f"Bearer {key['key']}"}
    with httpx.Client(base_url=rig.stack.url, headers=headers, timeout=PATIENCE_S) as http:
        _submit(story, http, receiver, media)
        _upload(story, http)
        _fail(story, http, media)
        for name, task_id in story.tasks.items():
            eventually(lambda: _is_over(http, task_id), f"{name} has ended", PATIENCE_S)  # noqa: B023 - used at once
        story.note(
            "retry", http.post(f"/tasks/{story.tasks['source away']}/retry", headers={"X-Request-Id": "of-retry"})
        )
        eventually(lambda: _is_over(http, story.tasks["retry"]), "the retry has ended", PATIENCE_S)
        eventually(lambda: len(receiver.requests) == 2, "both webhooks were sent", PATIENCE_S)


def _submit(story: Story, http: httpx.Client, receiver: Receiver, media: MediaServer) -> None:
    word = story.word
    story.secrets["webhook secret"] = http.get("/webhooks/secret").json()["secret"]
    address = f"{receiver.url('/hook')}?token={word('webhook query')}"
    endpoint = http.post(
        "/webhooks/endpoints",
        json={"url": f"{receiver.url('/all')}?token={word('endpoint query')}", "events": ["task.completed"]},
    )
    assert endpoint.status_code == 201, endpoint.text
    story.secrets["endpoint secret"] = endpoint.json()["secret"]
    notes = {name: word(name) for name in ("prompt", "hotwords", "tags", "reference")}
    file = {"file": (f"{word('file name')}.wav", tone(1.5))}
    ids = {"X-Request-Id": "of-file", "Idempotency-Key": word("idempotency key")}
    answer = http.post(
        "/transcribe",
        files=file,
        headers=ids,
        data={**notes, "diarization": "true", "webhook_url": address, "wait": "60"},
    )
    task_id = story.note("file", answer)
    story.secrets["transcript"] = answer.json()["segments"][0]["text"]
    corrected = http.patch(
        f"/tasks/{task_id}",
        json={"segments": [{"id": 0, "text": word("correction")}], "speakers": {"spk_1": word("name")}},
    )
    assert corrected.status_code == 200, corrected.text
    http.get("/history", params={"q": word("words searched for")})
    path = f"/{word('URL path')}.wav"
    media.pages[path] = ("audio/wav", tone(1.6))
    url = f"{media.url}{path}?signature={word('URL query')}"
    story.note(
        "url", http.post("/transcribe", data={"url": url, "diarization": "true"}, headers={"X-Request-Id": "of-url"})
    )
    story.note("redirect", http.post("/transcribe", data={"url": f"{media.url}/to?url={url}{word('redirect')}"}))
    media.pages["/b.wav"] = ("audio/wav", tone(1.7))
    items = [{"url": f"{media.url}/b.wav?signature={word('query in a batch')}"}]
    story.note("batch", http.post("/transcribe/batch", json={"items": items}, headers={"X-Request-Id": "of-batch"}))


def _upload(story: Story, http: httpx.Client) -> None:
    recording = tone(1.8)
    upload = http.post("/uploads", json={"filename": LONG_NAME, "bytes": len(recording)}).json()
    url = httpx.URL(upload["parts"][0]["url"])
    story.secrets["presigned URL"] = url.params["X-Amz-Signature"]
    httpx.put(url, content=recording, timeout=PATIENCE_S).raise_for_status()
    assert http.post(f"/uploads/{upload['upload_id']}/complete").status_code == 200
    story.note("upload", http.post("/transcribe", data={"upload_id": upload["upload_id"]}))


def _fail(story: Story, http: httpx.Client, media: MediaServer) -> None:
    """Errors are logged with what they say, and some with their traceback."""
    word = story.word
    silent = {"file": (f"{word('name of a bad file')}.wav", word("bad content").encode() * 200)}
    story.note("no audio", http.post("/transcribe", files=silent, data={"prompt": word("prompt of a bad file")}))
    away = f"{media.url}/status/503?signature={word('query of a source that is away')}"
    story.note("source away", http.post("/transcribe", data={"url": away}, headers={"X-Request-Id": "of-away"}))
    short = f"{media.url}/short/1.wav?signature={word('query of a source that breaks off')}"
    story.note("source breaks off", http.post("/transcribe", data={"url": short}))
    for wrong in (f"ftp://{word('wrong URL')}/", f"http://{word('user')}:{word('password in a URL')}@{media.host}/"):
        assert http.post("/transcribe", data={"url": wrong}).status_code == 422
    assert http.post("/transcribe", data={"language": word("wrong language")}, files=silent).status_code == 422
    assert http.post("/transcribe", content=word("wrong body")).status_code == 422


def _is_over(http: httpx.Client, task_id: str) -> bool:
    return http.get(f"/status/{task_id}").json()["status"] in ("done", "error")


def _flower_is_up(rig: Rig) -> bool:
    try:
        return httpx.get(f"{rig.stack.flower_url}/healthcheck", timeout=PATIENCE_S).is_success
    except httpx.TransportError:
        return False


def _look_at_flower(story: Story, rig: Rig) -> None:
    """What Flower shows once it has heard of the retry, the last task."""
    login = ("parley", rig.stack.flower_password)

    def shows_it() -> bool:
        page = httpx.get(f"{rig.stack.flower_url}/api/tasks", auth=login, params={"limit": 200}, timeout=PATIENCE_S)
        story.flower_tasks = page.raise_for_status().json()
        return any(story.tasks["retry"] in str(task.get("args")) for task in story.flower_tasks.values())

    eventually(shows_it, "Flower shows the retry", PATIENCE_S)
    assert httpx.get(f"{rig.stack.flower_url}/api/tasks", timeout=PATIENCE_S).status_code == 401
    stop = f"{rig.stack.flower_url}/api/worker/shutdown/io"
    assert httpx.post(stop, auth=login, timeout=PATIENCE_S).status_code == 403


def test_no_log_holds_a_secret_or_anybodys_words(story: Story) -> None:
    """No key, password, signature, query, file name, option in words or transcript is in any log, at any level."""
    assert len(story.secrets) > 25 and all(len(word) > 8 for word in story.secrets.values())
    leaks = {what: name for what, word in story.secrets.items() for name, log in story.logs.items() if word in log}
    assert not leaks
    assert not [name for name, log in story.logs.items() if "X-Amz-Signature" in log or "signature=" in log]


def test_every_line_of_our_own_is_json(story: Story) -> None:
    """Gateway, workers, beat and Flower say nothing outside of JSON; each line says who, when, what and how grave."""
    for name in ("api", "worker-io", "worker-models", "beat", "flower"):
        lines = story.lines(name)
        assert lines, name
        for line in lines:
            assert {"component", "timestamp", "event", "level", "logger"} <= line.keys()
            assert line["component"] == name.partition("-")[0]


@pytest.mark.parametrize("name", ["file", "url", "batch", "upload", "source away", "retry"])
def test_a_request_is_followed_by_its_id(story: Story, name: str) -> None:
    """The id of a request is in its answer, the gateway's line, and every line of every stage of its task."""
    request_id, job_id = story.request_ids[name], story.tasks[name]
    if name in ("file", "url", "batch", "retry"):
        assert request_id == f"of-{name}"
    own = [line for line in story.lines("api") if line.get("request_id") == request_id and line["event"] == "request"]
    assert [line["status"] for line in own] in ([200], [202])
    work = [line for line in story.lines("worker-io", "worker-models") if line.get("job_id") == job_id]
    assert {line["request_id"] for line in work} == {request_id}
    assert {line["event"] for line in work} >= {"stage_started"}
    stages = {line["stage"] for line in work}
    if name == "file":
        assert stages == {"convert", "transcribe", "diarize", "merge", "store"}
    elif name in ("url", "batch"):
        assert stages >= {"download", "convert", "transcribe", "merge", "store"}
    elif name in ("source away", "retry"):
        assert stages == {"download"} and "stage_failed" in {line["event"] for line in work}


def test_flower_shows_job_and_stage_and_no_name(story: Story) -> None:
    """Each task has its stage's name, and as arguments the id of the job and the stage; no file's name and no other
    word of a caller is there, as Flower remembers its tasks longer than an erasure may leave them."""
    calls = {(task.get("name"), task.get("args")) for task in story.flower_tasks.values()}
    for stage in ("convert", "transcribe"):
        assert (f"parley.{stage}", f"job {story.tasks['upload']}, {stage}") in calls
    text = json.dumps(story.flower_tasks, ensure_ascii=False)
    assert not [what for what, word in story.secrets.items() if word in text]
    assert LONG_NAME not in text
    assert any(name == "parley.deliver" and str(args).startswith("delivery ") for name, args in calls)


def test_an_error_of_the_database_tells_no_parameter(environment: Settings) -> None:
    """The text of such an error, which is logged, names the statement but not what was sent with it."""
    with pytest.raises(DBAPIError) as caught, session() as opened:
        opened.execute(text("SELECT 1 / 0, CAST(:words AS text)"), {"words": "canary words"})
    assert "1 / 0" in str(caught.value)
    assert "canary" not in str(caught.value)
