"""The pulse of a worker's main process, and the watch that the children of its pool keep over it.

The main process fetches the rings and hands them to its children. When it hangs or is stopped, nothing is fetched,
while its container goes on, and compose restarts only what ends. So the children look on: when the pulse stops they
give back what they hold and kill it, and whoever started the worker starts it again.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from shared.config import Settings
from shared.telemetry.logs import get_logger
from tasks.worker import shutdown

log = get_logger(__name__)

BEAT_S = 1.0

LOOKS = 10
"""Times in a row that nothing moved, after which it is believed. Looks are counted, not seconds: when a suspended
machine wakes up, whoever looks first would else find all the others silent for hours."""

GIVE_BACK_S = 5.0
"""What children get to give back their stages before a deaf or hanging worker is ended by force, besides GRACE_S."""

_beats = memoryview(mmap.mmap(-1, 8)).cast("Q")
"""How often the main process has beaten, 0 before the first; made before the pool forks, so that all share it."""


def beat(file: Path | None, is_well: Callable[[], bool]) -> None:
    """Beat for ever; `file` is touched as long as the worker is well, for the health checks of containers."""
    while True:
        _beats[0] += 1
        if file and is_well():
            with contextlib.suppress(OSError):  # whoever looks at the file then finds it old, which is right
                file.touch()
        time.sleep(BEAT_S)


def watch(parent: int, config: Settings) -> None:
    """In a child, for ever: end the worker when its main process has not beaten for DEAF_TIMEOUT_S."""
    last_beats, missed = 0, 0
    while missed < LOOKS:
        time.sleep(config.deaf_timeout_s / LOOKS)
        beats = _beats[0]
        missed = missed + 1 if beats and beats == last_beats else 0
        last_beats = beats
    log.error("worker_hangs", pid=parent, timeout_s=config.deaf_timeout_s)
    shutdown.tell()
    time.sleep(GIVE_BACK_S + config.grace_s)
    if os.getppid() == parent:
        os.kill(parent, signal.SIGKILL)
    os._exit(1)
