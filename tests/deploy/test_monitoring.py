"""Prometheus' configuration, alerts and dashboards, before a real Prometheus that scrapes a stack at work."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from scripts.dashboards import DASHBOARDS, FOLDER, render
from scripts.local_home import LOOPBACK
from scripts.local_stack import Stack
from shared.states import QUEUES
from tests.deploy.prometheus import program
from tests.unit.outside import TONE

ROOT = Path(__file__).resolve().parents[2]
MONITORING = ROOT / "deploy" / "monitoring"
RULES = ("recording.yml", "alerts.yml")
PATIENCE_S = 60


def promtool(*arguments: str | Path) -> str:
    done = subprocess.run((program("promtool"), *arguments), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_configuration_is_valid() -> None:
    """promtool accepts the configuration and both files of rules."""
    assert "2 rule files found" in promtool("check", "config", MONITORING / "prometheus.yml")


def test_the_jobs_on_kubernetes_are_those_of_the_rules(tmp_path: Path) -> None:
    """Each container with metrics is scraped by one job, which has the name that compose gives it; Flower by none."""
    described = yaml.safe_load((MONITORING / "kubernetes.yml").read_text())
    found: dict[str, str] = {}
    for job in described["scrape_configs"]:
        (pods,) = job.pop("kubernetes_sd_configs")  # of which Debian's promtool knows nothing
        (selector,) = pods["selectors"]
        assert (pods["role"], pods["namespaces"], selector["role"]) == ("pod", {"names": ["parley"]}, "pod")
        keep = [rule for rule in job["relabel_configs"] if rule.get("action") == "keep"]
        for name, labels in _scrapable():
            if selector[
                "label"
            ] == f"app.kubernetes.io/part-of={labels['pod_label_app_kubernetes_io_part_of']}" and all(
                re.fullmatch(
                    rule["regex"], ";".join(labels[key[len("__meta_kubernetes_") :]] for key in rule["source_labels"])
                )
                for rule in keep
            ):
                assert found.setdefault(name, job["job_name"]) == job["job_name"]
    assert found == {"api": "parley-api"} | {f"worker-{name}": "parley-worker" for name in set(QUEUES.values())}
    described["rule_files"] = [str(MONITORING / name) for name in described["rule_files"]]
    (tmp_path / "kubernetes.yml").write_text(json.dumps(described))
    promtool("check", "config", tmp_path / "kubernetes.yml")


def _scrapable() -> Iterator[tuple[str, dict[str, str]]]:
    """Containers of deploy/kubernetes with a port, by the labels that Prometheus discovers."""
    for path in (ROOT / "deploy" / "kubernetes").glob("*.yaml"):
        for manifest in yaml.safe_load_all(path.read_text()):
            template = manifest.get("spec", {}).get("template")
            for container in template["spec"]["containers"] if template else ():
                for port in container.get("ports", ()):
                    own = template["metadata"]["labels"]
                    labels = {"pod_label_" + re.sub(r"\W", "_", key): value for key, value in own.items()}
                    yield (
                        container["name"],
                        labels | {"pod_phase": "Running", "pod_container_port_name": port["name"]},
                    )


def test_alerts_fire_when_they_should_and_only_then() -> None:
    """The cases beside the rules, every alert among them."""
    promtool("test", "rules", MONITORING / "rules" / "tests.yml")
    alerts = set(re.findall(r"alert: (\w+)", (MONITORING / "rules" / "alerts.yml").read_text()))
    tried = set(re.findall(r"alertname: (\w+)", (MONITORING / "rules" / "tests.yml").read_text()))
    assert len(alerts) >= 12
    assert alerts == tried


def test_every_alert_has_its_page_in_the_runbook() -> None:
    """docs/operations.md has a section for each alert and for no other."""
    alerts = set(re.findall(r"alert: (\w+)", (MONITORING / "rules" / "alerts.yml").read_text()))
    sections = set(re.findall(r"^### (Parley\w+)$", (ROOT / "docs" / "operations.md").read_text(), re.MULTILINE))
    assert sections == alerts


def test_dashboards_are_those_of_the_tables() -> None:
    """`python -m scripts.dashboards` would change nothing."""
    assert {path.stem for path in FOLDER.glob("*.json")} == {dashboard.uid for dashboard in DASHBOARDS}
    for dashboard in DASHBOARDS:
        assert json.loads((FOLDER / f"{dashboard.uid}.json").read_text()) == json.loads(render(dashboard))


# ---- a stack at work, and a Prometheus that looks on


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Everything, with pauses in place of the models, so that there is always somebody waiting."""
    environ = {**os.environ, "ENGINE": "sleeper", "SLEEPER_SECONDS": "2"}
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
    }  # fmt: skip
    (home / "prometheus.yml").write_text(json.dumps(config))  # YAML holds JSON
    with (home / "log").open("wb") as log:
        disks = subprocess.Popen(
            (program("prometheus-node-exporter"), "--collector.disable-defaults", "--collector.filesystem",
             f"--web.listen-address={LOOPBACK}:{disks_port}"), stdout=log, stderr=log,
        )  # fmt: skip
        running = subprocess.Popen(
            (program("prometheus"), f"--config.file={home / 'prometheus.yml'}", f"--storage.tsdb.path={home / 'data'}",
             f"--web.listen-address={LOOPBACK}:{port}"),
            stdout=log, stderr=log,
        )  # fmt: skip
    try:

        def query(expr: str) -> list[Any]:
            answer = httpx.get(f"http://{LOOPBACK}:{port}/api/v1/query", params={"query": expr}, timeout=10).json()
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
            process.wait(20)


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://{LOOPBACK}:{port}/-/ready", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def eventually(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {PATIENCE_S} s: {what}"
        time.sleep(0.2)
    return value


