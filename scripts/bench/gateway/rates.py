"""`python -m scripts.bench.gateway.rates`: polls and submits per second of the gateway / of other apps (goal P3).

Others are bare FastAPI, which has neither key nor row, on asyncio and on uvloop, and bare FastAPI with the same durable
effects (durable_gateway.py), on ours. Each is one process of uvicorn. All are asked in turn by as many connections;
polls are of a task that is processing. PostgreSQL, Valkey and SeaweedFS run once, for ours and for the durable one. The
load generator takes up to one core.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import psycopg
from sqlalchemy import make_url

from scripts.bench.client import Client
from scripts.bench.gateway.load import Load, load
from scripts.bench.processor import Meter
from scripts.bench.ratios import Deadline, Goal, ratios, rounds, row, time_limit
from scripts.bench.soak.truth import Truth
from scripts.local.apps import API
from scripts.local.home import LOOPBACK
from scripts.local.stack import Stack
from shared.config import settings
from shared.db import session
from shared.kernel import leases

LIMIT_S = 420
HTTP = "httptools" if find_spec("httptools") else "h11"
LOOP = "uvloop" if find_spec("uvloop") else "asyncio"
"""What uvicorn takes by itself for ours, which parses HTTP by h11."""

OURS, BARE, FASTER = "Parley", "bare FastAPI, asyncio, h11", f"bare FastAPI, uvloop, {HTTP}"
DURABLE = f"bare FastAPI, durable, {LOOP}, h11"
POLL_GOALS = {BARE: Goal(1.0, is_floor=True), FASTER: Goal(0.6, is_floor=True), DURABLE: None}
STORED_GOAL, INLINE_GOAL = Goal(0.20, is_floor=True), Goal(0.45, is_floor=True)
DURABLE_GOAL = Goal(0.9, is_floor=True)
P99_GOAL = Goal(5.0)
FEW, MANY = 1, 64
RECORDING_BYTES = 4096
BOUNDARY = "the-boundary"
SERVERS = ("postgres", "valkey", "seaweedfs")


@contextmanager
def app(home: Path, environ: Mapping[str, str], module: str, loop: str, http: str) -> Iterator[Stack]:
    """An app of this folder as the gateway runs: by the same supervisor, in one process of uvicorn."""
    line = f"uvicorn scripts.bench.gateway.{module}:create_app --factory --host {{host}} --port {{port}}"
    arguments = (*line.split(), "--loop", loop, "--http", http)
    # servers are in `environ`, so none starts
    with Stack(home, apps=(replace(API, arguments=arguments),), environ=environ, migrate=False) as stack:
        yield stack


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


@dataclass(frozen=True)
class Door:
    """One side: where it answers, the task that is polled there, and what it costs."""

    stack: Stack
    task: str
    programs: Mapping[str, tuple[Stack, str]]

    def side(self, request: Callable[[], bytes], status: int, meter: Meter, options: argparse.Namespace) -> Load:
        url = self.stack.url
        return meter(
            lambda: load(url, request, status=status, connections=options.connections, seconds=options.seconds),
            lambda run: run.answers,
        )


def bare_door(stack: Stack, task: str) -> Door:
    """One that needs no servers and knows no tasks."""
    return Door(stack, task, {"app": (stack, "api")})


def compare(
    what: str,
    doors: Mapping[str, Door],
    requests: Mapping[str, Callable[[], bytes]],
    status: int,
    goals: Mapping[str, Goal | None],
    options: argparse.Namespace,
    deadline: Deadline,
) -> None:
    """Each side's rate and processor time, then the ratios of ours to the others."""
    meters = {name: Meter(door.programs) for name, door in doors.items()}
    loads: dict[str, list[Load]] = {name: [] for name in doors}

    def side(name: str) -> float:
        loads[name].append(doors[name].side(requests[name], status, meters[name], options))
        return loads[name][-1].rate

    measured = rounds({name: lambda name=name: side(name) for name in doors}, options.pairs, deadline)  # type: ignore[misc]
    print(f"{what}, {options.connections} connections")
    for name, rates in measured.items():
        p99_ms = [one.p99_ms for one in loads[name][1:]]
        print(row(f"  {name}, per second", rates, note=f"p99 {max(p99_ms, default=0):.1f} ms at most; {meters[name]}"))
    if FASTER not in doors:
        print(row(f"  P3 {what} / {FASTER}", []))
    for name in list(doors)[1:]:
        print(row(f"  P3 {what} / {name}", ratios(measured[OURS], measured[name]), goals.get(name)), flush=True)


