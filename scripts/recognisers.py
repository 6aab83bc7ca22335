"""How many processes recognise side by side on a CPU. Needs nothing but Python."""

from __future__ import annotations

import os

MOST = 4
"""More would leave a single short recording with one core of many: the cores are shared out among the processes."""

MEMORY_BYTES = 4 * 1024**3
"""For each: large-v3-turbo, or small with eight pieces at once."""


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_bytes() -> int | None:
    """What the machine has; None where it does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None


def processes(cores: int, memory_bytes: int | None) -> int:
    """One per core, up to four, where there is memory for their models; one where nothing is known of it."""
    return max(1, min(MOST, cores, (memory_bytes or 0) // MEMORY_BYTES))
