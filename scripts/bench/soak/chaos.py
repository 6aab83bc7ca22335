"""Signals to the processes of a running stack, from outside, as the kernel or an operator would send them."""

from __future__ import annotations

import contextlib
import os
import signal

import psutil

from scripts.local import processes
from scripts.local.stack import Stack


def children(stack: Stack, name: str) -> list[int]:
    """Process ids of a worker's pool: they do the work, their parent only hands it out."""
    leader = stack.pid(name)
    if leader is None:
        return []
    with contextlib.suppress(psutil.NoSuchProcess):
        return [child.pid for child in psutil.Process(leader).children()]
    return []


def decoders(stack: Stack, name: str) -> list[int]:
    """Process ids of the decoders of a worker's pool, whose processes have fork servers for them."""
    pids = []
    for pid in children(stack, name):
        with contextlib.suppress(psutil.NoSuchProcess):
            pids += [decoder.pid for server in psutil.Process(pid).children() for decoder in server.children()]
    return pids


def kill(pid: int) -> None:
    """`kill -9` of one process; it may be gone already."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def kill_tree(stack: Stack, name: str) -> None:
    """`kill -9` of a process and all its children. The supervisor starts it again."""
    leader = stack.pid(name)
    if leader is not None:
        processes.kill_session(leader)


def replace(stack: Stack, name: str) -> None:
    """Start a killed process at once, without the supervisor's growing pause between one death and the next."""
    stack.stop_process(name)
    stack.start_process(name)


def freeze(stack: Stack, name: str) -> list[int]:
    """SIGSTOP to a process and all its children, those forked meanwhile too; returns their ids for `thaw`."""
    leader = stack.pid(name)
    frozen: list[int] = []
    while leader is not None and (more := [pid for pid in processes.members(leader) if pid not in frozen]):
        for pid in more:
            with contextlib.suppress(ProcessLookupError):  # it may be gone already
                os.kill(pid, signal.SIGSTOP)
        frozen += more
    return frozen


def thaw(frozen: list[int]) -> None:
    """SIGCONT."""
    for pid in frozen:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
