"""A child that is forked for a job from a program that is loaded already, as its parent sees it.

To start Python and load FFmpeg takes longer than to decode a short recording. Each child is a process of its own, from
a server that has read no recording: see fork_server.py.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from tasks.sandbox.confined import Child

END_TIMEOUT_S = 10.0
"""What a server may take to end its child. One that takes longer is killed, and the child with it."""

MAX_ANSWER_BYTES = 1_024
ORDERLY = (os.CLD_EXITED, 0)
KILLED = (os.CLD_KILLED, int(signal.SIGKILL))


class ForkServer(threading.local):
    """Forks children from `program`, whose main calls fork_server.serve. Each thread has a server of its own, started
    at its first job, because Linux ties the server's life to the thread."""

    def __init__(self, program: Path) -> None:
        self._program = program
        self._server: _Server | None = None

    @contextmanager
    def child(self, job: Mapping[str, Any], folder: Path, *, fds: tuple[int, ...] = ()) -> Iterator[Child]:
        """A child in `folder`, with an empty environment, no stdin, and of our files only `fds`, whose numbers it is
        told. At the end of the block it is dead.
        """
        with tempfile.TemporaryFile(dir=folder) as log, _pipe() as (output, inlet):
            with _opened(folder) as folder_fd, inlet:
                server = self._begin(job, (inlet.fileno(), log.fileno(), folder_fd, *fds))
            status: tuple[int, int] | None = None

            def stop() -> tuple[int, int]:
                nonlocal status
                status = status or server.end()
                return status

            try:
                yield Child(output.fileno(), log, stop)
            finally:
                # all children of a server have their memory laid out alike, which who fails on purpose could explore
                if stop() != ORDERLY:
                    server.close()
                    self._server = None

    def _begin(self, job: Mapping[str, Any], fds: tuple[int, ...]) -> _Server:
        """Have the job begun, by another server if this one has ended."""
        message = json.dumps(job).encode()
        if self._server is not None and self._server.owner == os.getpid():
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                socket.send_fds(self._server.control, [message], fds)
                return self._server
            self._server.close()
        self._server = _Server(self._program)
        socket.send_fds(self._server.control, [message], fds)
        return self._server


class _Server:
    """The process; `owner` is the one whose child it is."""

    def __init__(self, program: Path) -> None:
        self.owner = os.getpid()
        self.control, child_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control.settimeout(END_TIMEOUT_S)
        with child_end:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and file
                [sys.executable, "-I", str(program), str(child_end.fileno()), str(self.owner)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(child_end.fileno(),),
                cwd="/",
                env={},
                start_new_session=True,
            )

    def end(self) -> tuple[int, int]:
        """End the child of the job that was begun; its si_code and si_status."""
        try:
            with contextlib.suppress(BrokenPipeError):  # the server's last job, whose end it waits for by itself
                self.control.send(b"end")
            code, status = json.loads(self.control.recv(MAX_ANSWER_BYTES) or "null") or KILLED
        except OSError:  # it has ended, or hangs
            code, status = KILLED
        return code, status

    def close(self) -> None:
        """Kill it. A child that it still has goes with it."""
        self.control.close()
        self._process.kill()
        self._process.wait()


@contextmanager
def _pipe() -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """Its two ends, to read and to write."""
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb", buffering=0) as output, os.fdopen(writer, "wb", buffering=0) as inlet:
        yield output, inlet


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    """Its descriptor."""
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
