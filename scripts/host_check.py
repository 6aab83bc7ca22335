"""What docker compose needs of the machine, checked before it is started. Needs nothing but Python.

Each finding is a line for a person. None of them stops anything: the file .env may be made on another machine.
"""

from __future__ import annotations

import os
import re
import stat
import subprocess
from collections.abc import Iterable
from pathlib import Path

MOUNTED = ("Caddyfile", "deploy/caddy", "deploy/monitoring", "deploy/grafana", "deploy/loki", "deploy/alloy")
"""Files of the checkout that compose mounts into containers, whose users are not the checkout's owner. No secrets."""

OVERCOMMIT = Path("/proc/sys/vm/overcommit_memory")

NEEDED = (
    # what, how it tells its version, the oldest, and why
    (
        "Docker Engine",
        ("docker", "version", "--format", "{{.Server.Version}}"),
        (25, 0),
        "older ones leave out start_interval, and the first start takes minutes",
    ),
    (
        "docker compose",
        ("docker", "compose", "version", "--short"),
        (2, 24),
        "older ones cannot read docker-compose.yml",
    ),
    ("docker buildx", ("docker", "buildx", "version"), (0, 17), "compose 5 builds with no older one"),
)
COMMAND_TIMEOUT_S = 20


def open_to_readers(root: Path) -> tuple[list[str], list[str]]:
    """Let everybody read what is MOUNTED, as a checkout under umask 077 does not. Returns the names of MOUNTED where
    something was changed, and those where this user may not."""
    changed: dict[str, None] = {}
    refused: dict[str, None] = {}
    for name in MOUNTED:
        for path in _closed(root / name):
            try:
                path.chmod(path.stat().st_mode | _reading(path))
            except PermissionError:
                refused[name] = None
            else:
                changed[name] = None
    return list(changed), list(refused)


def findings() -> list[str]:
    """What is too old or set in a way that costs something, a line each; nothing where there is no Docker."""
    lines = [line for name, command, oldest, why in NEEDED if (line := _too_old(name, command, oldest, why))]
    if OVERCOMMIT.exists() and OVERCOMMIT.read_text().strip() == "0":
        lines.append(
            "vm.overcommit_memory is 0: with little free memory Valkey could not save its data in the background. "
            "As root: sysctl -w vm.overcommit_memory=1, and the same in /etc/sysctl.d/valkey.conf"
        )
    return lines


def _closed(top: Path) -> Iterable[Path]:
    """Files and folders at or below `top` that not everybody can read; a folder comes before what is in it."""
    for path in (top, *(Path(folder) / name for folder, names, files in os.walk(top) for name in (*names, *files))):
        if path.exists() and path.stat().st_mode & _reading(path) != _reading(path):
            yield path


def _reading(path: Path) -> int:
    both = stat.S_IRGRP | stat.S_IROTH
    return both | stat.S_IXGRP | stat.S_IXOTH if path.is_dir() else both


def _too_old(name: str, command: tuple[str, ...], oldest: tuple[int, ...], why: str) -> str | None:
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"\bv?(\d+)\.(\d+)(?:\.\d+)?", result.stdout)
    if result.returncode != 0 or match is None:
        return None
    version = (int(match[1]), int(match[2]))
    minimum = ".".join(map(str, oldest)).removesuffix(".0")
    return f"{name} here is {version[0]}.{version[1]}, and Parley needs {minimum}: {why}" if version < oldest else None
