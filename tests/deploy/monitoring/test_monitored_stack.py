"""What a real Prometheus learns from a stack to which everything has happened that is counted."""

from __future__ import annotations

import json
import re
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from scripts.bench.soak import chaos
from scripts.bench.soak.caller import Task
from scripts.bench.soak.truth import bare_environment
from scripts.dashboards import DASHBOARDS
from scripts.local.home import LOOPBACK
from scripts.local.stack import Stack
from shared.models import Stage
from tests.deploy.monitoring.prometheus import program
from tests.e2e.polling import until
from tests.faults.rig import Rig
from tests.service.webhooks.receiver import Receiver
from tests.unit.intake.outside import TONE

ROOT = Path(__file__).resolve().parents[3]
MONITORING = ROOT / "deploy" / "monitoring"
RULES = ("recording.yml", "alerts.yml")
PATIENCE_S = 300
MAY_BE_ZERO = {
    "Share of server errors",
    "Webhooks still to be delivered",
    "Deletions still to be verified",
    "Deaf workers",
}
"""Panels that show nothing else on a stack that is well."""


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    """It takes what is sent to /hears and refuses the rest."""
    listening = Receiver()
    listening.answers["/refuses"] = [500]
    yield listening
    listening.close()


@pytest.fixture(scope="module")
def stack(receiver: Receiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Everything, with pauses in place of the models, so that there is always somebody waiting."""
    environ = {
        **bare_environment(),
        "ENGINE": "sleeper",
        "OBJECT_STORE": "s3",
        "SLEEPER_SECONDS": "2",
        "EGRESS_ALLOW_HOSTS": receiver.host,
        "LEASE_S": "6",
        "RING_AGAIN_S": "1",
    }
    with Stack(tmp_path_factory.mktemp("stack"), environ=environ) as running:
        yield running


@pytest.fixture(scope="module")
def ask(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], list[Any]]]:
    """A query to a Prometheus that scrapes every process of the stack each second."""
    home = tmp_path_factory.mktemp("prometheus")
    places = {name: url.removeprefix("http://").removesuffix("/metrics") for name, url in stack.metrics_urls.items()}
    gateway = places.pop("api")
    port, disks_port = stack.home.ports(("prometheus", "disks")).values()
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(MONITORING / "rules" / name) for name in RULES],
        "scrape_configs": [
            {"job_name": "parley-api", "static_configs": [{"targets": [gateway]}]},
            {"job_name": "parley-worker", "static_configs": [{"targets": [*places.values()]}]},
            {"job_name": "volumes", "static_configs": [{"targets": [f"{LOOPBACK}:{disks_port}"]}]},
        ],
    }
    (home / "prometheus.yml").write_text(json.dumps(config))  # YAML holds JSON
    with (home / "log").open("wb") as log:
        disks = subprocess.Popen(
            (
                program("prometheus-node-exporter"),
                "--collector.disable-defaults",
                "--collector.filesystem",
                f"--web.listen-address={LOOPBACK}:{disks_port}",
            ),
            stdout=log,
            stderr=log,
        )
        running = subprocess.Popen(
            (
                program("prometheus"),
                f"--config.file={home / 'prometheus.yml'}",
                f"--storage.tsdb.path={home / 'data'}",
                f"--web.listen-address={LOOPBACK}:{port}",
            ),
            stdout=log,
            stderr=log,
        )
    try:

        def query(expr: str) -> list[Any]:
            answer = httpx.get(
                f"http://{LOOPBACK}:{port}/api/v1/query", params={"query": expr}, timeout=PATIENCE_S
            ).json()
            assert answer["status"] == "success", answer
            result = answer["data"]["result"]
            assert isinstance(result, list)
            return result

        eventually(lambda: _answers(port), "Prometheus")
        yield query
    finally:
        for process in (running, disks):
            process.terminate()
        for process in (running, disks):
            process.wait(PATIENCE_S)


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://{LOOPBACK}:{port}/-/ready", timeout=PATIENCE_S).status_code == 200
    except httpx.HTTPError:
        return False


eventually = partial(until, timeout_s=PATIENCE_S)


@dataclass(frozen=True)
class Lost:
    """A stage that a killed process held."""

    task: Task
    request_id: str
    row: Stage
    child: int


def ended(rig: Rig, task: Task) -> str:
    """How a task ends."""
    return rig.caller.wait(task, timeout_s=PATIENCE_S)


@pytest.fixture(scope="module")
def work(stack: Stack, receiver: Receiver, ask: Callable[[str], list[Any]]) -> Lost:
    """Tasks that get done, wait, fail, are deleted, lose their worker; webhooks that arrive and that do not."""
    rig = Rig(stack)
    http = rig.caller.http
    eventually(lambda: len(ask("up == 1")) == 5, "every process scraped")  # what is counted before is no increase

    deleted = rig.submit(diarization=True, webhook_url=receiver.url("/hears"))
    assert ended(rig, deleted) == "done"
    answer = http.post("/transcribe", files={"file": ("a.wav", TONE)}, headers={"X-Request-Id": "of-the-lost"})
    lost = Task(uuid.UUID(answer.json()["task_id"]), "")
    _, child = rig.worker_of(row := rig.running(lost, "transcribe"))
    chaos.kill(child)
    blocked = http.post("/transcribe", data={"url": "http://localhost/a.wav"})
    assert blocked.status_code == 202, blocked.text
    other = rig.submit(diarization=True, webhook_url=receiver.url("/refuses"))
    bad = rig.submit(b"nothing" * 999)
    for _ in range(16):
        rig.submit(diarization=True)
    assert ended(rig, bad) == "error"
    assert ended(rig, Task(uuid.UUID(blocked.json()["task_id"]), "")) == "error"
    assert [ended(rig, task) for task in (lost, other)] == ["done"] * 2
    rig.caller.delete(deleted)
    return Lost(lost, "of-the-lost", row, child)


def test_no_panel_is_empty(ask: Callable[[str], list[Any]], work: Lost) -> None:
    """Every query of every dashboard has something to show, and that is not zero, but those of graphics cards, and of
    live sessions, which tests/service/live/test_operations.py looks at."""
    every = [panel for dashboard in DASHBOARDS for panel in dashboard.panels]
    panels = {panel.title: panel for panel in every if not panel.needs_card and not panel.needs_live}
    assert panels.keys() > MAY_BE_ZERO
    empty = set(panels)

    def look() -> bool:
        for title in tuple(empty):
            values = [float(series["value"][1]) for series in ask(panels[title].expr)]  # of which NaN is neither
            if any(value >= 0 if title in MAY_BE_ZERO else value > 0 for value in values):
                empty.remove(title)
        return not empty

    try:
        eventually(look, "a value for every panel")
    except AssertionError:
        assert empty == set()


@pytest.mark.parametrize(
    "expr",
    [
        "parley_leases_expired_total",
        "parley_rung_again_total",
        "parley_erasures_verified_total",
        'parley_webhook_attempts_total{state="delivered"}',
        'parley_webhook_attempts_total{state="pending"}',
        'parley_egress_refused_total{code="blocked_address"}',
        'parley:stage_deaths:increase15m{stage="convert", code="no_audio"}',
        'parley:stage_deaths:increase15m{stage="download", code="blocked_address"}',
        'parley:stage_failures:increase15m{stage="convert", code="no_audio"}',
    ],
)
def test_what_has_happened_is_counted(ask: Callable[[str], list[Any]], work: Lost, expr: str) -> None:
    """By some process, and the first of its kind as well."""
    eventually(lambda: ask(f"sum({expr}) > 0"), expr)


def test_a_stage_that_is_taken_away_leaves_a_line(stack: Stack, work: Lost) -> None:
    """It names job, stage, worker and attempt, and the request that the task came from."""
    logs = [path.read_text(errors="replace") for path in stack.home.logs.iterdir()]
    lines = [json.loads(line) for log in logs for line in log.splitlines() if '"stage_expired"' in line]
    of_task = [line for line in lines if line["job_id"] == str(work.task.id)]
    # a busy machine may keep another process from renewing its lease, which leaves a line as well
    (line,) = [line for line in of_task if (line["stage"], line["worker"]) == ("transcribe", work.row.worker)]
    assert (line["shard"], line["attempt"], line["state"]) == (0, work.row.attempt, "queued")
    assert line["worker"].endswith(f":{work.child}")
    assert line["request_id"] == work.request_id


def test_a_killed_process_leaves_its_counts_and_no_file(
    stack: Stack, ask: Callable[[str], list[Any]], work: Lost
) -> None:
    """The worker's page of metrics has what it counted; its files are gone."""
    folder = stack.home.metrics / "worker-asr"
    eventually(lambda: not [*folder.glob(f"*_{work.child}.db")], "the files of the killed process are gone")
    assert (folder / "counter_gone.db").exists()


def test_rules_work_on_real_series(ask: Callable[[str], list[Any]], work: Lost) -> None:
    """Recording rules give values, and no alert is about to fire on a stack that works."""
    eventually(lambda: ask("parley:stages_ended:rate10m > 0"), "a rate of ends")
    for name in re.findall(r"record: ([\w:]+)", (MONITORING / "rules" / "recording.yml").read_text()):
        eventually(lambda name=name: ask(name), name)  # type: ignore[misc]
    firing = {alert["metric"]["alertname"] for alert in ask('ALERTS{alertstate="firing"}')}
    assert firing <= {"ParleyDeadStages"}


def test_every_metric_is_documented(stack: Stack, work: Lost) -> None:
    """The table in docs/operations.md has the metrics of all processes, with their labels, and no others."""
    table = re.findall(r"^\| (`parley_.*?) \| (.*?) \|", (ROOT / "docs" / "operations.md").read_text(), re.MULTILINE)
    documented = {
        name: set(labels.replace(",", " ").split()) for names, labels in table for name in re.findall(r"`(\w+)`", names)
    }
    labels_by_name: dict[str, set[str]] = {}
    for url in stack.metrics_urls.values():
        for family in text_string_to_metric_families(httpx.get(url, timeout=PATIENCE_S).text):
            name = family.name + ("_total" if family.type == "counter" else "")
            labels = {label for sample in family.samples for label in sample.labels} - {"le"}
            labels_by_name[name] = labels_by_name.get(name, set()) | labels
    own_metrics = {
        name: own
        for name, own in labels_by_name.items()
        if name.startswith("parley_") and not name.endswith("_created")
    }
    others = {name for name in documented if name.startswith("parley_gpu_")} | {"parley_live_lag_seconds"}
    assert own_metrics.keys() | others == documented.keys()
    assert {name: labels for name, labels in own_metrics.items() if labels} == {
        name: documented[name] for name in own_metrics if own_metrics[name]
    }


@contextmanager
def stopped(stack: Stack, name: str) -> Iterator[None]:
    """A process is not there until the block ends."""
    stack.stop_process(name)
    try:
        yield
    finally:
        stack.start_process(name)


def test_queues_are_told_as_they_are(stack: Stack, ask: Callable[[str], list[Any]], work: Lost) -> None:
    """Depth, oldest age, workload and unfinished tasks of a queue that nobody serves, then of one that is served."""

    def value(expr: str) -> float:
        (only,) = eventually(lambda: ask(expr), expr)  # a scrape that came late leaves a gap
        return float(only["value"][1])

    rig, urgent = Rig(stack), '{stage="transcribe", priority="interactive"}'
    assert value(f"max(parley_queue_depth{urgent})") == value(f"max(parley_queue_oldest_seconds{urgent})") == 0
    with stopped(stack, "worker-asr"):
        began = time.time()
        tasks = [rig.submit(priority="interactive") for _ in range(3)]
        sent_s = time.time() - began
        eventually(lambda: value(f"max(parley_queue_depth{urgent})") == 3, "three wait")
        age_s = value(f"max(parley_queue_oldest_seconds{urgent})")
        assert 0 < age_s <= time.time() - began
        eventually(lambda: value(f"max(parley_queue_oldest_seconds{urgent})") > age_s + sent_s, "they grow older")
        eventually(lambda: value('max(parley_workers{queue="asr"})') == 0, "nobody is there")
        assert value('max(parley_workload{queue="asr"})') >= 3
        assert value('max(parley_jobs{state="processing"})') >= 3
    assert [ended(rig, task) for task in tasks] == ["done"] * 3
    eventually(lambda: value(f"max(parley_queue_depth{urgent})") == 0, "none waits")
    eventually(lambda: value('max(parley_workers{queue="asr"})') == 1, "one is there")


@pytest.mark.parametrize(("server", "name"), [("valkey", "broker"), ("seaweedfs", "storage")])
def test_a_server_that_is_away_is_told(
    stack: Stack, ask: Callable[[str], list[Any]], work: Lost, server: str, name: str
) -> None:
    """By the gateway, until it is back; the other one is up meanwhile."""
    (other,) = {"broker", "storage"} - {name}
    eventually(lambda: ask(f"parley_{name}_up == 1"), "it is up")
    with stopped(stack, server):
        eventually(lambda: ask(f"parley_{name}_up == 0 and parley_{other}_up == 1"), "it is down, the other is not")
    eventually(lambda: ask(f"parley_{name}_up == 1"), "it is up again")
