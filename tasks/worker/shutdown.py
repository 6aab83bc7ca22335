"""Whether this worker has been told to stop. Set by the parent process, seen by its pool children at once."""

from __future__ import annotations

import mmap

_flag = mmap.mmap(-1, 1)
"""One byte of memory, made before the pool forks, so that parent and children share it. Not an Event: that has a lock,
and a child that is killed while it holds it would block all others for good."""


def tell() -> None:
    """Called in the parent when the shutdown begins."""
    _flag[0] = 1


def shutting_down() -> bool:
    """True once the worker is to stop: claim nothing, give back what is held."""
    return _flag[0] == 1
