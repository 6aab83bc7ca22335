"""Our own images, by our own Dockerfiles and compose's own `build`, on top of the stand-ins."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.deploy.images.dockerfiles import stages
from tests.engine import standins
from tests.engine.checkout import ROOT
from tests.engine.engine import Engine

BUILD_TIMEOUT_S = 1500
INDEX = "http://127.0.0.1:8911"
"""Where builds, which have the engine's network, find the torch of this machine that is built for CPUs."""

DOCKERFILES = ("Dockerfile", "Dockerfile.worker", "deploy/caddy/Dockerfile")
OVERRIDE = "stand-ins.yml"


def described(engine: Engine, checkout: Path, *options: str) -> dict[str, Any]:
    """The services as compose reads the files of a checkout that has an .env."""
    process = engine.run(("docker", "compose", *options, "config", "--format", "json"), cwd=checkout)
    assert process.returncode == 0, process.stderr
    services: dict[str, Any] = json.loads(process.stdout)["services"]
    return services


def prepare(engine: Engine, checkout: Path) -> Path:
    """Make the stand-ins that the checkout's default profile and Dockerfiles name. Returns a compose file, in the
    checkout, that goes after docker-compose.yml: where an image is pinned by digest, the stand-in's tag."""
    services = described(engine, checkout, "-f", "docker-compose.yml")
    foreign = {service["image"] for service in services.values() if "build" not in service}
    standins.make(engine, foreign | bases())
    arguments = torch_arguments(engine)
    override = {name: _overridden(service, arguments) for name, service in services.items()}
    file = checkout / OVERRIDE
    file.write_text(
        json.dumps({"services": {name: changes for name, changes in override.items() if changes}}, indent=2)
    )
    return file


def bases() -> set[str]:
    """Images that the Dockerfiles begin with, as they name them."""
    named = [(stage.base, {other.name for other in stages(file)}) for file in DOCKERFILES for stage in stages(file)]
    return {base for base, own in named if base not in own}


def build(engine: Engine, checkout: Path, *services: str) -> None:
    """`docker compose build` of these services, or of all; what did not change comes out of the engine's cache."""
    prepare(engine, checkout)
    with torch_index(engine):
        command = ("docker", "compose", "-f", "docker-compose.yml", "-f", OVERRIDE, "build", *services)
        process = engine.run(command, cwd=checkout, timeout_s=BUILD_TIMEOUT_S)
    assert process.returncode == 0, process.stdout[-4000:] + process.stderr[-4000:]


def build_target(engine: Engine, checkout: Path, target: str, tag: str) -> None:
    """`docker build` of a target of Dockerfile.worker that compose does not name."""
    prepare(engine, checkout)
    options = [
        f"--build-context={base}=docker-image://{standins.without_digest(base)}"
        for base in sorted(bases())
        if "@" in base
    ]
    options += [f"--build-arg={name}={value}" for name, value in torch_arguments(engine).items()]
    with torch_index(engine):
        command = (
            "docker",
            "build",
            "--network=host",
            "-f",
            "Dockerfile.worker",
            "--target",
            target,
            *options,
            "-t",
            tag,
            ".",
        )
        process = engine.run(command, cwd=checkout, timeout_s=BUILD_TIMEOUT_S)
    assert process.returncode == 0, process.stdout[-4000:] + process.stderr[-4000:]


@contextmanager
def torch_index(engine: Engine) -> Iterator[None]:
    """While the block runs, builds find at INDEX what `torch_arguments` names."""
    command = ("python3", "-m", "http.server", "--bind", "127.0.0.1", INDEX.rpartition(":")[2])
    server = subprocess.Popen(
        engine.entering(command, engine.folder.path / "index"),
        env=engine.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        server.kill()
        server.wait(10)


def torch_arguments(engine: Engine) -> dict[str, str]:
    """Build arguments that name the CPU wheel of torch, where this machine's pip has one; else none."""
    index = engine.folder.path / "index"
    if not index.exists():
        _fetch_torch(index)
    return {"TORCH_CPU_INDEX": INDEX} if any(index.glob("torch/*.whl")) else {}


def _fetch_torch(index: Path) -> None:
    (index / "torch").mkdir(parents=True)
    match = re.search(r"^torch==(\S+)", (ROOT / "requirements/worker.txt").read_text(), re.MULTILINE)
    assert match
    subprocess.run(
        (
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--only-binary=:all:",
            "--python-version=3.11",
            "-d",
            str(index / "torch"),
            f"torch=={match[1]}+cpu",
        ),
        check=False,
        capture_output=True,
        timeout=BUILD_TIMEOUT_S,
    )


def _overridden(service: dict[str, Any], arguments: dict[str, str]) -> dict[str, Any]:
    if "build" not in service:
        tag = standins.without_digest(service["image"])
        return {"image": tag} if tag != service["image"] else {}
    contexts = {base: f"docker-image://{standins.without_digest(base)}" for base in bases() if "@" in base}
    build: dict[str, Any] = {"network": "host"}
    if contexts:
        build["additional_contexts"] = contexts
    if service["build"].get("dockerfile") == "Dockerfile.worker":
        build["args"] = arguments
    return {"build": build}
