"""`python -m scripts.bench.gateway.uploads [GIGABYTES] [--parts]`: a large file through the gateway (goal P4).

Its rate / that of bare FastAPI that streams the body into a file and syncs it, without and with a SHA-256, in turn; and
how far the gateway's resident memory grows. A first upload of 1 kB lets it import and connect what any upload needs.
The file goes through POST /transcribe, or with --parts through PUT /uploads/ID/parts/N and `complete`. Its bytes are
random, one block sent over and over, since neither the gateway nor the object store looks into them. Files and our
folder of objects are below TMPDIR; with OBJECT_STORE=s3 ours goes to SeaweedFS on this machine.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from scripts.bench.gateway.rates import LOOP, app
from scripts.bench.processor import Meter, programs
from scripts.bench.ratios import Goal, ratios, rounds, row, time_limit
from scripts.local.apps import API
from scripts.local.stack import Stack

LIMIT_S = 480
S3_GOAL, FOLDER_GOAL, MEMORY_GOAL_MB = Goal(0.35, is_floor=True), Goal(0.8, is_floor=True), Goal(32)
WARM_UP_BYTES = 1000
BLOCK = os.urandom(256 * 1024)
SAMPLE_INTERVAL_S = 0.02
TIMEOUT_S = 600
BOUNDARY = "the-boundary"
HEAD = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="long.wav"\r\n\r\n'.encode()
END = f"\r\n--{BOUNDARY}--\r\n".encode()


class Sampler(threading.Thread):
    """Notes the highest resident memory of a process until it is stopped."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._process, self._over = psutil.Process(pid), threading.Event()
        self.before = self.peak = self._process.memory_info().rss

    def run(self) -> None:
        while not self._over.wait(SAMPLE_INTERVAL_S):
            self.peak = max(self.peak, self._process.memory_info().rss)

    def stop(self) -> float:
        """Megabytes by which it grew."""
        self._over.set()
        self.join()
        return float(self.peak - self.before) / 10**6


class Sender:
    """One kept connection that sends bodies as fast as they are taken."""

    def __init__(self, url: str, key: str) -> None:
        address = urlsplit(url)
        self._connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=TIMEOUT_S)
        self._headers = {"Authorization": f"Bearer {key}"}

    def hang_up(self) -> None:
        """The next request makes a new connection."""
        self._connection.close()

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> dict[str, Any]:
        """The answer's JSON. Raises RuntimeError for any status but 2xx."""
        self._connection.request(method, path, body, {**self._headers, **headers})
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {content[:200]!r}")
        return dict(json.loads(content)) if content else {}

    def form(self, size: int) -> str:
        """One request; the path of what it made."""
        headers = {
            "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
            "Content-Length": str(len(HEAD) + size + len(END)),
        }
        body = (block for part in ((HEAD,), stream(size), (END,)) for block in part)
        return f"/tasks/{self.ask('POST', '/transcribe', body, **headers)['task_id']}"

    def parts(self, size: int) -> str:
        """A request per part, one after another, and one that completes them."""
        upload = self.ask("POST", "/uploads", json.dumps({"bytes": size}), **{"Content-Type": "application/json"})
        path = f"/uploads/{upload['upload_id']}"
        for number in range(upload["part_count"]):
            length = min(upload["part_bytes"], size - number * upload["part_bytes"])
            self.ask("PUT", f"{path}/parts/{number + 1}", stream(length), **{"Content-Length": str(length)})
        self.ask("POST", f"{path}/complete")
        return path

    def body(self, path: str, size: int) -> None:
        """To the bare side."""
        self.ask("PUT", path, stream(size), **{"Content-Length": str(size)})


def stream(size: int) -> Iterator[bytes]:
    """`size` bytes, in blocks."""
    remaining = size
    while remaining:
        block = BLOCK[:remaining]
        yield block
        remaining -= len(block)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gigabytes", nargs="?", type=float, default=1, help="of the file (default %(default)s)")
    parser.add_argument("--parts", action="store_true", help="send it in parts (/uploads)")
    parser.add_argument("--pairs", type=int, default=5, help="rounds (default %(default)s)")
    parser.add_argument("--limit", type=float, default=LIMIT_S, help="seconds for all of it (default %(default)s)")
    options = parser.parse_args()
    size, grown = int(options.gigabytes * 10**9), list[float]()
    with (
        time_limit(options.limit) as deadline,
        tempfile.TemporaryDirectory() as home,
        Stack(Path(home) / "ours", apps=(API,)) as stack,
        app(Path(home) / "bare", stack.env | {"BARE_FILE": f"{home}/upload"}, "bare_gateway", LOOP, "h11") as bare,
    ):
        gateway, other = Sender(stack.url, stack.api_key), Sender(bare.url, stack.api_key)
        send = gateway.parts if options.parts else gateway.form
        gateway.ask("DELETE", send(WARM_UP_BYTES))
        costs = {"Parley": Meter(programs(stack))} | {
            name: Meter({"app": (bare, "api")}) for name in ("file", "file and SHA-256")
        }

        def parley() -> None:
            pid = stack.pid("api")
            assert pid is not None
            sampler = Sampler(pid)
            sampler.start()
            paths.append(send(size))
            grown.append(sampler.stop())

        paths: list[str] = []
        acts: dict[str, Callable[[], None]] = {
            "Parley": parley,
            "file": lambda: other.body("/file", size),
            "file and SHA-256": lambda: other.body("/file?hashed=1", size),
        }

        def rate(name: str) -> float:
            for sender in (gateway, other):
                sender.hang_up()  # whoever was not asked for some seconds has done so already
            start = time.perf_counter()
            costs[name](acts[name])
            seconds = time.perf_counter() - start
            while paths:
                gateway.ask("DELETE", paths.pop())
            return size / seconds / 10**6

        measured = rounds({name: lambda name=name: rate(name) for name in acts}, options.pairs, deadline)  # type: ignore[misc]
        is_s3 = stack.env["OBJECT_STORE"] == "s3"
        how = (
            f"{options.gigabytes:g} GB {'in parts' if options.parts else 'as a form'}, {'S3' if is_s3 else 'directory'}"
        )
        for name, values in measured.items():
            print(row(f"{how}, {name}, MB/s", values, note=str(costs[name])))
        goals = {"file": S3_GOAL if is_s3 else FOLDER_GOAL, "file and SHA-256": None}
        for name, goal in goals.items():
            print(row(f"P4 Parley / {name}", ratios(measured["Parley"], measured[name]), goal))
        print(row("P4 growth of the gateway's memory, MB", grown, MEMORY_GOAL_MB), flush=True)


if __name__ == "__main__":
    main()
