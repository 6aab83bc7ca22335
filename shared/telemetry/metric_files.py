"""The counters of several processes in one folder, also of those that are gone.

Each process writes files of its own (prometheus_client's multiprocess mode). What a killed one has counted must stay in
the sum, or Prometheus sees a counter fall; its files must not, or a worker whose children are killed now and then reads
thousands of them at each scrape. So they are added up into one file of each kind.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

KINDS = ("counter", "histogram")
"""Gauges are none: all of ours are asked for at the scrape."""

GONE = "gone"
"""In the place of a process id in the name of a file."""


class SharedCounters(MultiProcessCollector):
    """What all processes that ever used the folder have counted."""

    def __init__(self, registry: CollectorRegistry, folder: Path) -> None:
        self._folder = folder
        super().__init__(registry, path=str(folder))  # type: ignore[no-untyped-call]

    def collect(self) -> Iterable[Metric]:
        """Whoever reads waits for whoever adds up, in this process or another, so that nothing is counted twice."""
        with (self._folder / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                for kind in KINDS:
                    _add_up(self._folder, kind)
                # a file is empty for a moment after its process has made it
                files = [str(path) for path in self._folder.glob("*.db") if path.stat().st_size]
                return list(self.merge(files))  # type: ignore[no-untyped-call]
            finally:
                # closing is not enough: a child that the pool forks meanwhile inherits the lock with the file
                fcntl.flock(lock, fcntl.LOCK_UN)


def _add_up(folder: Path, kind: str) -> None:
    leftovers = [path for path in folder.glob(f"{kind}_*.db") if not _is_alive(path.stem.removeprefix(f"{kind}_"))]
    if not leftovers:
        return
    sum_file, sums = folder / f"{kind}_{GONE}.db", dict[str, float]()
    for path in (sum_file, *leftovers):
        if path.exists() and path.stat().st_size:  # a process may be killed before it has written anything
            for key, value, *_ in MmapedDict.read_all_values_from_file(path):  # type: ignore[no-untyped-call]
                sums[key] = sums.get(key, 0.0) + value
    new_file = folder / f"{kind}_{GONE}.new"
    new_file.unlink(missing_ok=True)
    with closing(MmapedDict(new_file)) as values:  # type: ignore[no-untyped-call]
        for key, value in sums.items():
            values.write_value(key, value, 0.0)  # type: ignore[no-untyped-call]
    new_file.replace(sum_file)
    for path in leftovers:
        path.unlink()


def _is_alive(process: str) -> bool:
    if process == GONE:
        return True
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # of another user
        pass
    return True
