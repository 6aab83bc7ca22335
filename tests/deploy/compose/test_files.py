"""The files for deployment, read by the real tools: compose, compose-lint, hadolint, Caddy."""

from __future__ import annotations

import itertools
import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from scripts.init_env import SECRETS, parse_env
from scripts.local.apps import WORKERS
from tests.deploy.composed import BIN, ROOT, compose, project
from tests.deploy.documented import ways_out

OUTSIDE = {
    "compose/aws-s3.yml": {"S3_BUCKET": "recordings", "S3_REGION": "eu-central-1"},
    "compose/minio.yml": {},
    "compose/outside-postgres.yml": {"DATABASE_URL": "postgresql+psycopg://me:secret@db.example.org/parley"},
    "compose/outside-redis.yml": {"REDIS_URL": "rediss://:secret@redis.example.org:6380/0"},
    "compose/scratch-on-disk.yml": {},
}
REPLACED = {
    "compose/aws-s3.yml": "seaweedfs",
    "compose/minio.yml": "seaweedfs",
    "compose/outside-postgres.yml": "postgres",
    "compose/outside-redis.yml": "valkey",
}
STORES = {"compose/aws-s3.yml", "compose/minio.yml"}
COMBINATIONS = [
    combination
    for size in range(len(OUTSIDE) + 1)
    for combination in itertools.combinations(OUTSIDE, size)
    if not set(combination) >= STORES  # one object store or the other
]
PROFILES = ("gpu", "live", "monitoring", "logging")
PROFILE_SETS = [
    combination for size in range(len(PROFILES) + 1) for combination in itertools.combinations(PROFILES, size)
]
WATCHERS = {
    "": set(),
    "monitoring": {"prometheus", "node-exporter", "grafana"},
    "logging": {"loki", "alloy", "grafana"},
}
DOCKERFILES = ("Dockerfile", "Dockerfile.worker", "deploy/caddy/Dockerfile")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout after init_env.py, with what the override files ask for."""
    return project(
        tmp_path_factory.mktemp("files") / "project",
        {k: v for variables in OUTSIDE.values() for k, v in variables.items()},
    )


def files(overrides: tuple[str, ...]) -> list[str]:
    return [part for name in ("docker-compose.yml", *overrides) for part in ("-f", name)]


def profiles(names: Iterable[str] = PROFILES) -> list[str]:
    return [f"--profile={name}" for name in names]


@pytest.fixture(scope="module")
def everything(checkout: Path) -> dict[str, Any]:
    """The project with all profiles."""
    loaded: dict[str, Any] = json.loads(compose(checkout, *profiles(), "config", "--format", "json").stdout)
    return loaded


@pytest.mark.parametrize(
    "overrides", COMBINATIONS, ids=lambda names: "+".join(Path(name).stem for name in names) or "plain"
)
def test_every_combination_is_accepted(checkout: Path, overrides: tuple[str, ...]) -> None:
    """Compose takes every set of override files, with no profile and with all; what is replaced is neither started nor
    waited for, and every service marks its log lines with project and service."""
    assert (process := compose(checkout, *files(overrides), "config", "-q")).returncode == 0, process
    process = compose(checkout, *files(overrides), *profiles(), "config", "--format", "json")
    assert process.returncode == 0, process.stderr
    services: dict[str, Any] = json.loads(process.stdout)["services"]
    replaced = {REPLACED[name] for name in overrides if name in REPLACED}
    assert not replaced & set(services)
    for service in services.values():
        assert set(service.get("depends_on") or ()) <= set(services)
        assert service["logging"]["options"]["labels"] == "com.docker.compose.project,com.docker.compose.service"


@pytest.mark.parametrize("active", PROFILE_SETS, ids=lambda names: "+".join(names) or "none")
def test_every_override_goes_with_every_profile(checkout: Path, active: tuple[str, ...]) -> None:
    """With any set of profiles compose takes each override file alone, and as many of them as go together."""
    most = [names for names in COMBINATIONS if len(names) == len(OUTSIDE) - 1]
    arguments = [
        (*files(names), *profiles(active), "config", "-q") for names in (*((name,) for name in OUTSIDE), *most)
    ]
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda command: compose(checkout, *command), arguments))
    assert [answer.stderr for answer in answers if answer.returncode] == []
    assert len(answers) == len(OUTSIDE) + len(STORES)


@pytest.mark.parametrize("active", PROFILE_SETS, ids=lambda names: "+".join(names) or "none")
def test_a_profile_adds_its_services(checkout: Path, active: tuple[str, ...]) -> None:
    """Every set of profiles is accepted; what watches is there with its profile and only then."""
    process = compose(checkout, *profiles(active), "config", "--services")
    assert process.returncode == 0, process.stderr
    watching = set().union(*WATCHERS.values()) & set(process.stdout.split())
    assert watching == set().union(*(WATCHERS.get(name, set()) for name in active))
    assert ("worker-asr-gpu" in process.stdout.split()) == ("gpu" in active)
    assert ("worker-live" in process.stdout.split()) == ("live" in active)


@pytest.mark.parametrize("name", [name for name, requirement in OUTSIDE.items() if requirement])
def test_an_override_says_what_it_lacks(tmp_path: Path, name: str) -> None:
    """Without the address that it needs, an override file is refused by the variable's name."""
    process = compose(project(tmp_path / "project", {}), *files((name,)), "config", "-q")
    assert process.returncode != 0
    assert all(requirement in process.stderr for requirement in OUTSIDE[name])


