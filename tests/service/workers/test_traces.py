"""What a whole stack tells a collector of traces, and what it does when there is none."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from scripts.local.apps import API, worker
from tests.faults.rig import Rig, asleep, eventually, start
from tests.service.listener import Listener, Server
from tests.unit.intake.outside import MediaServer, tone

SLOW = asleep(worker("diarize", "diarize", 1, 1), seconds=4)
"""Long enough to be stopped in the middle of a stage."""

APPS = (API, worker("io", "io,cpu", concurrency=2, threads=1), worker("asr", "asr", 1, 1), SLOW)
PATIENCE_S = 60
CALLER = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLERS_SPAN = "00f067aa0ba902b7"
STAGES = {"convert", "transcribe", "diarize", "merge", "store"}
WHOLE = {"POST /transcribe", "convert", "transcribe", "merge", "store"}
"""What is in the trace of a task that was done without diarization."""


@dataclass(frozen=True)
class Told:
    """A span as the collector got it, and who sent it."""

    service: str
    instance: str
    span: Span

    @property
    def trace(self) -> str:
        return self.span.trace_id.hex()

    @property
    def attributes(self) -> dict[str, Any]:
        return plain(self.span.attributes)


def plain(attributes: Any) -> dict[str, Any]:
    """OTLP's list of typed values as a dict."""
    return {
        each.key: getattr(each.value, str(each.value.WhichOneof("value"))) for each in cast(list[KeyValue], attributes)
    }


class _Handler(BaseHTTPRequestHandler):
    """One request per connection, so that a closed collector is closed to those who are connected, too."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        collector = cast(Collector, cast(Server, self.server).listener)
        is_trace = self.path == "/v1/traces" and self.headers["Content-Type"] == "application/x-protobuf"
        is_taken = is_trace and not collector.refuses
        if is_trace:
            (collector.bodies if is_taken else collector.refused).append(body)
        self.send_response(200 if is_taken else 404)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


class Collector(Listener):
    """Takes OTLP over HTTP, and keeps the bytes; while it `refuses`, apart from the others."""

    handler = _Handler

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.refused: list[bytes] = []
        self.refuses = False
        super().__init__()

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def spans(self, task_id: uuid.UUID | str | None = None) -> list[Told]:
        """What has arrived, in all traces or in that of one task."""
        return _entries(self.bodies, task_id)

    def refused_spans(self, task_id: uuid.UUID | str) -> list[Told]:
        """What was refused of the trace of a task."""
        return _entries(self.refused, task_id)


def _entries(bodies: list[bytes], task_id: uuid.UUID | str | None) -> list[Told]:
    entries = []
    for body in list(bodies):
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            about = plain(group.resource.attributes)
            service, instance = about["service.name"], about["service.instance.id"]
            entries += [Told(service, instance, span) for scope in group.scope_spans for span in scope.spans]
    trace_id = uuid.UUID(str(task_id)).hex if task_id else None
    return [each for each in entries if trace_id in (None, each.trace)]


@dataclass
class Story:
    """What was done on the stack, and what the collector had heard when it was over."""

    spans: list[Told] = field(default_factory=list)
    bodies: bytes = b""
    secrets: dict[str, str] = field(default_factory=dict)
    tasks: dict[str, str] = field(default_factory=dict)
    batch: list[str] = field(default_factory=list)
    log_of_asr: str = ""

    def word(self, what: str) -> str:
        """A word to be sent as `what`, found nowhere else."""
        return self.secrets.setdefault(what, f"canary{uuid.uuid4().hex}")

    def of(self, name: str) -> list[Told]:
        """The trace of a task."""
        return [entry for entry in self.spans if entry.trace == uuid.UUID(self.tasks[name]).hex]

    def named(self, name: str, span: str) -> list[Told]:
        """The spans of that name in the trace of a task, in the order of time."""
        entries = [entry for entry in self.of(name) if entry.span.name == span]
        return sorted(entries, key=lambda entry: entry.span.start_time_unix_nano)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Everything happens to one stack, which is stopped before it is looked at what arrived."""
    story, collector, media = Story(), Collector(), MediaServer()
    settings = {
        "otel_exporter_otlp_endpoint": collector.url,
        "egress_allow_hosts": media.host,
        "egress_ports": f"80,443,{media.server_port}",
        "max_attempts": 2,
        "otel_exporter_otlp_timeout": 5,
    }
    try:
        with start(tmp_path_factory.mktemp("traces"), APPS, **settings) as rig:
            story.secrets |= {name: rig.stack.env[name] for name in ("API_KEY", "AWS_SECRET_ACCESS_KEY")}
            http = rig.caller.http
            _submit(story, http, media)
            _interrupt(story, rig)
            eventually(lambda: _has_all(story, collector), "the collector knows all that was done", PATIENCE_S)
            _without_collector(story, rig, collector)
            story.tasks["last"] = str(rig.submit(tone(1.9)).id)
            eventually(lambda: _status(http, story.tasks["last"]) == "done", "the last task is done", PATIENCE_S)
        # what was sent may still be on its way through the collector
        eventually(lambda: _names(collector, story.tasks["last"]) >= WHOLE, "the last trace is complete", PATIENCE_S)
        story.spans, story.bodies = collector.spans(), b"".join(collector.bodies + collector.refused)
        yield story
    finally:
        collector.close()
        media.close()


