"""`python -m scripts.bench.upload_memory [GIGABYTES]`: how much the gateway's memory grows while it takes a large file.

Starts real servers and a gateway in a temporary folder, sends a generated stream through POST /transcribe and samples
the gateway's resident memory. A first upload of 1 kB lets it import and connect what any upload needs; all that the
large one takes on top is counted. The bytes are random, one block sent over and over, since neither the gateway nor the
object store looks into them.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from scripts.local_apps import API
from scripts.local_stack import Stack

GOAL_BYTES = 32 * 10**6
WARM_UP_BYTES = 1000
BLOCK_BYTES = 256 * 1024
SAMPLE_INTERVAL_S = 0.02
TIMEOUT_S = 1800
BOUNDARY = "the-boundary"


@dataclass(frozen=True)
class Measurement:
    """Resident memory in bytes before the upload and at its highest, and the upload's wall time."""

    bytes: int
    before: int
    peak: int
    seconds: float

    @property
    def growth(self) -> int:
        return self.peak - self.before


class Sampler(threading.Thread):
    """Notes the highest resident memory of a process until it is stopped."""

    def __init__(self, process: psutil.Process) -> None:
        super().__init__(daemon=True)
        self._process, self._over = process, threading.Event()
        self.peak = process.memory_info().rss

    def run(self) -> None:
        while not self._over.wait(SAMPLE_INTERVAL_S):
            self.peak = max(self.peak, self._process.memory_info().rss)

    def stop(self) -> None:
        self._over.set()
        self.join()


def form(size: int) -> Iterator[bytes]:
    """A form with one file of `size` bytes."""
    block = os.urandom(BLOCK_BYTES)
    yield f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="long.wav"\r\n\r\n'.encode()
    left = size
    while left:
        part = block[:left]
        yield part
        left -= len(part)
    yield f"\r\n--{BOUNDARY}--\r\n".encode()


def upload(stack: Stack, size: int) -> Measurement:
    """Send `size` bytes and delete them again."""
    pid = stack.pid("api")
    assert pid is not None
    process = psutil.Process(pid)
    before = process.memory_info().rss
    sampler = Sampler(process)
    sampler.start()
    started = time.perf_counter()
    headers = {"Authorization": f"Bearer {stack.api_key}"}
    with httpx.Client(base_url=stack.url, headers=headers, timeout=TIMEOUT_S) as client:
        multipart = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        answer = client.post("/transcribe", content=form(size), headers=multipart)
        seconds = time.perf_counter() - started
        sampler.stop()
        answer.raise_for_status()
        client.delete(f"/tasks/{answer.json()['task_id']}").raise_for_status()
    return Measurement(size, before, sampler.peak, seconds)


def main() -> int:
    """Print the growth beside its goal; exit status 1 when the goal is missed."""
    size = int(float(sys.argv[1] if len(sys.argv) > 1 else "2") * 10**9)
    with tempfile.TemporaryDirectory() as home, Stack(Path(home), apps=(API,)) as stack:
        upload(stack, WARM_UP_BYTES)
        measured = upload(stack, size)
    print(
        f"upload of {measured.bytes / 1e9:.1f} GB in {measured.seconds:.1f} s: {size / measured.seconds / 1e6:.0f} MB/s"
    )
    print(
        f"gateway's resident memory: {measured.before / 1e6:.1f} MB before, {measured.peak / 1e6:.1f} MB at its highest"
    )
    print(f"growth: {measured.growth / 1e6:.1f} MB (goal: at most {GOAL_BYTES / 1e6:.0f} MB)")
    return 0 if measured.growth <= GOAL_BYTES else 1


if __name__ == "__main__":
    sys.exit(main())
