"""`python -m scripts.bench.gateway.rates`: submits and polls per second of the gateway / of bare FastAPI (goal P3).

Both run in one process of uvicorn each, with PostgreSQL, Valkey and SeaweedFS beside ours, and are
asked in turn (A B A B ...) by as many connections. Ours checks the key, stores the recording and commits the task.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from scripts.bench.client import Client
from scripts.bench.gateway.load import rate
from scripts.local.apps import API
from scripts.local.home import LOOPBACK
from scripts.local.stack import Stack

GOALS = {"polls": 0.40, "submits": 0.22}
RECORDING_BYTES = 4096
BOUNDARY = "the-boundary"
Side = Callable[[], float]


@contextmanager
def bare_app(home: Path, environ: Mapping[str, str]) -> Iterator[str]:
    """The bare app's address, while it runs as the gateway does: by the same supervisor, in uvicorn as well."""
    arguments = (
        "uvicorn",
        "scripts.bench.gateway.bare_gateway:create_app",
        "--factory",
        "--host",
        "{host}",
        "--port",
        "{port}",
    )
    app = replace(API, arguments=arguments)
    with Stack(home, apps=(app,), environ=environ, migrate=False) as stack:  # servers are in `environ`, so none starts
        yield stack.url


def poll(path: str, key: str) -> Callable[[], bytes]:
    """The request of a poll."""
    request = f"GET {path} HTTP/1.1\r\nHost: {LOOPBACK}\r\nAuthorization: Bearer {key}\r\n\r\n".encode()
    return lambda: request


def submit(key: str) -> Callable[[], bytes]:
    """Requests that each submit a recording that nobody has sent before."""
    part = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'.encode()
    end = f"\r\n--{BOUNDARY}--\r\n".encode()
    head = (
        f"POST /transcribe HTTP/1.1\r\nHost: {LOOPBACK}\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
        f"Content-Length: {len(part) + RECORDING_BYTES + len(end)}\r\n\r\n"
    ).encode()
    return lambda: head + part + os.urandom(RECORDING_BYTES) + end


def compare(name: str, parley: Side, bare: Side, pairs: int) -> None:
    """One warm-up of each, then `pairs` pairs; print the medians and the ratio of each pair."""
    parley(), bare()
    measured = [(parley(), bare()) for _ in range(pairs)]
    ratios = sorted(a / b for a, b in measured)
    medians = [statistics.median(side) for side in zip(*measured, strict=True)]
    middle = statistics.median(ratios)
    verdict = "met" if middle >= GOALS[name] else "MISSED"
    print(
        f"{name:<8} {medians[0]:7.0f}/s {medians[1]:7.0f}/s   {middle:.3f} ({ratios[0]:.3f}-{ratios[-1]:.3f})"
        f"   goal {GOALS[name]:.2f} {verdict}",
        flush=True,
    )


def main() -> None:
    """Print a row for each of the two calls."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=7, help="pairs per row (default 7)")
    parser.add_argument("--seconds", type=float, default=3, help="of load per side (default 3)")
    parser.add_argument("--connections", type=int, default=8, help="that ask at once (default 8)")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as home,
        Stack(Path(home) / "ours", apps=(API,)) as stack,
        bare_app(Path(home) / "bare", stack.env) as bare_url,
    ):
        recording = Path(home) / "first.wav"
        recording.write_bytes(os.urandom(RECORDING_BYTES))
        task_id = Client(stack.url, stack.api_key).submit(recording)

        def side(url: str, request: Callable[[], bytes], status: int) -> Side:
            return lambda: rate(url, request, status=status, connections=options.connections, seconds=options.seconds)

        polls, submits = poll(f"/status/{task_id}", stack.api_key), submit(stack.api_key)
        compare("polls", side(stack.url, polls, 200), side(bare_url, polls, 200), options.pairs)
        compare("submits", side(stack.url, submits, 202), side(bare_url, submits, 202), options.pairs)


if __name__ == "__main__":
    main()
