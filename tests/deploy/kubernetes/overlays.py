"""deploy/kubernetes as kustomize builds it: each overlay, with secrets and components as the page says."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.kubernetes.programs import kubectl
from tests.programs import unavailable

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "deploy" / "kubernetes"
OVERLAYS = ("cpu", "gpu")
COMPONENTS = {
    "cpu": ("keda", "ingress", "live", "scaled-live"),
    "gpu": ("keda", "ingress", "live", "live-gpu", "scaled-live"),
}
"""Those that an overlay has as a comment."""

MISSING = "there is no kubectl to build overlays with: put one on the PATH, or set PARLEY_TEST_BIN"

Manifest = dict[str, Any]


def checkout(folder: Path, overlay: str, components: tuple[str, ...] = ()) -> Path:
    """A copy of deploy/kubernetes below `folder`, as its user leaves it; the path of its overlay."""
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("secrets"))
    place = folder / "overlays" / overlay
    script = (sys.executable, ROOT / "scripts" / "init_kubernetes.py", overlay, "--folder", place / "secrets")
    subprocess.run(script, check=True, capture_output=True, timeout=30)
    for name in components:
        uncomment(place / "kustomization.yaml", f"- ../../components/{name}")
    return place


def uncomment(file: Path, line: str) -> None:
    """Take the `# ` from before this line of a file."""
    text, count = re.subn(rf"^( *)# ({re.escape(line)})$", r"\1\2", file.read_text(), flags=re.M)
    assert count == 1, f"{file} has no comment {line}"
    file.write_text(text)


@cache
def built(overlay: str, components: tuple[str, ...] = ()) -> tuple[Manifest, ...]:
    """What `kubectl apply -k` would apply. Skips the test where there is no kubectl, unless the gate wants all."""
    program = kubectl()
    if program is None:
        unavailable(MISSING)
    with tempfile.TemporaryDirectory() as folder:
        place = checkout(Path(folder) / "kubernetes", overlay, components)
        process = subprocess.run((program, "kustomize", place), capture_output=True, text=True, timeout=60, check=False)
    assert process.returncode == 0, process.stderr
    assert not process.stderr, process.stderr  # warnings of what a coming kustomize refuses
    return tuple(yaml.safe_load_all(process.stdout))


def everything(overlay: str) -> tuple[Manifest, ...]:
    """With all components."""
    return built(overlay, COMPONENTS[overlay])


def of_kind(manifests: tuple[Manifest, ...], *kinds: str) -> dict[str, Manifest]:
    """Those of some kinds, by name."""
    return {each["metadata"]["name"]: each for each in manifests if each["kind"] in kinds}


def workloads(manifests: tuple[Manifest, ...]) -> dict[str, Manifest]:
    """Whatever has pods, by name."""
    return of_kind(manifests, "Deployment", "StatefulSet", "Job")


def pod(workload: Manifest) -> dict[str, Any]:
    spec: dict[str, Any] = workload["spec"]["template"]["spec"]
    return spec


def containers(workload: Manifest) -> list[dict[str, Any]]:
    """Its init containers, then the one that does its work."""
    return [*pod(workload).get("initContainers", ()), *pod(workload)["containers"]]


def container(workload: Manifest) -> dict[str, Any]:
    (only,) = pod(workload)["containers"]
    assert isinstance(only, dict)
    return only


def source(name: str) -> str:
    """Name of a generated Secret or ConfigMap without its hash."""
    return re.sub(r"-[a-z0-9]{10}$", "", name)
