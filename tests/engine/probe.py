"""Can this machine run a container engine of its own? One line says why not."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.engine.folder import WorkFolder
from tests.engine.roots import mirror

PROGRAMS = ("mmdebstrap", "slirp4netns", "unshare", "nsenter", "setpriv")
TIMEOUT_S = 30


def obstacle(folder: WorkFolder) -> str | None:
    """The first thing that is missing, in words for whoever runs the tests; None when an engine can be started."""
    if os.geteuid() != 0:
        return "an engine in namespaces of its own needs root"
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        return f"not installed: {', '.join(missing)} (Debian: apt-get install mmdebstrap slirp4netns)"
    if not Path("/dev/net/tun").exists():
        return "there is no /dev/net/tun, by which slirp4netns gives the engine a network"
    if not _works("unshare", "--net", "--mount", "--uts", "--ipc", "--pid", "--fork", "true"):
        return "the kernel lets nobody make namespaces here (unshare --net --mount --pid)"
    if not _can_overlay(folder.path):
        return f"no overlay can be mounted over {folder.path}"
    if "memory" not in _controllers():
        return "there is no cgroup controller for memory"
    if not folder.has_roots and mirror() is None:
        return "no Debian mirror is among apt's sources, and no root was made before"
    return None


def _works(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=TIMEOUT_S, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _can_overlay(folder: Path) -> bool:
    """As the engine does: an overlay with its upper layer in the folder, in a mount namespace that ends with it."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        script = "mkdir l u w m && mount -t overlay -o lowerdir=l,upperdir=u,workdir=w overlay m"
        return _works("unshare", "--mount", "sh", "-c", f"cd {place} && {script}")


def _controllers() -> set[str]:
    """Names of the cgroup controllers, of either version."""
    second = Path("/sys/fs/cgroup/cgroup.controllers")
    if second.exists():
        return set(second.read_text().split())
    first = Path("/proc/cgroups")
    rows = [line.split() for line in first.read_text().splitlines() if not line.startswith("#")]
    return {row[0] for row in rows if row[3] == "1"}
