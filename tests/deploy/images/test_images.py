"""What the Dockerfiles copy and install is enough for what compose starts from them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from scripts.bootstrap import included
from tests.deploy.composed import ROOT
from tests.deploy.images.dockerfiles import copied, copy, requirements

RECOGNITION = "import tasks.asr.channels, tasks.engines.faster_whisper, tasks.engines.onnx, tasks.pcm, opencc, av"
"""What a worker imports when it first needs it."""

PROGRAMS = {
    "api": "import api.server, shared.db, scripts.health_check, scripts.create_api_key; "
    "from api.main import create_app; create_app()",
    "asr": "import tasks.app, flower.command, scripts.health_check; tasks.app.app.loader.import_default_modules(); "
    + RECOGNITION,
    "full": "import tasks.app, scripts.health_check; tasks.app.app.loader.import_default_modules(); "
    f"{RECOGNITION}; from tasks.diarization import loading; loading.prepare_import(); "
    "import tasks.diarization.pipeline",
    "models": "import scripts.download_models, scripts.weights.embedding, scripts.weights.mirror, scripts.weights.hub",
    "all-in-one": "import scripts.local.__main__, scripts.health_check, api.main, api.server, tasks.app; "
    "import flower.command; "
    f"tasks.app.app.loader.import_default_modules(); {RECOGNITION}",
}
BASE_BYTES = 150_000_000
"""python:3.11-slim-bookworm, unpacked, with tini; rounded up."""

IMAGES = [("Dockerfile", "api"), *(("Dockerfile.worker", name) for name in ("asr", "full", "models", "all-in-one"))]
WITHOUT_TORCH = {"api", "asr"}

WITHOUT = """
import importlib.machinery, re, sys
class Present(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in ABSENT else super().find_spec(name, path, target)
    @classmethod
    def find_distributions(cls, context):
        found = super().find_distributions(context)
        return (one for one in found if re.sub("[-_.]+", "-", one.metadata["Name"] or "").lower() not in PACKAGES)
ABSENT, PACKAGES = set(sys.argv[1].split(",")), set(sys.argv[3].split(","))
sys.meta_path[sys.meta_path.index(importlib.machinery.PathFinder)] = Present
sys.path.insert(0, "")
exec(sys.argv[2])
"""
"""Runs a program as if some packages were not installed: also who only looks for a module or a version finds none."""


@pytest.mark.parametrize(("dockerfile", "target"), IMAGES)
def test_an_image_has_what_its_processes_import(tmp_path: Path, dockerfile: str, target: str) -> None:
    """With only the files of the image, and only the packages of its sets, its programs can be loaded; torch is not
    among those of the gateway, nor of the workers that need none."""
    copy(dockerfile, target, tmp_path)
    packages = package_names(requirements(dockerfile, target))
    absent = absent_modules(packages)
    uninstalled = {canonicalize_name(package.name) for package in metadata.distributions()} - packages
    assert ("torch" in absent) == (target in WITHOUT_TORCH)
    addresses = {"DATABASE_URL": "postgresql+psycopg://127.0.0.1:1/none", "REDIS_URL": "redis://127.0.0.1:1/0"}
    process = subprocess.run(
        (sys.executable, "-c", WITHOUT, ",".join(sorted(absent)), PROGRAMS[target], ",".join(sorted(uninstalled))),
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]} | addresses,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert process.returncode == 0, process.stderr[-2000:]


def test_the_gateways_image_is_small() -> None:
    """What is installed and copied into it leaves it below 400 MB."""
    names = package_names(requirements("Dockerfile", "api"))
    installed = [each for each in metadata.distributions() if canonicalize_name(each.metadata["Name"]) in names]
    files = {file.locate() for each in installed for file in each.files or () if file.suffix != ".pyc"}
    copies = [path for source in copied("Dockerfile", "api") for path in (ROOT / source, *(ROOT / source).rglob("*"))]
    sizes = [Path(str(path)).stat().st_size for path in (*files, *copies) if Path(str(path)).is_file()]
    assert len(installed) > 30
    assert BASE_BYTES + sum(sizes) < 400_000_000


def package_names(sets: Iterable[str]) -> set[str]:
    """Names of all packages that these sets bring in."""
    names = {name for each in sets for name in included(each)} - {"constraints"}
    files = (ROOT / "requirements" / f"{name}.txt" for name in sorted(names))
    lines = (
        line for file in files for line in file.read_text().splitlines() if line and not line.startswith(("#", "-"))
    )
    return closure(Requirement(line) for line in lines)


def absent_modules(names: set[str]) -> set[str]:
    """Top-level modules of installed packages that are not among these."""
    present: set[str] = set()
    absent: set[str] = set()
    for module, packages in metadata.packages_distributions().items():
        is_wanted = any(canonicalize_name(package) in names for package in packages)
        (present if is_wanted else absent).add(module)
    return absent - present


def closure(roots: Iterable[Requirement]) -> set[str]:
    """Names of these packages and of all that they need, with their extras."""
    packages: set[tuple[str, str]] = set()
    remaining = [(root, extra) for root in roots for extra in ("", *root.extras)]
    while remaining:
        requirement, extra = remaining.pop()
        name = canonicalize_name(requirement.name)
        if (name, extra) in packages:
            continue
        packages.add((name, extra))
        try:
            needed = metadata.requires(name) or ()
        except metadata.PackageNotFoundError:
            continue
        for each in map(Requirement, needed):
            if each.marker is None or each.marker.evaluate({"extra": extra}):
                remaining += [(each, own) for own in ("", *each.extras)]
    return {name for name, _ in packages}
