"""Keeps processes running: starts each in a session of its own, starts it again when it dies, stops all of it.

One thread does every fork, wait and kill. It has to be one thread for two reasons: nothing needs a lock, and the
kernel's parent-death signal (scripts/local/exec.py) is tied to the thread that forked, not to the process.
"""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.local import processes

LAUNCHER = Path(__file__).with_name("exec.py")
POLL_S = 0.1
FIRST_BACKOFF_S = 1.0
LONGEST_BACKOFF_S = 30.0
STEADY_S = 60.0  # a process that ran this long starts again with the first backoff
DEATHS_BEFORE_READY = 3  # one may be bad luck (a port or a lock just being released); three are a broken set-up
LOG_BYTES = 10 * 1024**2  # a log larger than this goes on empty, and what was in it is NAME.log.1
LOGS_INTERVAL_S = 1.0


class StartFailed(Exception):
    """A process did not become ready; the message names it, its log and the log's last lines."""


@dataclass(frozen=True)
class Command:
    """What to run, how to see that it is up, and how to ask it to stop.

    `prefix` is a program, with arguments, that changes the user and then runs what follows it.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    prefix: tuple[str, ...] = ()
    ready: Callable[[], bool] | None = None
    ready_timeout_s: float = 1800  # slow, busy machines import for ten minutes; what is broken dies three times before
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout_s: float = 15


@dataclass
class _Process:
    command: Command
    popen: subprocess.Popen[bytes] | None = None
    started: float = 0  # monotonic
    deaths: int = 0
    backoff_s: float = FIRST_BACKOFF_S
    restart_at: float = field(default=float("inf"))  # monotonic


class Supervisor:
    """`report` is called with one line of text for everything that a person should know.

    `logs` is a folder: NAME.log per process and supervisor.log. `pids` is a file that names every running process,
    for whoever has to clean up after a supervisor that was killed (`local_processes.end_stale`).
    """

    def __init__(self, logs: Path, pids: Path, report: Callable[[str], None]) -> None:
        self._logs, self._pids, self._report = logs, pids, report
        self._processes: dict[str, _Process] = {}
        self._calls: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = queue.SimpleQueue()
        self._logs_at = 0.0  # monotonic: when they are looked at again
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)
        self._thread.start()

    # ---- called from any thread

    def start(self, command: Command) -> None:
        """Start `command` and keep it running until `stop`. Raises ValueError when it is already there."""
        self._call(lambda: self._start(command))

    def wait_ready(self, name: str) -> None:
        """Return when the process answers. Raises StartFailed when it keeps dying or takes too long."""
        process = self._processes[name]
        command = process.command
        if command.ready is None:
            return
        deadline = time.monotonic() + command.ready_timeout_s
        while not command.ready():
            if process.deaths >= DEATHS_BEFORE_READY or time.monotonic() > deadline:
                raise StartFailed(f"{name} did not start; its log {self.log(name)} ends with\n{tail(self.log(name))}")
            time.sleep(POLL_S / 2)

    def stop(self, names: Iterable[str]) -> None:
        """Stop these processes side by side and forget them; returns when every one, with its children, is gone."""
        targets = tuple(names)
        self._call(lambda: self._stop(targets))

    def names(self) -> tuple[str, ...]:
        """Everything that is being kept running, in the order of its start."""
        return tuple(self._processes)

    def pid(self, name: str) -> int | None:
        """Process id, which is also its session's id; None while the process waits to be started again."""
        popen = self._processes[name].popen
        return popen.pid if popen is not None and popen.returncode is None else None

    def log(self, name: str) -> Path:
        """The file that takes the process's output."""
        return self._logs / f"{name}.log"

    def close(self) -> None:
        """Stop whatever still runs, then end the thread."""
        self.stop(self.names())
        self._calls.put(None)
        self._thread.join()

    def _call(self, work: Callable[[], Any]) -> None:
        future: Future[Any] = Future()
        self._calls.put((work, future))
        future.result()

    # ---- in the supervisor's thread

    def _run(self) -> None:
        while True:
            try:
                call = self._calls.get(timeout=POLL_S)
            except queue.Empty:
                with contextlib.suppress(
                    OSError
                ):  # a full disk or no more processes: the next turn may have better luck
                    self._tend()
                continue
            if call is None:
                return
            work, future = call
            try:
                future.set_result(work())
            except Exception as error:  # noqa: BLE001 - it is raised again where the call came from
                future.set_exception(error)

    def _start(self, command: Command) -> None:
        if command.name in self._processes:
            raise ValueError(f"{command.name} is already being kept running")
        self._rotate(command.name)
        process = _Process(command)
        self._spawn(process)
        self._processes[command.name] = process

    def _spawn(self, process: _Process) -> None:
        command = process.command
        leash = (sys.executable, "-I", "-S", str(LAUNCHER), str(int(command.stop_signal)), str(os.getpid()))
        with self.log(command.name).open("ab") as log:
            process.popen = subprocess.Popen(
                (*command.prefix, *leash, *command.argv),  # a change of user would take the leash off
                env=dict(command.env),
                cwd=command.cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                umask=0o077,  # SeaweedFS puts sockets into /tmp; no file of ours is for others
            )
        process.started, process.restart_at = time.monotonic(), float("inf")
        processes.record(self._pids, command.name, process.popen.pid)

    def _tend(self) -> None:
        for process in self._processes.values():
            if process.popen is None:
                if time.monotonic() >= process.restart_at:
                    self._spawn(process)
            elif process.popen.poll() is not None:
                self._died(process, process.popen)
        if time.monotonic() >= self._logs_at:
            self._logs_at = time.monotonic() + LOGS_INTERVAL_S
            for name in self._processes:
                self._rotate(name)

    def _rotate(self, name: str) -> None:
        """The process has the file open, so it is emptied; a line that is written at that very moment may be lost."""
        log = self.log(name)
        if log.exists() and log.stat().st_size > LOG_BYTES:
            shutil.copyfile(log, log.with_name(log.name + ".1"))
            os.truncate(log, 0)  # all of them append

    def _died(self, process: _Process, popen: subprocess.Popen[bytes]) -> None:
        processes.kill_session(popen.pid)  # its children would go on without it
        processes.forget(self._pids, popen.pid)
        if time.monotonic() - process.started >= STEADY_S:
            process.backoff_s = FIRST_BACKOFF_S
        process.popen, process.deaths = None, process.deaths + 1
        process.restart_at = time.monotonic() + process.backoff_s
        name = process.command.name
        self._say(
            f"{name} died ({_cause(popen.returncode)}); starting it again in {process.backoff_s:g} s; "
            f"its log is {self.log(name)}"
        )
        process.backoff_s = min(2 * process.backoff_s, LONGEST_BACKOFF_S)

    def _stop(self, names: tuple[str, ...]) -> None:
        stopping = [self._processes.pop(name) for name in names if name in self._processes]
        running = [(process.command, process.popen) for process in stopping if process.popen is not None]
        start = time.monotonic()
        for command, popen in running:
            with contextlib.suppress(ProcessLookupError):
                popen.send_signal(command.stop_signal)
                os.killpg(popen.pid, signal.SIGCONT)  # a suspended process could not hear the other one
        for command, popen in running:
            try:
                popen.wait(max(0.0, start + command.stop_timeout_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                self._say(f"{command.name} did not stop within {command.stop_timeout_s:g} s and was killed")
            processes.kill_session(popen.pid)
            popen.wait()
            processes.forget(self._pids, popen.pid)

    def _say(self, text: str) -> None:
        with (self._logs / "supervisor.log").open("a") as log:
            log.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')} {text}\n")
        self._report(text)


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log, or a word that there are none."""
    text = log.read_text(errors="replace").splitlines()[-lines:] if log.exists() else []
    return "\n".join(text) or "(nothing)"


def _cause(returncode: int) -> str:
    if returncode >= 0:
        return f"exit status {returncode}"
    try:
        return f"killed by {signal.Signals(-returncode).name}"
    except ValueError:  # a real-time signal has no name
        return f"killed by signal {-returncode}"
