"""What init_env.py finds out about the machine and the checkout: threads, the images' tag, modes, versions."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from scripts.host_check import MOUNTED
from scripts.init_env import parse_env
from scripts.recognisers import processes
from tests.deploy.composed import ROOT, project, read
from tests.engine.checkout import clone

PROFILES = ("--profile=gpu", "--profile=live", "--profile=monitoring", "--profile=logging")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A clone as somebody with umask 077 makes it."""
    return clone(tmp_path / "checkout", umask=0o077)


def init(folder: Path, *options: str, path: str = os.environ["PATH"]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (sys.executable, "scripts/init_env.py", *options),
        cwd=folder,
        env={"PATH": path, "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def values(folder: Path) -> dict[str, str]:
    return parse_env((folder / ".env").read_text())


def programs(folder: Path, **scripts: str) -> str:
    """A PATH with these programs first."""
    folder.mkdir()
    for name, body in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{body}\n")
        (folder / name).chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def test_containers_can_read_what_is_mounted(checkout: Path) -> None:
    """Under umask 077 nobody else can read the files that compose mounts; afterwards everybody can, and still nobody
    else the secrets. A second run has nothing to say about it."""
    assert stat.S_IMODE((checkout / "Caddyfile").stat().st_mode) == 0o600
    first = init(checkout)
    paths = [path for name in MOUNTED for path in (checkout / name, *(checkout / name).rglob("*"))]
    assert len(paths) > 20
    for path in paths:
        assert stat.S_IMODE(path.stat().st_mode) == (0o755 if path.is_dir() else 0o644), path
    assert stat.S_IMODE((checkout / ".env").stat().st_mode) == 0o600
    assert "made readable for everybody" in first.stdout
    assert "readable" not in init(checkout).stdout


def test_a_file_that_cannot_be_opened_is_named(checkout: Path) -> None:
    """Who does not own the files gets status 1 and the command for their owner."""
    if os.geteuid() != 0:
        pytest.skip("only root can make files of somebody else's")
    (checkout / "deploy/caddy").chmod(0o700)
    outsider = (
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "--inh-caps=+dac_override",
        "--ambient-caps=+dac_override",
    )
    with tempfile.TemporaryDirectory() as folder:  # of pytest's own folders nobody else can reach any
        Path(folder).chmod(0o777)
        process = subprocess.run(
            (*outsider, sys.executable, "scripts/init_env.py", "--file", f"{folder}/env"),
            cwd=checkout,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert process.returncode == 1
    assert "chmod -R go+rX Caddyfile deploy" in process.stdout


def test_every_mounted_file_is_looked_at(tmp_path: Path) -> None:
    """What compose mounts of the checkout, with all profiles and in every override file, is in MOUNTED."""
    folder = project(tmp_path / "project", {"S3_BUCKET": "b", "S3_REGION": "r", "DATABASE_URL": "x", "REDIS_URL": "x"})
    mounted = set()
    for name in (None, *sorted(path.name for path in (ROOT / "compose").glob("*.yml"))):
        files = ("-f", "docker-compose.yml", *(("-f", f"compose/{name}") if name else ()))
        for service in read(folder, *files, *PROFILES)["services"].values():
            sources = (Path(volume["source"]) for volume in service.get("volumes", ()) if volume["type"] == "bind")
            mounted |= {source.relative_to(folder) for source in sources if source.is_relative_to(folder)}
    assert mounted
    assert [path for path in mounted if not any(path.is_relative_to(name) for name in MOUNTED)] == []


@pytest.mark.parametrize(
    ("cores", "settings", "shares"),
    [
        (1, "", (1, 1, 1)),
        (2, "", (2, 1, 1)),
        (2, "ASR_REPLICAS=2\n", (1, 1, 1)),
        (2, "ASR_THREADS=6\n", (1, 6, 1)),
        (2, "ASR_CONCURRENCY=1\n", (1, 2, 1)),
        (2, "COMPOSE_PROFILES=gpu\n", (1, 2, 1)),
    ],
)
def test_processes_and_threads_suit_the_machine(
    checkout: Path, cores: int, settings: str, shares: tuple[int, int, int]
) -> None:
    """There is a recogniser per core; together they have as many threads as the machine has cores, diarizers half as
    many. A value stays, and a card has one recogniser."""
    (checkout / ".env").write_text(settings)
    available = sorted(os.sched_getaffinity(0))
    if len(available) < cores:
        pytest.skip(f"this machine has {len(available)} cores")
    allowed = ",".join(map(str, available[:cores]))
    subprocess.run(("taskset", "-c", allowed, sys.executable, "scripts/init_env.py"), cwd=checkout, check=True)
    variables = values(checkout)
    assert tuple(int(variables[name]) for name in ("ASR_CONCURRENCY", "ASR_THREADS", "DIARIZE_THREADS")) == shares


@pytest.mark.parametrize(
    ("cores", "gigabytes", "number"), [(1, 64, 1), (2, 24, 2), (2, 3, 1), (4, 8, 2), (64, 512, 4), (8, None, 1)]
)
def test_recognisers_have_a_core_and_memory_each(cores: int, gigabytes: int | None, number: int) -> None:
    assert processes(cores, gigabytes and gigabytes * 1024**3) == number


def test_images_are_named_by_release_and_commit(checkout: Path) -> None:
    """Each commit has a tag of its own, also where .env has the one of another; a tag of somebody's own stays."""
    init(checkout)
    first = values(checkout)["PARLEY_VERSION"]
    git = ("git", "-c", "user.name=t", "-c", "user.email=t@example.org")
    subprocess.run((*git, "commit", "--quiet", "--allow-empty", "-m", "next"), cwd=checkout, check=True)
    init(checkout)
    second = values(checkout)["PARLEY_VERSION"]
    assert re.fullmatch(r"0\.1\.0-g[0-9a-f]{10,}", first) and re.fullmatch(r"0\.1\.0-g[0-9a-f]{10,}", second)
    assert first != second
    (checkout / ".env").write_text("PARLEY_VERSION=of-our-registry\n")
    init(checkout)
    assert values(checkout)["PARLEY_VERSION"] == "of-our-registry"


def test_without_git_the_release_names_the_images(checkout: Path) -> None:
    """A source archive has no commit."""
    subprocess.run(("rm", "-rf", ".git"), cwd=checkout, check=True)
    assert init(checkout).returncode == 0
    assert values(checkout)["PARLEY_VERSION"] == "0.1.0"


DOCKER = """case "$*" in
  version*) echo {} ;;
  compose*) echo {} ;;
  buildx*) echo github.com/docker/buildx {} 4f8a3b ;;
esac"""
OLD = DOCKER.format("20.10.24+dfsg1", "v2.17.2", "0.13.1+ds1")
NEW = DOCKER.format("28.5.2", "5.6.1", "v0.29.1")


@pytest.mark.parametrize(
    ("docker", "named"), [(OLD, ("Engine", "compose", "buildx")), (NEW, ()), ("echo Cannot connect; exit 1", ())]
)
def test_what_is_too_old_is_named(checkout: Path, tmp_path: Path, docker: str, named: tuple[str, ...]) -> None:
    """Engine, compose and buildx below what deploy.md asks for are a line each; newer ones, or none, are not."""
    process = init(checkout, path=programs(tmp_path / "bin", docker=docker))
    assert process.returncode == 0
    lines = [line for line in process.stdout.splitlines() if "Parley needs" in line]
    assert len(lines) == len(named)
    assert all(name in line for name, line in zip(named, lines, strict=True))


def test_deploy_md_names_the_same_versions() -> None:
    """The oldest versions that are checked are those that deploy.md asks for."""
    text = " ".join((ROOT / "docs/deploy.md").read_text().split())
    assert "Docker Engine 25 or newer" in text and "compose 2.24 or newer" in text and "buildx 0.17 or newer" in text
