"""One thread of another process, stopped while the others go on: what a model that hangs looks like from outside."""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from pathlib import Path

SEIZE, INTERRUPT, DETACH = 0x4206, 0x4207, 17
WALL = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


def processor_ticks(pid: int) -> dict[int, int]:
    """What each thread but the main one has used of the processor."""
    ticks = {}
    for folder in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            ticks[int(folder.name)] = int(fields[11]) + int(fields[12])
    ticks.pop(pid, None)
    return ticks


class StoppedThread:
    """By ptrace, which must be called by one thread throughout. It stays stopped until its process is killed."""

    def __init__(self, tid: int) -> None:
        self._tid = tid
        self._call(SEIZE)
        self._call(INTERRUPT)

    def await_end(self) -> int:
        """Take notice of its end, without which its process could not go. Its status, as of `waitpid`."""
        while True:
            _, status = os.waitpid(self._tid, WALL)
            if os.WIFEXITED(status) or os.WIFSIGNALED(status):
                return status

    def let_go(self) -> None:
        """Let it run again, if it is still there."""
        with suppress(OSError):
            self._call(DETACH)

    def _call(self, request: int) -> None:
        if _libc.ptrace(request, self._tid, None, None) < 0:
            raise OSError(ctypes.get_errno(), f"ptrace request {request:#x} of {self._tid}")
