"""`python -m scripts.bench.gateway.upload_memory [GIGABYTES] [--parts]`: the gateway's memory over a large file.

Starts real servers and a gateway in a temporary folder, sends a generated stream through POST /transcribe, or with
--parts through PUT /uploads/ID/parts/N and `complete`, and samples the gateway's resident memory. A first upload of
1 kB lets it import and connect what any upload needs; all that the large one takes on top is counted. The bytes are
random, one block sent over and over, since neither the gateway nor the object store looks into them.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from scripts.local.apps import API
from scripts.local.stack import Stack

GOAL_BYTES = 32 * 10**6
WARM_UP_BYTES = 1000
BLOCK = os.urandom(256 * 1024)
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
    yield f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="long.wav"\r\n\r\n'.encode()
    yield from stream(size)
    yield f"\r\n--{BOUNDARY}--\r\n".encode()


def stream(size: int) -> Iterator[bytes]:
    """`size` bytes, in blocks."""
    left = size
    while left:
        block = BLOCK[:left]
        yield block
        left -= len(block)


def send_at_once(client: httpx.Client, size: int) -> str:
    """One request; returns the path of what it made."""
    multipart = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    answer = client.post("/transcribe", content=form(size), headers=multipart).raise_for_status()
    return f"/tasks/{answer.json()['task_id']}"


def send_in_parts(client: httpx.Client, size: int) -> str:
    """A request per part, one after another, and one that reads all of it back."""
    answer = client.post("/uploads", json={"bytes": size}).raise_for_status().json()
    path = f"/uploads/{answer['upload_id']}"
    for number in range(1, answer["part_count"] + 1):
        part_bytes = min(answer["part_bytes"], size - (number - 1) * answer["part_bytes"])
        # httpx leaves the length out of a stream's headers: sent so, the gateway counts by itself
        client.put(f"{path}/parts/{number}", content=stream(part_bytes)).raise_for_status()
    client.post(f"{path}/complete").raise_for_status()
    return path


def upload(stack: Stack, size: int, send: Callable[[httpx.Client, int], str]) -> Measurement:
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
        path = send(client, size)
        seconds = time.perf_counter() - started
        sampler.stop()
        client.delete(path).raise_for_status()
    return Measurement(size, before, sampler.peak, seconds)


def main() -> int:
    """Print the growth beside its goal; exit status 1 when the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("gigabytes", nargs="?", type=float, default=2)
    parser.add_argument("--parts", action="store_true", help="send it in parts (/uploads)")
    options = parser.parse_args()
    size, send = int(options.gigabytes * 10**9), send_in_parts if options.parts else send_at_once
    with tempfile.TemporaryDirectory() as home, Stack(Path(home), apps=(API,)) as stack:
        upload(stack, WARM_UP_BYTES, send)
        measured = upload(stack, size, send)
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
