"""Sessions and process ids: end a process with everything below it, and know one's own processes after a crash.

A process id alone proves nothing, the kernel hands it out again. A process id with its start time does.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

import psutil

GONE_TIMEOUT_S = 5.0
SAME_START_S = 2.0  # psutil adds the boot time, which moves when the clock is set
MARKER = "PARLEY_STACK"
"""Environment variable that holds the home of the stack a process belongs to; only the stack sets it."""


def members(session: int) -> list[int]:
    """Ids of the live processes of a session."""
    pids = []
    for pid in psutil.pids():
        with contextlib.suppress(ProcessLookupError, PermissionError, psutil.NoSuchProcess):
            if os.getsid(pid) == session and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                pids.append(pid)
    return pids


def kill_session(session: int, timeout_s: float = GONE_TIMEOUT_S) -> None:
    """SIGKILL all members of a session, those forked meanwhile too, and wait until they are gone."""
    deadline = time.monotonic() + timeout_s
    while (pids := members(session)) and time.monotonic() < deadline:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def record(pids: Path, name: str, pid: int) -> None:
    """Add a process that was just started to the file `pids`: one line `PID START NAME` each."""
    with contextlib.suppress(psutil.NoSuchProcess), pids.open("a") as file:
        file.write(f"{pid} {psutil.Process(pid).create_time()} {name}\n")


def forget(pids: Path, pid: int) -> None:
    """Take a process that ended out of the file."""
    lines = pids.read_text().splitlines() if pids.exists() else []
    rest = [line for line in lines if line.split()[0] != str(pid)]
    pids.write_text("".join(f"{line}\n" for line in rest))


def end_stale(pids: Path, home: Path, timeout_s: float = GONE_TIMEOUT_S) -> list[str]:
    """End what an earlier supervisor of this home left running, empty the file, and return the processes' names.

    Ended are sessions whose leader is the recorded process, and processes whose environment carries `MARKER` with this
    home: children that outlived their leader. SIGTERM first, so that servers write their data down.
    """
    stale: dict[int, str] = {}
    for line in pids.read_text().splitlines() if pids.exists() else []:
        pid, started, name = line.split(maxsplit=2)
        if _is_running(int(pid), float(started)):
            stale.update(dict.fromkeys(members(int(pid)), name))
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid not in stale and process.environ().get(MARKER) == str(home):
                stale[process.pid] = process.name()
    processes = [psutil.Process(pid) for pid in stale if psutil.pid_exists(pid)]
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    _, alive = psutil.wait_procs(processes, timeout_s)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout_s)
    pids.unlink(missing_ok=True)
    return sorted(set(stale.values()))


def _is_running(pid: int, started: float) -> bool:
    try:
        process = psutil.Process(pid)
        return bool(process.status() != psutil.STATUS_ZOMBIE and abs(process.create_time() - started) < SAME_START_S)
    except psutil.NoSuchProcess:
        return False
