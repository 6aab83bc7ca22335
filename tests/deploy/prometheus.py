"""A real Prometheus and promtool: those on the PATH, or Debian's package unpacked into a folder of the environment."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

HOME = Path(sys.prefix) / "prometheus"
TIMEOUT_S = 180


def program(name: str) -> str:
    """Path of `prometheus` or `promtool`. Needs no root; a machine without apt needs them on its PATH."""
    unpacked = HOME / "usr" / "bin" / name
    if found := shutil.which(name):
        return found
    if not unpacked.exists():
        _unpack()
    return str(unpacked)


def _unpack() -> None:
    assert shutil.which("apt-get"), "put prometheus and promtool on the PATH: there is no apt to fetch them with"
    HOME.mkdir(parents=True, exist_ok=True)
    if subprocess.run(("apt-get", "download", "prometheus"), cwd=HOME, timeout=TIMEOUT_S, check=False).returncode != 0:
        subprocess.run(("apt-get", "update"), timeout=TIMEOUT_S, check=True)
        subprocess.run(("apt-get", "download", "prometheus"), cwd=HOME, timeout=TIMEOUT_S, check=True)
    (package,) = HOME.glob("prometheus_*.deb")
    subprocess.run(("dpkg", "-x", package, HOME), timeout=TIMEOUT_S, check=True)
