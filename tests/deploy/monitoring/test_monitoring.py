"""Prometheus' configuration, alerts and dashboards, as promtool reads them. What they show: test_monitored_stack.py."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import yaml

from scripts.dashboards import DASHBOARDS, FOLDER, render
from shared.stages import queues
from tests.deploy.kubernetes.overlays import built, container, workloads
from tests.deploy.monitoring.prometheus import program

ROOT = Path(__file__).resolve().parents[3]
MONITORING = ROOT / "deploy" / "monitoring"


def promtool(*arguments: str | Path) -> str:
    process = subprocess.run((program("promtool"), *arguments), capture_output=True, text=True, timeout=60, check=False)
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout + process.stderr


def test_the_configuration_is_valid() -> None:
    """promtool accepts the configuration and both files of rules."""
    assert "2 rule files found" in promtool("check", "config", MONITORING / "prometheus.yml")


def test_the_jobs_on_kubernetes_are_those_of_the_rules(tmp_path: Path) -> None:
    """Each container with metrics is scraped by one job, which has the name that compose gives it; Flower by none."""
    described = yaml.safe_load((MONITORING / "kubernetes.yml").read_text())
    jobs: dict[str, str] = {}
    (disks,) = [job for job in described["scrape_configs"] if job["job_name"] == "volumes"]
    assert [each["role"] for each in disks.pop("kubernetes_sd_configs")] == ["node"]
    disks.pop("authorization")  # promtool looks for the file of the pod's token
    for job in described["scrape_configs"]:
        if job == disks:
            continue
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
                assert jobs.setdefault(name, job["job_name"]) == job["job_name"]
    assert jobs == {"api": "parley-api"} | {f"worker-{name}": "parley-worker" for name in (*queues(), "live")}
    described["rule_files"] = [str(MONITORING / name) for name in described["rule_files"]]
    (tmp_path / "kubernetes.yml").write_text(json.dumps(described))
    promtool("check", "config", tmp_path / "kubernetes.yml")


def _scrapable() -> Iterator[tuple[str, dict[str, str]]]:
    """Containers of deploy/kubernetes with a port, by the labels that Prometheus discovers."""
    for manifest in workloads(built("cpu", ("live",))).values():
        own = manifest["spec"]["template"]["metadata"]["labels"]
        labels = {"pod_label_" + re.sub(r"\W", "_", key): value for key, value in own.items()}
        for port in container(manifest).get("ports", ()):
            yield (
                container(manifest)["name"],
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
