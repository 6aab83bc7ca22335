"""A private folder for the temporary files of one stage. It never outlives the stage, whatever ends it.

Each folder holds a lock file that its process keeps locked; the kernel drops the lock with the process, however it
dies. A folder whose lock can be taken is therefore nobody's, and `sweep_scratch` removes it.
"""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK = ".lock"


@contextmanager
def workspace(scratch: Path, name: str) -> Iterator[Path]:
    """A new folder below `scratch`, readable by this user only, removed at the end."""
    scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=scratch))
    try:
        with (folder / LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder
    finally:
        discard(folder)


def discard(folder: Path) -> None:
    """Remove a workspace at once; also right before its process is killed."""
    shutil.rmtree(folder, ignore_errors=True)


def sweep_scratch(scratch: Path) -> int:
    """Remove the folders whose process is gone; returns how many there were."""
    removed = 0
    for folder in scratch.iterdir() if scratch.is_dir() else ():
        try:
            with (folder / LOCK).open() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                discard(folder)
                removed += 1
        except (BlockingIOError, NotADirectoryError, FileNotFoundError):
            continue  # in use, not ours, or a neighbour was faster
    return removed
