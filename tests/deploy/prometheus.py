"""Prometheus' own programs: those on the PATH, or Debian's packages unpacked into a folder of the environment."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

HOME = Path(sys.prefix) / "prometheus"
TIMEOUT_S = 180
PACKAGES = {
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "prometheus-node-exporter": "prometheus-node-exporter",
}


def program(name: str) -> str:
    """Path of one of PACKAGES. Needs no root; a machine without apt needs it on its PATH."""
    unpacked = HOME / "usr" / "bin" / name
    if found := shutil.which(name):
        return found
    if not unpacked.exists():
        _unpack(PACKAGES[name])
    return str(unpacked)


def _unpack(package: str) -> None:
    assert shutil.which("apt-get"), f"put {package} on the PATH: there is no apt to fetch it with"
    HOME.mkdir(parents=True, exist_ok=True)
    download = ("apt-get", "download", package)
    if subprocess.run(download, cwd=HOME, timeout=TIMEOUT_S, check=False).returncode != 0:
        subprocess.run(("apt-get", "update"), timeout=TIMEOUT_S, check=True)
        subprocess.run(download, cwd=HOME, timeout=TIMEOUT_S, check=True)
    (archive,) = HOME.glob(f"{package}_*.deb")
    subprocess.run(("dpkg", "-x", archive, HOME), timeout=TIMEOUT_S, check=True)