def _submit(story: Story, http: httpx.Client, media: MediaServer) -> None:
    word = story.word
    notes = {name: word(name) for name in ("prompt", "hotwords", "tags", "reference")}
    answer = http.post(
        "/transcribe",
        files={"file": (f"{word('file name')}.wav", tone(1.5))},
        data={**notes, "diarization": "true", "wait": "60"},
        headers={
            "traceparent": f"00-{CALLER}-{CALLERS_SPAN}-01",
            "tracestate": f"vendor={word('state of the trace')}",
            "Idempotency-Key": word("idempotency key"),
            "X-Request-Id": "of-file",
        },
    )
    assert answer.status_code == 200, answer.text
    story.tasks["file"] = answer.json()["task_id"]
    story.secrets["transcript"] = answer.json()["segments"][0]["text"]
    http.get("/history", params={"q": word("words searched for")})
    again = http.post("/transcribe", files={"file": ("a.wav", tone(1.5))}, data={"diarization": "true", **notes})
    story.tasks["known"] = again.json()["task_id"]
    away = {"url": f"{media.url}/status/404?signature={word('URL query')}"}
    story.tasks["failed"] = http.post("/transcribe", data=away).json()["task_id"]
    items = [{"url": f"{media.url}/{word(f'URL path {number}')}.wav"} for number in range(3)]
    batch = http.post("/transcribe/batch", json={"items": items}).json()
    story.batch = [task["task_id"] for task in batch["tasks"]]
    for task_id in (story.tasks["failed"], *story.batch):
        eventually(lambda: _status(http, task_id) in ("done", "error"), "all have ended", PATIENCE_S)  # noqa: B023


def _interrupt(story: Story, rig: Rig) -> None:
    task = rig.submit(tone(1.6), diarization=True)
    story.tasks["interrupted"] = str(task.id)
    rig.running(task, "diarize")
    rig.stack.stop_process("worker-diarize")
    rig.stack.start_process("worker-diarize")
    eventually(lambda: _status(rig.caller.http, task.id) == "done", "another worker has done it", PATIENCE_S)


def _without_collector(story: Story, rig: Rig, collector: Collector) -> None:
    """A task while nobody listens, and one, in a later sending, that is refused; then one that is taken again."""
    collector.close()
    task = rig.submit(tone(1.7))
    eventually(lambda: _status(rig.caller.http, task.id) == "done", "done without a collector", PATIENCE_S)
    eventually(lambda: "traces_lost" in _log_of_asr(rig), "the worker says that spans are lost", PATIENCE_S)
    collector.refuses = True
    collector.open()
    task = rig.submit(tone(1.71))
    eventually(lambda: _status(rig.caller.http, task.id) == "done", "done without a collector", PATIENCE_S)
    eventually(
        lambda: "transcribe" in {entry.span.name for entry in collector.refused_spans(task.id)}, "refused", PATIENCE_S
    )
    collector.refuses = False
    task = rig.submit(tone(1.8))
    eventually(lambda: "transcribe" in _names(collector, str(task.id)), "spans arrive again", PATIENCE_S)
    eventually(lambda: "traces_arrive_again" in _log_of_asr(rig), "the worker says so", PATIENCE_S)
    story.log_of_asr = _log_of_asr(rig)


