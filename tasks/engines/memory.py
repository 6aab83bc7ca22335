"""How much memory is free for a model: that of this process's machine, container and limits, or of its card."""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

from tasks.engines import cards

CGROUP_FILES = {
    "": ("memory.max", "memory.current", "inactive_file"),
    "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}
"""By controller as /proc/self/cgroup names it, "" being version 2: limit, usage, and the line of memory.stat that says
how much of the usage are files read long ago, which the kernel drops before anything else."""


def free_bytes(device: str) -> int | None:
    """Bytes that can still be taken on "cpu" or "cuda", "cuda:1"; None where nobody can tell."""
    if device != "cpu":
        return cards.free_bytes(int(device.partition(":")[2] or 0))
    return min((room for room in (_machine(), *cgroup_rooms(), _address_space()) if room is not None), default=None)


def cgroup_rooms(proc: Path = Path("/proc"), mount: Path = Path("/sys/fs/cgroup")) -> Iterator[int]:
    """What each limit leaves that this process's group, or one that it is in, has."""
    try:
        lines = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controller, path = line.split(":", 2)
        if controller not in CGROUP_FILES:
            continue
        top = mount / controller
        group = top / path.lstrip("/")
        # a container may see only its own group, mounted at the top, under the host's name for it
        for folder in {top, group, *(parent for parent in group.parents if parent.is_relative_to(top))}:
            room = _cgroup_room(folder, *CGROUP_FILES[controller])
            if room is not None:
                yield room


def give_back() -> None:
    """Return what freed models have left in the allocators to the system and to the card."""
    gc.collect()
    if torch := sys.modules.get("torch"):
        torch.cuda.empty_cache()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc only
        if trim:
            trim(0)


def _machine() -> int | None:
    """What the kernel thinks can be had without swapping."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


def _cgroup_room(folder: Path, limit: str, usage: str, reclaimable: str) -> int | None:
    try:
        most = (folder / limit).read_text().strip()
        used = int((folder / usage).read_text())
        stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    except OSError:
        return None
    return None if most == "max" else int(most) - used + int(stat.get(reclaimable, 0))


def _address_space() -> int | None:
    most, _ = resource.getrlimit(resource.RLIMIT_AS)
    if most == resource.RLIM_INFINITY:
        return None
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        return None
    return most - pages * os.sysconf("SC_PAGE_SIZE")
