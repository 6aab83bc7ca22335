"""What the profile logging makes of a line, as far as it can be seen without Loki and Alloy."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

import jmespath
import yaml

from tests.deploy.composed import ROOT

ALLOY = (ROOT / "deploy/alloy/config.alloy").read_text()
SPEAK = """
from shared.config import Settings
from shared.telemetry.logs import configure_logging, get_logger
configure_logging(Settings(database_url="x", redis_url="x"), "worker")
get_logger("tests").warning("stage_failed", job_id="4f7c")
"""


def expressions() -> dict[str, str]:
    """Everything that config.alloy takes out of JSON, by the name it gets."""
    blocks = re.findall(r"expressions = \{(.*?)\}", ALLOY, re.DOTALL)
    pairs = re.findall(r'(\w+)\s*=\s*("(?:[^"\\]|\\.)*")', "".join(blocks))
    return {name: json.loads(text) for name, text in pairs}


def test_a_line_of_ours_gets_its_component_and_level() -> None:
    """From a real line in the envelope of Docker's json-file driver come the service, the level and the line itself."""
    line = subprocess.run((sys.executable, "-c", SPEAK), cwd=ROOT, capture_output=True, text=True, check=True).stderr
    labels = _logging_options()["labels"].split(",")
    envelope = {
        "log": line,
        "stream": "stderr",
        "time": "2026-11-21T12:00:00.123456789Z",
        "attrs": dict(zip(labels, ("parley", "worker-asr"), strict=True)),
    }
    paths = expressions()
    outer = {name: jmespath.search(paths[name], envelope) for name in ("line", "time", "project", "component")}
    assert outer == {"line": line, "time": envelope["time"], "project": "parley", "component": "worker-asr"}
    assert jmespath.search(paths["level"], json.loads(outer["line"])) == "warning"
    assert json.loads(line)["job_id"] == "4f7c"


def test_only_two_labels_reach_loki() -> None:
    """The last stage keeps component and level; Loki takes no third and makes up none."""
    assert re.findall(r"label_keep \{\s*values = (.*)\n", ALLOY) == ['["component", "level"]']
    limits = yaml.safe_load((ROOT / "deploy/loki/loki.yml").read_text())["limits_config"]
    assert limits["max_label_names_per_series"] == 2
    assert limits["discover_service_name"] == [] and limits["discover_log_levels"] is False


def test_logs_are_deleted_after_thirty_days() -> None:
    """The period is thirty days, and the process that deletes is on and knows where it keeps its requests."""
    loki = yaml.safe_load((ROOT / "deploy/loki/loki.yml").read_text())
    assert loki["limits_config"]["retention_period"] == f"{30 * 24}h"
    assert loki["compactor"]["retention_enabled"] is True
    assert loki["compactor"]["delete_request_store"] == loki["schema_config"]["configs"][-1]["object_store"]


def test_addresses_are_those_of_the_services() -> None:
    """Grafana's sources and Alloy's target are services of compose, at the ports they listen on."""
    sources = yaml.safe_load((ROOT / "deploy/grafana/provisioning/datasources/parley.yml").read_text())["datasources"]
    loki = yaml.safe_load((ROOT / "deploy/loki/loki.yml").read_text())["server"]["http_listen_port"]
    assert {source["url"] for source in sources} == {"http://prometheus:9090", f"http://loki:{loki}"}
    assert f'url = "http://loki:{loki}/loki/api/v1/push"' in ALLOY


def test_grafana_finds_the_dashboards() -> None:
    """The folder that its configuration names is the one that compose mounts them at."""
    (provider,) = yaml.safe_load((ROOT / "deploy/grafana/provisioning/dashboards/parley.yml").read_text())["providers"]
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    assert f"./deploy/grafana/dashboards:{provider['options']['path']}:ro" in compose["services"]["grafana"]["volumes"]


def _logging_options() -> dict[str, Any]:
    options: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["x-logging"]["options"]
    return options
