"""A private folder for the temporary files of one stage. It never outlives the stage, whatever ends it.

Each folder holds a lock file that its process keeps locked; the kernel drops the lock with the process, however it
dies. A folder that is not locked is therefore nobody's, and `sweep_scratch` removes it. The scratch folder has a lock
too, so that no folder is met between its making and its locking.
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
    with _locked(scratch, fcntl.LOCK_SH):
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=scratch))
        lock = (folder / LOCK).open("w")
        fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        with lock:
            yield folder
    finally:
        discard(folder)


def discard(folder: Path) -> None:
    """Remove a workspace at once; also right before its process is killed."""
    shutil.rmtree(folder, ignore_errors=True)


def sweep_scratch(scratch: Path) -> int:
    """Remove the folders whose process is gone; returns how many there were."""
    if not scratch.is_dir():
        return 0
    with _locked(scratch, fcntl.LOCK_EX):
        stale = [folder for folder in scratch.iterdir() if folder.is_dir() and not _is_held(folder)]
        for folder in stale:
            discard(folder)
    return len(stale)


def _is_held(folder: Path) -> bool:
    try:
        with _locked(folder, fcntl.LOCK_EX | fcntl.LOCK_NB):
            return False
    except BlockingIOError:
        return True


@contextmanager
def _locked(folder: Path, how: int) -> Iterator[None]:
    with (folder / LOCK).open("a") as lock:
        fcntl.flock(lock, how)
        yield
