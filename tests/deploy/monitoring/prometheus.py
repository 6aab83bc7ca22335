"""Prometheus' own programs: those on the PATH, or Debian's packages unpacked into a folder of the environment."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.programs import unavailable

HOME = Path(sys.prefix) / "prometheus"
TIMEOUT_S = 180
PACKAGES = {
    "prometheus": ("prometheus",),
    "promtool": ("promtool", "prometheus"),  # a package of its own since Debian 13
    "prometheus-node-exporter": ("prometheus-node-exporter",),
}
"""By the name of the program: Debian's packages that may have it, the newest first."""


def program(name: str) -> str:
    """Path of one of PACKAGES. Needs no root; the test is skipped where it is neither on the PATH nor to be had."""
    unpacked = HOME / "usr" / "bin" / name
    if path := shutil.which(name):
        return path
    reason = ""
    for package in PACKAGES[name]:
        if not unpacked.exists():
            reason = _unpack(package)
    if not unpacked.exists():
        unavailable(f"this needs the program {name} ({reason}): apt install {PACKAGES[name][0]}")
    return str(unpacked)


def _unpack(package: str) -> str:
    """Why it could not be done, or nothing. The machine's lists of packages may be missing or old, and only root may
    update them: then apt works in folders of ours, with the machine's own sources and keys."""
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        return "there is no apt to fetch it with"
    HOME.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=HOME) as own:
        options = _options(Path(own))
        process = _apt("download", package)
        if process.returncode != 0:
            updated = _apt(*options, "update")
            process = _apt(*options, "download", package) if updated.returncode == 0 else updated
    if process.returncode != 0:
        return f"apt could not fetch it: {' '.join(process.stderr.split())[-200:]}"
    (archive,) = HOME.glob(f"{package}_*.deb")
    subprocess.run(("dpkg", "-x", archive, HOME), timeout=TIMEOUT_S, check=True)
    return ""


def _options(folder: Path) -> tuple[str, ...]:
    """Lists and caches in `folder`; sources, keys and the list of what is installed stay the machine's."""
    (folder / "state" / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    (folder / "cache" / "archives" / "partial").mkdir(parents=True, exist_ok=True)
    options = {
        "Dir::State": str(folder / "state"),
        "Dir::State::status": "/var/lib/dpkg/status",
        "Dir::Cache": str(folder / "cache"),
        "APT::Sandbox::User": "",
    }
    return tuple(part for name, value in options.items() for part in ("-o", f"{name}={value}"))


def _apt(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ("apt-get", *arguments), cwd=HOME, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
