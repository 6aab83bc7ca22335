"""Starting the processes of one gateway, replacing those that die, ending all of them.

They are forked from a process that has imported everything and done nothing yet, so that they share that memory. Each
has a listening socket of its own for the same port (SO_REUSEPORT), among which the kernel shares out the connections.
"""

from __future__ import annotations

import ctypes
import gc
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from api.processes.table import Table
from shared.config import settings
from shared.telemetry.logs import get_logger

log = get_logger(__name__)

PR_SET_PDEATHSIG = 1  # linux/prctl.h
RESTART_S = 1.0
"""Between the death of a process and its successor: one that dies at once must not take a core."""

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


@contextmanager
def metrics_folder() -> Iterator[None]:
    """A folder through which the processes share their counters, unless the settings name one. Before prometheus_client
    is imported, which looks at the environment then."""
    if settings().prometheus_multiproc_dir:
        yield
        return
    folder = tempfile.mkdtemp(prefix="parley-metrics-")
    os.environ[FOLDER_VARIABLE] = folder
    settings.cache_clear()
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def reserved_port(host: str, port: int) -> Iterator[bool]:
    """Whether nobody else listens there. Meanwhile nobody else can, except processes of the same user that mean to
    share it."""
    try:
        with _socket(host, shared=False) as probe:  # sharing would let another gateway of this user pass unnoticed
            probe.bind((host, port))
        with shared_socket(host, port):
            yield True
    except OSError as error:
        log.error("port_taken", host=host, port=port, reason=type(error).__name__)
        yield False


def shared_socket(host: str, port: int) -> socket.socket:
    """Bound, for one process of several."""
    bound = _socket(host, shared=True)
    bound.bind((host, port))
    return bound


def _socket(host: str, *, shared: bool) -> socket.socket:
    new = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    new.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        new.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return new


def run(table: Table, serve: Callable[[], int], start_failed: int) -> int:
    """Keep `table.count` processes that `serve` until SIGTERM or SIGINT, then end them. The exit status is
    `start_failed` when one of them could not start, else 0."""
    assert threading.active_count() == 1, "a lock that another thread holds would stay locked in the forked processes"
    return _Crew(table, serve, start_failed).run()


class _Crew:
    def __init__(self, table: Table, serve: Callable[[], int], start_failed: int) -> None:
        self._table, self._serve, self._start_failed = table, serve, start_failed
        self._numbers: dict[int, int] = {}  # by process id
        self._is_ending = False

    def run(self) -> int:
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signal_number, self._end)
        gc.collect()
        gc.freeze()  # the collector would write to memory that the processes share
        for number in range(self._table.count):
            self._start(number)
        status = 0
        while self._numbers:
            pid, wait_status = os.wait()
            if pid not in self._numbers:  # an orphan that was handed to this process, as to the first of a container
                continue
            number = self._numbers.pop(pid)
            self._table.clear(number)
            code = os.waitstatus_to_exitcode(wait_status)
            if code == self._start_failed and not self._is_ending:
                status = code
                self._end()
            elif not self._is_ending:
                log.error("gateway_process_died", pid=pid, exit_status=code)
                time.sleep(RESTART_S)
                self._start(number)
        return status

    def _start(self, number: int) -> None:
        """A signal that comes between the fork and its entry here would miss the new process, so it waits."""
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
        try:
            if self._is_ending:
                return
            parent = os.getpid()
            pid = os.fork()
            if pid == 0:
                self._become(number, parent)
            self._numbers[pid] = number
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT))

    def _become(self, number: int, parent: int) -> None:
        """The new process. Never returns."""
        code = 1
        try:
            for signal_number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(signal_number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT))
            if sys.platform == "linux":  # else it would go on without anybody to end it
                ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
            if os.getppid() == parent:
                self._table.take(number)
                code = self._serve()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        except BaseException:  # whatever it is, the parent must not go on twice
            log.exception("gateway_process_failed")
        finally:
            with suppress(OSError):
                sys.stderr.flush()
            os._exit(code)

    def _end(self, _signal: int = 0, _frame: FrameType | None = None) -> None:
        self._is_ending = True
        for pid in self._numbers:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
