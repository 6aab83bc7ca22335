"""Can this machine emulate an ARM64 one? One line says why not."""

from __future__ import annotations

import os
import shutil
import urllib.error
import urllib.request
from pathlib import Path

from tests.engine.folder import WorkFolder
from tests.engine.roots import mirror

PROGRAMS = {
    "qemu-system-aarch64": "qemu-system-arm",
    "mmdebstrap": "mmdebstrap",
    "mke2fs": "e2fsprogs",
    "git": "git",
}
"""Debian's package of each."""

ANSWER_TIMEOUT_S = 20
DISK_BYTES = 8 * 1000**3
"""For a root folder and the image of a disk that is made of it, 2.5 GB each, and what is written to it in a run."""

MEMORY_BYTES = 7 * 1000**3


def obstacle(folder: WorkFolder, *, has_disk: bool) -> str | None:
    """Why there can be no such machine here; None when there can. `has_disk` says that its disk was made before."""
    if os.geteuid() != 0:
        return "only root can make the root folder of another processor"
    if missing := [package for name, package in PROGRAMS.items() if shutil.which(name) is None]:
        return f"not installed: apt install {' '.join(missing)}"
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    available = int(lines["MemAvailable"].split()[0]) * 1024
    if available < MEMORY_BYTES:
        return f"{available / 1e9:.1f} GB of memory are available, and it takes {MEMORY_BYTES / 1e9:.0f}"
    if has_disk:
        return None
    if shutil.disk_usage(folder.path).free < DISK_BYTES:
        return f"{folder.path} has less than {DISK_BYTES / 1e9:.0f} GB free (PARLEY_ENGINE_DIR names another folder)"
    source = mirror()
    if source is None:
        return "no Debian mirror is among apt's sources"
    try:
        urllib.request.urlopen(f"{source}/dists/trixie/InRelease", timeout=ANSWER_TIMEOUT_S).close()
    except (OSError, urllib.error.URLError) as error:
        return f"apt's mirror does not give trixie: {error}"
    return None