def test_without_secrets_nothing_starts(tmp_path: Path) -> None:
    """After `cp .env.example .env` alone, compose names each secret and the command that makes them."""
    folder = project(tmp_path / "project", {})
    (folder / ".env").write_text((ROOT / ".env.example").read_text())
    process = compose(folder, "config", "-q")
    assert process.returncode != 0
    assert all(
        f"{name} is missing a value: is not set - run python3 scripts/init_env.py" in process.stderr for name in SECRETS
    )
    assert len(process.stderr.splitlines()) == len(SECRETS)


def test_init_env_makes_secrets_once(tmp_path: Path) -> None:
    """The file is for its owner only; each secret is new, long and plain; a second run changes nothing."""
    command = (sys.executable, ROOT / "scripts/init_env.py", "--file", tmp_path / ".env")
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    first = (tmp_path / ".env").read_text()
    subprocess.run((*command, "--monitoring"), capture_output=True, check=True)
    subprocess.run((*command, "--domain", "parley.example.org", "--gpu"), capture_output=True, check=True)
    second = parse_env((tmp_path / ".env").read_text())

    secrets = {name: parse_env(first)[name] for name in SECRETS}
    assert len(set(secrets.values())) == len(SECRETS)
    assert all(re.fullmatch(r"(pk_)?[0-9a-f]{48}", value) for value in secrets.values())
    assert not any(value in output for value in secrets.values())
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    assert secrets.items() <= second.items()
    assert second["S3_PUBLIC_ENDPOINT_URL"] == "https://s3.parley.example.org"
    assert second["GRAFANA_URL"] == "https://parley.example.org/grafana/"
    assert second["COMPOSE_PROFILES"] == "monitoring,gpu"


@pytest.mark.parametrize(("options", "model"), [((), "base"), (("--gpu",), "large-v3-turbo")])
def test_init_env_names_the_model(tmp_path: Path, options: tuple[str, ...], model: str) -> None:
    """`auto` is replaced by the model that it means for what is installed; a name stays."""
    command = (sys.executable, ROOT / "scripts/init_env.py", "--file", tmp_path / ".env")
    (tmp_path / ".env").write_text("WHISPER_MODEL=auto\n")
    subprocess.run((*command, *options), capture_output=True, check=True)
    assert parse_env((tmp_path / ".env").read_text())["WHISPER_MODEL"] == model
    (tmp_path / ".env").write_text("WHISPER_MODEL=small\n")
    subprocess.run(command, capture_output=True, check=True)
    assert parse_env((tmp_path / ".env").read_text())["WHISPER_MODEL"] == "small"


def test_init_env_names_the_machine(tmp_path: Path) -> None:
    """With --address, what other machines are sent to is that address and the ports of the file; not with --domain."""
    command = (sys.executable, ROOT / "scripts/init_env.py", "--file", tmp_path / ".env", "--address", "192.168.1.20")
    (tmp_path / ".env").write_text("S3_PORT=9443\nHTTP_PORT=8080\n")
    subprocess.run(command, capture_output=True, check=True)
    values = parse_env((tmp_path / ".env").read_text())
    assert values["S3_PUBLIC_ENDPOINT_URL"] == "http://192.168.1.20:9443"
    assert values["GRAFANA_URL"] == "http://192.168.1.20:8080/grafana/"
    assert subprocess.run((*command, "--domain", "x.org"), capture_output=True, check=False).returncode == 2