def _has_all(story: Story, collector: Collector) -> bool:
    """Whether the request and the last stages of every task so far have arrived."""
    span_names = {
        story.tasks["file"]: WHOLE | {"diarize"},
        story.tasks["known"]: {"POST /transcribe"},
        story.tasks["failed"]: {"POST /transcribe", "download"},
        story.tasks["interrupted"]: WHOLE | {"diarize"},
        **{task_id: {"POST /transcribe/batch", "download", "store"} for task_id in story.batch},
    }
    return all(_names(collector, task_id) >= names for task_id, names in span_names.items())


def _names(collector: Collector, task_id: str) -> set[str]:
    """The spans of a task that the collector has, but for an attempt that was interrupted."""
    ended = (entry for entry in collector.spans(task_id) if entry.attributes.get("parley.outcome") != "interrupted")
    return {entry.span.name for entry in ended}


def _log_of_asr(rig: Rig) -> str:
    return rig.stack.log("worker-asr").read_text()


def _status(http: httpx.Client, task_id: object) -> str:
    return str(http.get(f"/status/{task_id}").json()["status"])


def test_one_trace_holds_the_request_the_waits_and_the_stages(story: Story) -> None:
    """The trace has the task's id; below the request are all stages, each after its wait and after what it needed."""
    trace = {entry.span.name: entry for entry in story.of("file")}
    assert len(trace) == len(story.of("file"))
    assert set(trace) == {"POST /transcribe", *STAGES, *(f"queue {stage}" for stage in STAGES)}
    first = trace.pop("POST /transcribe")
    assert not first.span.parent_span_id and first.service == "parley-api"
    assert first.attributes == {
        "http.request.method": "POST",
        "http.route": "/transcribe",
        "http.response.status_code": 200,
        "parley.request_id": "of-file",
        "parley.task_id": story.tasks["file"],
    }
    for entry in trace.values():
        assert entry.span.parent_span_id == first.span.span_id and entry.service == "parley-worker"
        assert first.span.start_time_unix_nano <= entry.span.start_time_unix_nano <= entry.span.end_time_unix_nano
    for stage in STAGES:
        assert trace[f"queue {stage}"].span.end_time_unix_nano == trace[stage].span.start_time_unix_nano
    for before, after in (
        ("convert", "transcribe"),
        ("convert", "diarize"),
        ("transcribe", "merge"),
        ("merge", "store"),
    ):
        assert trace[before].span.start_time_unix_nano < trace[after].span.start_time_unix_nano


def test_a_stage_says_what_it_did(story: Story) -> None:
    """Stage, shard, attempt, outcome, model, device and seconds of audio are on its span; the process on its sender."""
    entry = story.named("file", "transcribe")[0]
    model = entry.attributes.pop("parley.model")
    assert model and entry.attributes == {
        "parley.task_id": story.tasks["file"],
        "parley.stage": "transcribe",
        "parley.shard": 0,
        "parley.attempt": 1,
        "parley.outcome": "done",
        "parley.model": model,
        "parley.device": "sleeper",
        "parley.audio_seconds": 1.5,
    }
    assert entry.span.end_time_unix_nano - entry.span.start_time_unix_nano >= 0.2e9
    assert entry.instance != story.named("file", "convert")[0].instance


