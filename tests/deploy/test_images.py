"""What the Dockerfiles copy and install is enough for what compose starts from them."""

from __future__ import annotations

import os
import re
import shutil
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

PROGRAMS = {
    "api": "import api.main, shared.db, scripts.health_check, scripts.create_api_key; api.main.create_app()",
    "asr": "import tasks.app, flower.command, scripts.health_check; tasks.app.app.loader.import_default_modules()",
}
BASE_BYTES = 150_000_000
"""python:3.11-slim-bookworm, unpacked, with tini; rounded up."""

IMAGES = [("Dockerfile", "api"), ("Dockerfile.worker", "asr")]

WITHOUT = """
import importlib.abc, sys
class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"{name} is not in this image", name=name)
ABSENT = set(sys.argv[1].split(","))
sys.meta_path.insert(0, Absent())
sys.path.insert(0, "")
exec(sys.argv[2])
"""


@pytest.mark.parametrize(("dockerfile", "target"), IMAGES)
def test_an_image_has_what_its_processes_import(tmp_path: Path, dockerfile: str, target: str) -> None:
    """With only the files of the image, and only the packages of its set, its programs can be loaded; torch is not
    among them."""
    for source in copied(dockerfile, target):
        copy(ROOT / source, tmp_path / source)
    absent = absent_modules(target)
    assert "torch" in absent
    addresses = {"DATABASE_URL": "postgresql+psycopg://127.0.0.1:1/none", "REDIS_URL": "redis://127.0.0.1:1/0"}
    said = subprocess.run(
        (sys.executable, "-c", WITHOUT, ",".join(sorted(absent)), PROGRAMS[target]), cwd=tmp_path,
        env={"PATH": os.environ["PATH"]} | addresses, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert said.returncode == 0, said.stderr[-2000:]


def copied(dockerfile: str, target: str) -> list[str]:
    """Paths that the final stage `target` takes out of the checkout."""
    text = (ROOT / dockerfile).read_text()
    stage = re.split(rf"^FROM \S+ AS {target}$", text, flags=re.MULTILINE)[1].partition("\nFROM ")[0]
    lines = (line.split()[1:-1] for line in stage.splitlines() if line.startswith("COPY ") and "--from" not in line)
    return [source.rstrip("/") for line in lines for source in line]


def copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


def test_the_gateways_image_is_small() -> None:
    """What is installed and copied into it leaves it below 400 MB."""
    wanted = package_names("api")
    installed = [each for each in metadata.distributions() if canonicalize_name(each.metadata["Name"]) in wanted]
    files = {file.locate() for each in installed for file in each.files or () if file.suffix != ".pyc"}
    copies = [path for source in copied("Dockerfile", "api") for path in (ROOT / source, *(ROOT / source).rglob("*"))]
    sizes = [Path(str(path)).stat().st_size for path in (*files, *copies) if Path(str(path)).is_file()]
    assert len(installed) > 30
    assert BASE_BYTES + sum(sizes) < 400_000_000


def package_names(requirements: str) -> set[str]:
    """Names of all packages that a set brings in."""
    files = (ROOT / "requirements" / f"{name}.txt" for name in included(requirements) if name != "constraints")
    lines = (
        line for file in files for line in file.read_text().splitlines() if line and not line.startswith(("#", "-"))
    )
    return closure(Requirement(line) for line in lines)


def absent_modules(requirements: str) -> set[str]:
    """Top-level modules of installed packages that this set does not bring in."""
    wanted = package_names(requirements)
    present: set[str] = set()
    absent: set[str] = set()
    for module, packages in metadata.packages_distributions().items():
        is_wanted = any(canonicalize_name(package) in wanted for package in packages)
        (present if is_wanted else absent).add(module)
    return absent - present


def closure(roots: Iterable[Requirement]) -> set[str]:
    """Names of these packages and of all that they need, with their extras."""
    found: set[tuple[str, str]] = set()
    left = [(root, extra) for root in roots for extra in ("", *root.extras)]
    while left:
        requirement, extra = left.pop()
        name = canonicalize_name(requirement.name)
        if (name, extra) in found:
            continue
        found.add((name, extra))
        try:
            needed = metadata.requires(name) or ()
        except metadata.PackageNotFoundError:
            continue
        for each in map(Requirement, needed):
            if each.marker is None or each.marker.evaluate({"extra": extra}):
                left += [(each, own) for own in ("", *each.extras)]
    return {name for name, _ in found}
