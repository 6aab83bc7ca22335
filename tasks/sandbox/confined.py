"""A child process for a stranger's bytes or pages, as its parent sees it: started with nothing, heard, ended.

The child locks itself in (lockdown.py, extractor/confinement.py) and answers with lines of JSON. Here it is started
from nothing; forked.py has it forked from a program that is loaded already.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

from pydantic import ValidationError

from shared.transcript import from_json

T = TypeVar("T")

MAX_LINE_BYTES = 65_536
"""An answer is some hundred bytes; a child that has been taken over must not fill our memory."""


class Nonsense(Exception):
    """The child wrote something else than was agreed."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The child's word for why it did not do the work; `code` is one of shared/errors.py."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Child:
    """A running child.

    output : descriptor from which its stdout is read
    log : the file with its stderr
    stop : kills it, should it still run, and returns si_code and si_status; may be called again
    """

    output: int
    log: IO[bytes]
    stop: Callable[[], tuple[int, int]]

    def messages(self, kind: type[T], *, timeout_s: float, tick_s: float) -> Iterator[T | None]:
        """Its lines as they come, and None at least every `tick_s`; ends when the child closes its stdout.

        Raises TimeoutError after `timeout_s`, and Nonsense for a line that is no `kind`.
        """
        deadline, pending = time.monotonic() + timeout_s, b""
        with selectors.DefaultSelector() as selector:
            selector.register(self.output, selectors.EVENT_READ)
            while (rest_s := deadline - time.monotonic()) > 0:
                yield None
                if not selector.select(min(tick_s, rest_s)):
                    continue
                chunk = os.read(self.output, MAX_LINE_BYTES)
                if not chunk:
                    return
                *lines, pending = (pending + chunk).split(b"\n")
                if len(pending) > MAX_LINE_BYTES:
                    raise Nonsense
                for line in lines:
                    try:
                        yield from_json(kind, line)
                    except ValidationError as problem:
                        raise Nonsense from problem
        raise TimeoutError

    def end(self) -> tuple[int, int, str]:
        """End it, should it only have closed its stdout; (si_code, si_status, the end of its stderr)."""
        code, status = self.stop()
        self.log.seek(0)
        return code, status, self.log.read(MAX_LINE_BYTES).decode(errors="replace")


@contextmanager
def confined(program: Path, job: Mapping[str, Any], folder: Path, *, fds: tuple[int, ...] = ()) -> Iterator[Child]:
    """`python -I program JOB` in `folder`, with an empty environment, no stdin, and of our files only `fds`.

    At the end of the block the child and its descendants are dead. Linux ties its life to the calling thread.
    """
    with tempfile.TemporaryFile(dir=folder) as log:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and file
            [sys.executable, "-I", str(program), json.dumps({"parent_pid": os.getpid(), **job})],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            pass_fds=fds,
            cwd=folder,
            env={},
            start_new_session=True,
        )

        def stop() -> tuple[int, int]:
            # not yet waited for, so its process group cannot be anybody else's; a status once set stays
            os.killpg(process.pid, signal.SIGKILL)
            ended = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            assert ended is not None
            return ended.si_code, ended.si_status

        with process:
            assert process.stdout is not None
            try:
                yield Child(process.stdout.fileno(), log, stop)
            finally:
                stop()