def test_the_callers_trace_and_the_tasks_point_to_each_other(story: Story) -> None:
    """With a `traceparent` the request is a child of the caller's span, with a link to the task's trace, which has one
    back."""
    (client_entry,) = [entry for entry in story.spans if entry.trace == CALLER]
    (first,) = story.named("file", "POST /transcribe")
    assert client_entry.span.parent_span_id.hex() == CALLERS_SPAN
    assert [(link.trace_id, link.span_id) for link in client_entry.span.links] == [
        (first.span.trace_id, first.span.span_id)
    ]
    assert [(link.trace_id, link.span_id) for link in first.span.links] == [
        (client_entry.span.trace_id, client_entry.span.span_id)
    ]


def test_every_task_of_a_batch_has_its_trace(story: Story) -> None:
    """One request for three tasks is the first span of three traces with stages of their own."""
    for task_id in story.batch:
        names = [entry.span.name for entry in story.spans if entry.trace == uuid.UUID(task_id).hex]
        assert names.count("POST /transcribe/batch") == 1 and {"download", "store"} <= set(names)


def test_a_task_that_is_answered_from_what_is_known_has_only_its_request(story: Story) -> None:
    """Nothing was done, so nothing else is told; requests that make no task are not told of at all."""
    assert [entry.span.name for entry in story.of("known")] == ["POST /transcribe"]
    routes = {entry.attributes["http.route"] for entry in story.spans if entry.service == "parley-api"}
    assert routes == {"/transcribe", "/transcribe/batch"}


def test_a_failure_has_its_code(story: Story) -> None:
    """The span of an attempt that failed is an error, with the code of docs/errors.md and none of its text."""
    entry = story.named("failed", "download")[-1]
    assert entry.span.status.code == Status.STATUS_CODE_ERROR and not entry.span.status.message
    assert entry.attributes["parley.outcome"] == "failed" and entry.attributes["parley.error_code"]


def test_an_interrupted_stage_is_told_by_both_workers(story: Story) -> None:
    """A worker that is stopped sends its unfinished attempt before it ends; the next attempt is in the same trace."""
    first, second = story.named("interrupted", "diarize")
    assert (first.attributes["parley.outcome"], second.attributes["parley.outcome"]) == ("interrupted", "done")
    assert first.instance != second.instance
    assert len(story.named("interrupted", "queue diarize")) == 1


def test_without_a_collector_jobs_finish_and_the_log_stays_short(story: Story) -> None:
    """Tasks ended as ever while spans were lost, in two sendings at least; the worker has a line for the loss and one
    for its end."""
    lines = [line for line in story.log_of_asr.splitlines() if "traces_" in line or "opentelemetry" in line]
    assert ["traces_lost" in line for line in lines] == [True, False]


def test_the_end_of_a_process_sends_what_is_left(story: Story) -> None:
    """The stack was stopped as soon as the last task was done, and its trace is complete."""
    assert {entry.span.name for entry in story.of("last")} >= WHOLE


def test_no_span_holds_a_secret_or_anybodys_words(story: Story) -> None:
    """No key, query, path of a URL, file name, option in words or transcript is in anything that was sent."""
    assert len(story.secrets) > 10 and all(len(word) > 8 for word in story.secrets.values())
    assert not [what for what, word in story.secrets.items() if word.encode() in story.bodies]
    assert b"http://" not in story.bodies


def test_off_is_off() -> None:
    """Without the variable a gateway that answers and a worker that has its tasks load neither exporter nor tracer."""
    program = """
import sys, api.main, tasks.app
from shared.telemetry import tracing
api.main.create_app().build_middleware_stack()
tasks.app.app.loader.import_default_modules()
assert tracing.spans("api") is None and tracing.spans("worker") is None
loaded = [name for name in sys.modules if name.startswith(("opentelemetry.exporter", "opentelemetry.sdk.trace"))]
assert not loaded, loaded
"""
    addresses = {"DATABASE_URL": "postgresql+psycopg://127.0.0.1:1/none", "REDIS_URL": "redis://127.0.0.1:1/0"}
    process = subprocess.run(
        (sys.executable, "-c", program),
        env=addresses,
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert process.returncode == 0, process.stderr[-2000:]
