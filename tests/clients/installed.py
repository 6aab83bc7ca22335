"""Clients from the package indexes, installed on first use below .parley/clients, each set by its lock.

Where an index or a program is missing, the tests of that set are skipped with one line why. With REQUIRE_CLIENTS=1,
which the gate sets, they fail instead.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

import pytest

from tests.clients.lock import LOCK, PACKAGES

ROOT = Path(__file__).parents[2]
HOME = ROOT / ".parley" / "clients"

NPM_FILES = ("package.json", "package-lock.json")
INSTALL_TIMEOUT_S = 300
"""Of one set; 20 s on a good line."""


def node_modules() -> Path:
    """The folder of the packages for Node, for NODE_PATH."""
    files = [PACKAGES / name for name in NPM_FILES]
    npm = _program("npm")
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", "--fetch-retries=1"]
    return _installed("node", files, command) / "node_modules"


def node() -> str:
    """The program."""
    return _program("node")


def python_packages() -> Path:
    """The folder of the packages for Python that are not in this environment, for PYTHONPATH."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["--target", "packages", "--no-deps", "--require-hashes", "--only-binary", ":all:", "-r", LOCK.name]
    return _installed("python", [LOCK], command) / "packages"


def unavailable(reason: str) -> NoReturn:
    """Skip this test for `reason`, or fail it where the gate wants everything."""
    if os.environ.get("REQUIRE_CLIENTS") == "1":
        pytest.fail(f"REQUIRE_CLIENTS=1, and {reason}", pytrace=False)
    pytest.skip(reason)


def _program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        unavailable(f"clients for Node need the program {name}: apt install nodejs npm, or put it on the PATH")
    return path


def _installed(kind: str, files: list[Path], command: list[str]) -> Path:
    """The folder in which `command` was run beside copies of `files`; older ones of this kind are removed."""
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files) + sys.version.encode()).hexdigest()[:16]
    target = HOME / f"{kind}-{digest}"
    HOME.mkdir(parents=True, exist_ok=True)
    with (HOME / f".{kind}.lock").open("w") as lock:  # of processes that run tests side by side the first one installs
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            _install(kind, files, command, target)
    return target


def _install(kind: str, files: list[Path], command: list[str], target: Path) -> None:
    with tempfile.TemporaryDirectory(prefix=f".{kind}-", dir=HOME) as folder:
        work = Path(folder) / kind
        work.mkdir()
        for file in files:
            shutil.copy(file, work)
        try:
            process = subprocess.run(
                command, cwd=work, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired:
            unavailable(f"the clients for {kind} were not installed within {INSTALL_TIMEOUT_S} s")
        if process.returncode != 0:
            lines = (process.stderr or process.stdout).strip().splitlines() or [f"status {process.returncode}"]
            causes = "; ".join(line.strip() for line in lines[:3])
            unavailable(f"the clients for {kind} could not be installed: {causes}")
        for old in HOME.glob(f"{kind}-*"):
            shutil.rmtree(old, ignore_errors=True)
        work.replace(target)