def test_services_can_be_scaled_and_are_locked_in(everything: dict[str, Any]) -> None:
    """No service has a fixed name, only Caddy a port of the host; all have no capabilities beyond a few named ones, a
    read-only root, a memory limit, rotated logs, a restart policy; those that stay have a health check."""
    for name, service in everything["services"].items():
        assert "container_name" not in service and "hostname" not in service, name
        assert ("ports" in service) == (name == "caddy"), name
        assert service["cap_drop"] == ["ALL"] and service["read_only"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert int(service["deploy"]["resources"]["limits"]["memory"]) > 0, name
        assert service["logging"]["options"]["max-size"], name
        assert service["restart"], name
        is_one_shot = name in ("migrate", "models")
        assert service["healthcheck"].get("disable", False) == is_one_shot, name
        assert re.search(r":[\w.-]*\d", service["image"]), name


def test_a_way_out_is_where_deploy_md_says(everything: dict[str, Any]) -> None:
    """Caddy, recordings by URL and weights have a network with a way out, as the table in deploy.md says, and no other
    service has one. Logs and figures are where neither a worker nor a server is."""
    services, networks = everything["services"], everything["networks"]

    def members(network: str) -> set[str]:
        return {name for name, service in services.items() if network in service["networks"]}

    leading_out = [name for name, network in networks.items() if not network.get("internal")]
    assert set().union(*map(members, leading_out)) == {"caddy", "worker-io", "models"}
    assert {name for name, way in ways_out().items() if way} == {"caddy", "worker-io", "models"}
    assert ways_out().keys() == {name for name in services if not name.endswith("-gpu")}
    assert members("edge") == {"caddy"} and members("outside") == {"worker-io", "models"}
    assert members("watching") == {"prometheus", "grafana", "loki", "alloy"}
    assert members("servers").isdisjoint({"grafana", "loki", "alloy"})


@pytest.mark.parametrize("name", OUTSIDE)
def test_an_override_gives_a_way_out_to_those_who_need_its_server(checkout: Path, name: str) -> None:
    """With a server elsewhere, those who ask it have a way there; servers and what watches have none all the same."""
    process = compose(checkout, *files((name,)), *profiles(), "config", "--format", "json")
    project = json.loads(process.stdout)
    leading_out = {network for network, how in project["networks"].items() if not how.get("internal")}
    leavers = {service for service, how in project["services"].items() if leading_out & how["networks"].keys()}
    is_elsewhere = name in REPLACED and name != "compose/minio.yml"
    workers = {service for service in project["services"] if service.startswith("worker-")}
    users = workers | {"api", "beat", "flower", "migrate"} if is_elsewhere else set()
    if name == "compose/aws-s3.yml":
        users -= {"flower"}
    assert leavers == {"caddy", "worker-io", "models"} | users


def test_commands_are_those_of_the_local_stack(checkout: Path) -> None:
    """Workers of compose and of `make run` are the same program with the same options."""
    services = json.loads(compose(checkout, "config", "--format", "json").stdout)["services"]
    commands = [services[name]["command"] for name in services if name.startswith("worker")]
    for app in WORKERS:
        fixed = [
            part for part in app.arguments if part.startswith("--") or part in ("celery", "-A", "tasks.app", "worker")
        ]
        assert all(set(fixed) <= set(command) for command in commands)


def test_compose_lint_finds_nothing_high(checkout: Path) -> None:
    """compose-lint has nothing of weight to say about any file, but what .compose-lint.yml gives a reason for."""
    names = [ROOT / "docker-compose.yml", *(ROOT / "compose").glob("*.yml")]
    process = subprocess.run(
        (BIN / "compose-lint", "check", "--strict-config", "--config", ROOT / ".compose-lint.yml", *names),
        capture_output=True,
        text=True,
        check=False,
        cwd=checkout,
    )
    assert process.returncode == 0, process.stdout[-3000:]


@pytest.mark.parametrize("name", DOCKERFILES)
def test_hadolint_finds_nothing(name: str) -> None:
    """hadolint has nothing to say about a Dockerfile, and every base image has an exact tag."""
    process = subprocess.run((BIN / "hadolint", ROOT / name), capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stdout


@pytest.mark.parametrize("site", ["http://:8080", "parley.example.org"])
def test_caddy_accepts_the_caddyfile(site: str) -> None:
    """Stock Caddy takes the whole configuration but the plugin's snippet, plain and with certificates."""
    settings = {"RATELIMIT_FILE": "deploy/caddy/no-ratelimit.caddy", "PARLEY_SITE": site, "S3_SITE": f"{site}:9000"}
    if site.startswith("http"):
        settings["S3_SITE"] = "http://:9000"
    process = subprocess.run(
        (BIN / "caddy", "validate", "--config", ROOT / "Caddyfile", "--adapter", "caddyfile"),
        env=os.environ | settings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr[-2000:]


@pytest.mark.parametrize(
    "name", ["Caddyfile", *sorted(str(f.relative_to(ROOT)) for f in ROOT.glob("deploy/caddy/*.caddy"))]
)
def test_caddyfiles_are_formatted(name: str) -> None:
    """`caddy fmt` would change nothing."""
    process = subprocess.run((BIN / "caddy", "fmt", ROOT / name), capture_output=True, text=True, check=False)
    assert process.stdout == (ROOT / name).read_text()
