"""Whether this worker has been told to stop. Set by the parent process, seen by its pool children at once."""

from __future__ import annotations

from multiprocessing import get_context

_told = get_context("fork").Event()
"""Made before the pool forks, so parent and children share it."""


def tell() -> None:
    """Called in the parent when the shutdown begins."""
    _told.set()


def shutting_down() -> bool:
    """True once the worker is to stop: claim nothing, give back what is held."""
    return _told.is_set()