@pytest.fixture(scope="module")
def work(stack: Stack) -> None:
    """Tasks that get done, tasks that wait, and one that no decoder can do anything with."""
    with httpx.Client(base_url=stack.url, headers={"Authorization": f"Bearer {stack.api_key}"}, timeout=30) as http:

        def send(content: bytes, **form: str) -> str:
            return str(http.post("/transcribe", files={"file": ("a.wav", content)}, data=form).json()["task_id"])

        def is_now(task: str, state: str) -> bool:
            return bool(http.get(f"/status/{task}").json()["status"] == state)

        tasks = [send(TONE, diarization="true", prompt=str(number)) for number in range(20)]
        bad = send(b"nothing" * 999)
        eventually(lambda: is_now(tasks[1], "done"), "two transcripts")
        eventually(lambda: is_now(bad, "error"), "a refusal")


def test_no_panel_is_empty(ask: Callable[[str], list[Any]], work: None) -> None:
    """Every query of every dashboard has something to show, but those of graphics cards."""
    panels = [panel for dashboard in DASHBOARDS for panel in dashboard.panels if not panel.needs_card]
    eventually(lambda: len(ask("up == 1")) == 5, "every process scraped")
    empty = {panel.title for panel in panels}

    def look() -> bool:
        empty.difference_update([panel.title for panel in panels if panel.title in empty and ask(panel.expr)])
        return not empty

    try:
        eventually(look, "a value for every panel")
    except AssertionError:
        assert empty == set()


def test_rules_work_on_real_series(ask: Callable[[str], list[Any]], work: None) -> None:
    """Recording rules give values, and no alert is about to fire on a stack that works."""
    eventually(lambda: ask("parley:stages_ended:rate10m > 0"), "a rate of ends")
    for name in re.findall(r"record: ([\w:]+)", (MONITORING / "rules" / "recording.yml").read_text()):
        eventually(lambda name=name: ask(name), name)  # type: ignore[misc]
    firing = {alert["metric"]["alertname"] for alert in ask('ALERTS{alertstate="firing"}')}
    assert firing <= {"ParleyDeadStages"}


def test_every_metric_is_documented(stack: Stack, work: None) -> None:
    """The table in docs/operations.md has the metrics of all processes, with their labels, and no others."""
    table = re.findall(r"^\| (`parley_.*?) \| (.*?) \|", (ROOT / "docs" / "operations.md").read_text(), re.MULTILINE)
    documented = {
        name: set(labels.replace(",", " ").split()) for names, labels in table for name in re.findall(r"`(\w+)`", names)
    }
    found: dict[str, set[str]] = {}
    for url in stack.metrics_urls.values():
        for family in text_string_to_metric_families(httpx.get(url, timeout=10).text):
            name = family.name + ("_total" if family.type == "counter" else "")
            labels = {label for sample in family.samples for label in sample.labels} - {"le"}
            found[name] = found.get(name, set()) | labels
    ours = {name: own for name, own in found.items() if name.startswith("parley_") and not name.endswith("_created")}
    cards = {name for name in documented if name.startswith("parley_gpu_")}
    assert ours.keys() | cards == documented.keys()
    assert {name: labels for name, labels in ours.items() if labels} == {
        name: documented[name] for name in ours if ours[name]
    }
