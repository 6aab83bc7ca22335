"""What the Dockerfiles promise: who runs, who owns the folders of volumes, what is pinned, what stays out."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.composed import project, read
from tests.deploy.images.dockerfiles import ROOT, context, copied, in_effect, is_let_through, lineage, stages

OURS = [("Dockerfile", "api"), *(("Dockerfile.worker", name) for name in ("asr", "full", "models", "all-in-one"))]
CADDY = ("deploy/caddy/Dockerfile", None)
DOCKERFILES = ("Dockerfile", "Dockerfile.worker", "deploy/caddy/Dockerfile")

TWO_NUMBERS = {"postgres", "chrislusf/seaweedfs"}
"""Images of projects whose releases have two numbers, all told."""

SECRETS = (
    ".env",
    ".env.production",
    "api/.env",
    "scripts/.env.local",
    ".git/config",
    ".venv/bin/python",
    ".parley/secrets.json",
    "deploy/kubernetes/secrets.env",
    "models/whisper/base/model.bin",
    "docs/meeting.mp3",
    "tasks/__pycache__/app.pyc",
)


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """All services, with scratch files on disk."""
    folder = project(tmp_path_factory.mktemp("images") / "project", {})
    arguments = ("-f", "docker-compose.yml", "-f", "compose/scratch-on-disk.yml")
    every = ("--profile=gpu", "--profile=monitoring", "--profile=logging")
    described: dict[str, Any] = read(folder, *arguments, *every)["services"]
    return described


@pytest.mark.parametrize(("dockerfile", "target"), [*OURS, CADDY])
def test_no_image_runs_as_root(dockerfile: str, target: str | None) -> None:
    """The final user is a number, which Kubernetes can check, and not 0; ours have tini before the command."""
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", in_effect(dockerfile, target, "USER"))
    if (dockerfile, target) != CADDY:
        assert json.loads(in_effect(dockerfile, target, "ENTRYPOINT")) == ["tini", "--"]


def test_every_image_of_compose_is_held_to_this(services: dict[str, Any]) -> None:
    """What compose builds are the images of these tests, and the last stage of Dockerfile.worker is all-in-one."""
    built = {of_service(service) for service in services.values() if "build" in service}
    assert built == {*OURS, CADDY} - {("Dockerfile.worker", "all-in-one")}
    assert stages("Dockerfile.worker")[-1].name == "all-in-one"


def test_a_volume_belongs_to_who_writes_into_it(services: dict[str, Any]) -> None:
    """Each folder where a service of ours mounts a volume to write into is made in its image, and given to its user:
    a new volume takes owner and mode from it, and would be root's without."""
    checked = set()
    for name, service in services.items():
        if "build" not in service:
            continue
        for mount in service.get("volumes", ()):
            if mount["type"] == "volume" and not mount.get("read_only"):
                checked.add((name, mount["target"]))
                assert owner_of(mount["target"], *of_service(service)) == "parley", (name, mount["target"])
                assert in_effect(*of_service(service), "USER") == "10001:10001"
    assert checked == {
        ("models", "/models"),
        ("caddy", "/var/lib/caddy"),
        ("worker-io", "/scratch"),
        ("worker-cpu", "/scratch"),
    }


def test_the_user_of_a_volume_is_the_one_with_this_number() -> None:
    """`parley`, to whom the folders are given, is user 10001 in every image; the demo's folder is user 1000's."""
    for dockerfile, target in (*OURS, CADDY):
        runs = " ".join(run for stage in lineage(dockerfile, target) for run in stage.values("RUN"))
        assert re.search(r"(useradd --uid|adduser -D -H -u) 10001 .*parley", runs), target
    assert owner_of("/data", "Dockerfile.worker", "all-in-one") == "demo"
    assert "useradd --uid 1000 " in lineage("Dockerfile.worker", "all-in-one")[0].values("RUN")[0]


@pytest.mark.parametrize("dockerfile", DOCKERFILES)
def test_base_images_are_pinned(dockerfile: str) -> None:
    """Every base is a stage of the file, or an image by its full version or digest, with the ARGs filled in."""
    text = (ROOT / dockerfile).read_text()
    for stage in stages(dockerfile):
        assert stage.base in {other.name for other in stages(dockerfile)} or is_pinned(stage.base), stage.base
    assert "# syntax=" not in text, "a frontend would be one more image to pin"


def test_images_of_compose_are_pinned(services: dict[str, Any]) -> None:
    """Every image that compose pulls has its full version; those that it builds have ours."""
    images = {service["image"] for service in services.values()}
    images |= set(re.findall(r"image: (\S+)", "".join(file.read_text() for file in (ROOT / "compose").glob("*.yml"))))
    assert [image for image in sorted(images) if not is_pinned(image)] == []
    assert len(images) > 14


@pytest.mark.parametrize("path", SECRETS)
def test_no_secret_gets_into_a_build(path: str) -> None:
    """.dockerignore keeps out secrets, weights, recordings, and what git or a virtual environment has."""
    assert not is_let_through(path)


def test_what_images_copy_gets_into_a_build() -> None:
    """Each path that a Dockerfile copies is let through, and nothing outside the folders of the program is."""
    files = context()
    assert {Path(file).parts[0] for file in files} == {
        "api",
        "shared",
        "tasks",
        "scripts",
        "requirements",
        "LICENSE",
        "NOTICE",
        "bills",
        "pyproject.toml",
    }
    for dockerfile, target in OURS:
        for source in copied(dockerfile, target):
            assert source == "." or any(file == source or file.startswith(f"{source}/") for file in files), source
    assert not [file for file in files if file.endswith(".pyc")]


@pytest.mark.parametrize(("dockerfile", "target"), OURS)
def test_an_image_can_be_read_by_its_user(dockerfile: str, target: str) -> None:
    """Whatever modes the checkout has, such as those of umask 077: each copy of its files says what the image's are. So
    does that of the requirements, or a build under another umask would install everything again."""
    copies = [value for stage in stages(dockerfile) for value in stage.values("COPY") if "--from" not in value]
    assert {value for stage in lineage(dockerfile, target) for value in stage.values("COPY")} & set(copies)
    assert copies
    assert [value for value in copies if "--chmod=0755 " not in value] == []


def of_service(service: dict[str, Any]) -> tuple[str, str | None]:
    """Dockerfile and target of a service that compose builds."""
    build = service["build"]
    folder = "deploy/caddy/" if build["context"].endswith("deploy/caddy") else ""
    return f"{folder}{build.get('dockerfile', 'Dockerfile')}", build.get("target")


def owner_of(folder: str, dockerfile: str, target: str | None) -> str | None:
    """Who gets a folder that a stage makes with `install -d`; None where nobody makes it."""
    runs = " ".join(run for stage in lineage(dockerfile, target) for run in stage.values("RUN"))
    match = re.search(rf"install -d -o (\w+) -g \1 (-m 0[0-7]+ )?{re.escape(folder)}(?![\w/])", runs)
    return match[1] if match else None


def is_pinned(image: str) -> bool:
    name, _, tag = image.partition(":")
    if "@sha256:" in image or re.fullmatch(r"RELEASE\.\d{4}-\d\d-\d\dT[\d-]+Z", tag):
        return True
    if image.startswith("parley-"):
        return True
    numbers = r"\d+\.\d+" if name in TWO_NUMBERS else r"\d+\.\d+\.\d+"
    return re.fullmatch(rf"v?{numbers}(-[a-z][\w-]*)?", tag) is not None