def crowd(door: Door, request: Callable[[], bytes], options: argparse.Namespace, deadline: Deadline) -> None:
    """The 99th percentile with many connections / with one."""

    def p99(connections: int) -> float:
        run = load(door.stack.url, request, status=200, connections=connections, seconds=options.seconds)
        return run.p99_ms

    measured = rounds({"many": lambda: p99(MANY), "few": lambda: p99(FEW)}, options.pairs, deadline)
    figures = ratios(measured["many"], measured["few"])
    print(row(f"  P3 polls, p99 with {MANY} connections / with {FEW}", figures, P99_GOAL), flush=True)


def processing_task(stack: Stack, recording: Path) -> str:
    """A task of ours whose first stage a worker has claimed."""
    task_id = Client(stack.url, stack.api_key).submit(recording)
    os.environ.update({name: stack.env[name] for name in ("DATABASE_URL", "REDIS_URL")})
    settings.cache_clear()
    with session() as work:
        claim = leases.claim(work, uuid.UUID(task_id), "convert", 0, worker="bench", device="cpu", lease_s=3600)
    assert claim is not None
    return task_id


def processing_row(durable: Stack, recording: Path) -> str:
    """The same of the durable app."""
    task_id = Client(durable.url, durable.api_key).submit(recording)
    address = make_url(durable.env["DATABASE_URL"]).set(drivername="postgresql")
    with psycopg.connect(address.render_as_string(hide_password=False)) as connection:
        connection.execute("UPDATE bare.tasks SET state = 'processing' WHERE id = %s", (task_id,))
    return task_id


def main() -> None:
    """Print the rows of polls, of their crowd, and of submits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=7, help="rounds per row (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=2, help="of load per side (default %(default)s)")
    parser.add_argument("--connections", type=int, default=8, help="that ask at once (default %(default)s)")
    parser.add_argument("--limit", type=float, default=LIMIT_S, help="seconds for all of it (default %(default)s)")
    options = parser.parse_args()
    with time_limit(options.limit) as deadline, tempfile.TemporaryDirectory() as name, ExitStack() as opened:
        home = Path(name)
        environ = os.environ | {"OBJECT_STORE": "s3"}  # where the durable app stores, too
        parley = opened.enter_context(Stack(home / "ours", apps=(API,), environ=environ))

        def started(folder: str, module: str, loop: str, http: str) -> Stack:
            return opened.enter_context(app(home / folder, parley.env, module, loop, http))

        recording = home / "first.wav"
        recording.write_bytes(os.urandom(RECORDING_BYTES))
        servers = {server: (parley, server) for server in SERVERS}
        task = processing_task(parley, recording)
        durable = started("durable", "durable_gateway", LOOP, "h11")
        doors = {
            OURS: Door(parley, task, {"api": (parley, "api"), **servers}),
            BARE: bare_door(started("bare", "bare_gateway", "asyncio", "h11"), task),
            DURABLE: Door(durable, processing_row(durable, recording), {"app": (durable, "api"), **servers}),
        }
        if find_spec("uvloop"):
            doors[FASTER] = bare_door(started("faster", "bare_gateway", "uvloop", HTTP), task)
        print(f"Parley's event loop: {LOOP}, HTTP by h11; {options.pairs} rounds")
        polls = {name: poll(f"/status/{door.task}", parley.api_key) for name, door in doors.items()}
        compare("polls", doors, polls, 200, POLL_GOALS, options, deadline)
        crowd(doors[OURS], polls[OURS], options, deadline)
        is_stored = bool(Truth(parley).objects(uuid.UUID(task)))
        goals = {BARE: STORED_GOAL if is_stored else INLINE_GOAL, DURABLE: DURABLE_GOAL}
        what = f"submits of {RECORDING_BYTES} bytes, {'through S3' if is_stored else 'inline'}"
        compare(what, doors, dict.fromkeys(doors, submit(parley.api_key)), 202, goals, options, deadline)


if __name__ == "__main__":
    main()
