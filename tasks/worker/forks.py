"""A worker's main process forks beside its threads whenever its pool has lost a child.

A lock that a thread holds at that moment stays locked in the child for ever, since the thread is not there to open it.
prometheus_client has one for all counters; libpq, the resolver and the buffer of stderr have theirs; only logging and
threading make theirs anew, and so does the exporter of traces, which has a thread too. So every other thread of the
main process does each piece of its work under `no_fork`, and a fork waits until none is at work.

It does not wait for ever: a database that is away may hold a thread up, and the pool must not stand still meanwhile. A
child that then hangs is killed as it begins, by its pool (LOAD_TIMEOUT_S in preload.py), or later by the watch
over what it holds (deafness.py).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE_S = 5.0
"""What a fork waits at most. The main loop does nothing else meanwhile."""

_working = 0
_is_forking = False
_changed = threading.Condition(threading.Lock())


@contextmanager
def no_fork() -> Iterator[None]:
    """This process does not fork meanwhile, unless that takes longer than PATIENCE_S. Must not be nested, or held by
    a thread that forks."""
    global _working
    with _changed:
        _changed.wait_for(lambda: not _is_forking)
        _working += 1
    try:
        yield
    finally:
        with _changed:
            _working -= 1
            _changed.notify_all()


def _before() -> None:
    global _is_forking
    _changed.acquire()  # and keep it over the fork
    _is_forking = True  # while this waits, nobody begins
    _changed.wait_for(lambda: not _working, PATIENCE_S)


def _after_in_parent() -> None:
    global _is_forking
    _is_forking = False
    _changed.notify_all()
    _changed.release()


def _after_in_child() -> None:
    global _working, _is_forking, _changed
    _working, _is_forking, _changed = 0, False, threading.Condition(threading.Lock())


os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
