"""A program that has loaded what it needs and forks a child for each job: its own side, standard library only.

It is told of a job by its parent (forked.py), over a socket of which each message is whole: first the job as JSON, with
descriptors, then a word to end the child. It answers with what became of the child: its si_code and si_status. It reads
no descriptor that it is given, so no child finds a stranger's bytes in the memory that it has from here.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from typing import Any

from tasks.sandbox.lockdown import die_with

MAX_MESSAGE_BYTES, MAX_DESCRIPTORS = 65_536, 16

IDLE_S = 300.0
"""Without a job for so long it ends. The next one starts it anew."""

Work = Callable[[dict[str, Any], list[int], int], None]
"""Called in the child with the job, the descriptors that belong to it, and the process id of the server."""


def serve(load: Callable[[], None], work: Work, idle_s: float = IDLE_S) -> None:
    """Until the parent closes the socket argv[1]; argv[2] is its process id. Linux ties the server's life to the thread
    that started it, and that of a child to the server."""
    control, parent_pid = socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2])
    die_with(parent_pid)
    load()
    gc.collect()
    gc.freeze()  # the collector would write to memory that the children share
    is_last = False
    while not is_last and (job := _next_job(control, idle_s)):
        message, descriptors, is_last = job
        pid = _fork(control, message, descriptors, work)
        control.settimeout(None)
        if not is_last:  # else no word can come any more: to end the child the parent kills this server
            is_last = not control.recv(MAX_MESSAGE_BYTES)
            os.kill(pid, signal.SIGKILL)  # not yet waited for, so it is nobody else; a status once set stays
        ended = os.waitid(os.P_PID, pid, os.WEXITED)
        assert ended is not None
        with contextlib.suppress(OSError):  # the parent may have gone
            control.send(json.dumps((ended.si_code, ended.si_status)).encode())


def _next_job(control: socket.socket, idle_s: float) -> tuple[bytes, list[int], bool] | None:
    """The next job, its descriptors, and whether it is the last; None at the end."""
    control.settimeout(idle_s)
    is_last = False
    try:
        message, descriptors, _, _ = socket.recv_fds(control, MAX_MESSAGE_BYTES, MAX_DESCRIPTORS)
    except TimeoutError:
        is_last = True
        control.shutdown(socket.SHUT_RD)  # from here on sending fails; what was sent before is still there
        message, descriptors, _, _ = socket.recv_fds(control, MAX_MESSAGE_BYTES, MAX_DESCRIPTORS)
    return (message, descriptors, is_last) if message else None


def _fork(control: socket.socket, message: bytes, descriptors: list[int], work: Work) -> int:
    """The child's process id; in the child it does not return."""
    server_pid, pid = os.getpid(), os.fork()
    if pid:
        for descriptor in descriptors:
            os.close(descriptor)
        return pid
    status = 1
    try:
        _keep_only(control, descriptors)
        work(json.loads(message), descriptors[3:], server_pid)
        status = 0
    except BaseException:  # noqa: BLE001 - whatever it is, the server must not go on twice
        traceback.print_exc()
    finally:
        os._exit(status)


def _keep_only(control: socket.socket, descriptors: list[int]) -> None:
    """Of what is open, stdin and the job's own; the first three are stdout, stderr and the folder to be in."""
    output, log, folder, *own = descriptors
    os.dup2(output, 1)
    os.dup2(log, 2)
    os.fchdir(folder)
    control.detach()
    first = 3
    for descriptor in sorted(own):
        os.closerange(first, descriptor)
        first = descriptor + 1
    os.closerange(first, os.sysconf("SC_OPEN_MAX"))
