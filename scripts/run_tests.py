"""`make test`: all tests, folder by folder in three lanes side by side, or what it is given in one process. `make unit`
gives `--quick`.

Most of the tests wait most of the time, for leases to run out and processes to start: a lane keeps six tenths of a core
busy. So three of them share a machine of two cores, and two one with little memory. The tests of one folder run one
after another. Their servers and recordings take 10 GB of disk.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psutil

from scripts.local.home import PORT_SHARE

PYTEST = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider")
FOLDERS = (
    "tests/faults",
    "tests/service/callers",
    "tests/service/api",
    "tests/service/local",
    "tests/service/workers",
    "tests/service/kernel",
    "tests/service/contracts",
    "tests/service/webhooks",
    "tests/service/storage",
    "tests/service/uploads",
    "tests/service/history",
    "tests/service/polls",
    "tests/service/workspace",
    "tests/service/languages",
    "tests/service/live",
    "tests/service/wyoming",
    "tests/e2e",
    "tests/clients",
    "tests/supply",
    "tests/page",
    "tests/deploy",
    "tests/unit",
    "tests/model",
)
"""One lane takes from the back, where tests compute, the others from the front, where they wait, until they meet."""

QUICK = tuple(
    f"tests/unit/{room}" for room in ("engines", "asr", "evaluate", "repository", "process", "text", "transcripts")
)
"""Tests that start no servers, load no models and decode nothing in a jail: less than a minute."""

BY_THEMSELVES = ("tests/containers", "tests/kubernetes", "tests/fresh", "tests/arm64")
"""They need root and a machine that lets them run an engine or an emulator; `make test-containers`,
`make test-kubernetes`, `make test-fresh`, `make test-arm64`."""

DISK_BYTES = 10 * 1000**3
LANE_BYTES = 3 * 1000**3
"""Memory of a lane at its most: a whole stack with its models beside another one."""

MOST_LANES, LEAST_LANES = 3, 2
INTERRUPTED = 2
"""The status of pytest after Ctrl-C."""


def main(arguments: list[str]) -> int:
    """The status of pytest, the worst of all folders."""
    is_quick = arguments == ["--quick"]
    if not is_quick and (lack := lack_of_disk()):
        print(lack, file=sys.stderr, flush=True)
        if not arguments:
            return 1
    if arguments and not is_quick:
        os.execv(sys.executable, (*PYTEST, *arguments))  # noqa: S606 - there is no shell to be wished for
    signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C is for the tests, which stop what they have started
    folders = deque(QUICK if is_quick else FOLDERS)
    count = lane_count(psutil.virtual_memory().available)
    takes = [folders.pop, *[folders.popleft] * (count - 1)]
    with ThreadPoolExecutor(count) as pool:
        lanes = [pool.submit(run_lane, folders, take, f"{number}/{count}") for number, take in enumerate(takes)]
    results = [result for lane in lanes for result in lane.result()]
    for folder, _, summary in results:
        print(f"{folder:24}{summary.strip('= ')}")
    return max(status for _, status, _ in results)


def lane_count(memory_bytes: int) -> int:
    """As many lanes as this much memory has room for, within bounds."""
    return max(LEAST_LANES, min(MOST_LANES, memory_bytes // LANE_BYTES))


def run_lane(folders: deque[str], take: Callable[[], str], ports: str = "0/1") -> list[tuple[str, int, str]]:
    """Folder, status and last line of pytest, for each folder of this lane, whose stacks have a share of the ports to
    themselves. An interruption ends all lanes."""
    results = []
    while folders:
        try:
            folder = take()
        except IndexError:  # another lane took the last one
            break
        print(f"{folder} begins", flush=True)
        process = subprocess.run(
            (*PYTEST, folder),
            env=os.environ | {PORT_SHARE: ports},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        print(process.stdout, flush=True)
        results.append((folder, process.returncode, process.stdout.rstrip().rpartition("\n")[2]))
        if process.returncode == INTERRUPTED:
            folders.clear()
    return results


def lack_of_disk() -> str:
    """Nothing where there is enough. On a disk that is nearly full SeaweedFS takes no objects, and half the tests fail
    for a reason that is hard to see."""
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    if free >= DISK_BYTES:
        return ""
    minimum, available = f"{DISK_BYTES / 1e9:.0f} GB", f"{free / 1e9:.1f} GB"
    return (
        f"The tests need {minimum} of disk in {folder}, where {available} are free. Set TMPDIR to a folder with more."
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
