"""`python -m scripts.bench.kernel.claims`: what many workers and a long queue cost PostgreSQL, and what bends first.

A real PostgreSQL (and a Valkey for the rings), filled with tasks that wait for speech recognition. First every act of
a worker, of the sweep and of the gateway is timed alone, at each length of the queue, and the slowest statement of each
is explained. Then fleets of sleeping workers (fleet.py) work on the longest queue: claims per second,
milliseconds of each call, and the processor time that PostgreSQL and the workers' own Python take. Both share this
machine; what PostgreSQL takes for a stage is the figure to plan with.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import psutil
import psycopg
from sqlalchemy import text

from scripts.bench.kernel.acts import Acts, percentile, time_acts
from scripts.bench.kernel.backlog import fill
from scripts.bench.kernel.fleet import READY, Bells
from scripts.bench.kernel.pooler import pooler
from scripts.bench.soak.truth import bare_environment
from scripts.local.apps import ROOT
from scripts.local.stack import Stack
from shared.callers import keys
from shared.db import engine, session
from shared.db.role_limits import limit_role

NO_STORAGE = "http://127.0.0.1:9"
"""Nothing here reads or writes an object; the address keeps the stack from starting a server for them."""

CONNECTIONS = 1200

RAMP_SHARE = 1 / 3
"""Of the time to settle, in which the workers of a fleet begin one after another."""

TELLING_S = 0.5
"""From telling the processes of a fleet when to measure until they do."""

HEAD = f"""
cores: of PostgreSQL, of the workers' Python; milliseconds: p50 / p99
workers   work sweep claims/s beats/s{"claim":>17}{"complete":>17}{"heartbeat":>17}{"sweep":>17}   cores  messages"""


@dataclass(frozen=True, slots=True)
class Order:
    """A fleet: so many workers in so many processes, of which `sweeping` sweep; each task takes about `work_s`."""

    workers: int
    processes: int
    sweeping: int
    work_s: float
    settle_s: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Fleet:
    """What a fleet did in `seconds`: milliseconds of each call by name, counts, and processor seconds."""

    seconds: float
    took: MappingProxyType[str, list[float]]
    happened: Counter[str]
    postgres_s: float
    workers_s: float
    messages: int


# ---- fleets


def run_fleet(stack: Stack, order: Order, way: Mapping[str, str]) -> Fleet:
    """Start the workers, let them settle, measure, end them. `way` is their way to PostgreSQL, if it is not direct."""
    seconds, parts = order.seconds, order.processes
    settled, children = time.time() + order.settle_s, []
    for number in range(parts):
        share, sweepers = ((whole + parts - 1 - number) // parts for whole in (order.workers, order.sweeping))
        line = f"-m scripts.bench.kernel.fleet --name {uuid.uuid4().hex[:6]}-{number} --workers {share}"
        line += f" --work {order.work_s} --ramp {order.settle_s * RAMP_SHARE} --sweeping {sweepers}"
        command, environ, pipe = (sys.executable, *line.split()), {**os.environ, **stack.env, **way}, subprocess.PIPE
        children.append(subprocess.Popen(command, cwd=ROOT, env=environ, stdin=pipe, stdout=pipe, text=True))
    begin, end = tell_time(children, settled, seconds)
    bells = Bells(stack.env["REDIS_URL"])
    postgres = psutil.Process(stack.pid("postgres"))
    processes = [psutil.Process(child.pid) for child in children]
    time.sleep(max(0.0, begin - time.time()))
    before = processor_s([postgres]), processor_s(processes)
    time.sleep(max(0.0, end - 1 - time.time()))
    after = processor_s([postgres]), processor_s(processes)
    messages = bells.waiting()
    took: defaultdict[str, list[float]] = defaultdict(list)
    happened: Counter[str] = Counter()
    for child in children:
        result = json.loads(child.communicate(timeout=seconds + 120)[0])
        happened.update(result["happened"])
        for name, values in result["took"].items():
            took[name] += values
    share_of_time = seconds / (seconds - 1)
    used = [(b - a) * share_of_time for a, b in zip(before, after, strict=True)]
    return Fleet(seconds, MappingProxyType(took), happened, used[0], used[1], messages)


def tell_time(children: Sequence[subprocess.Popen[str]], settled: float, seconds: float) -> tuple[float, float]:
    """When the measurement begins and ends, which all processes are told: not before each of their workers works."""
    for child in children:
        assert child.stdout and child.stdout.readline().strip() == READY
    begin = max(settled, time.time() + TELLING_S)
    end = begin + seconds
    for child in children:
        assert child.stdin
        print(begin, end, file=child.stdin, flush=True)
    return begin, end


def processor_s(processes: Sequence[psutil.Process]) -> float:
    """Seconds that these and their children, also those that have ended, have computed."""
    total = 0.0
    for process in processes:
        usage = process.cpu_times()
        total += usage.user + usage.system + usage.children_user + usage.children_system
        for child in process.children():
            try:
                times = child.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += times.user + times.system
    return total


def report(order: Order, fleet: Fleet) -> None:
    claims, took = len(fleet.took["claim"]), fleet.took
    each = "".join(
        f"{percentile(took[name], 50):>8.1f} /{percentile(took[name], 99):>7.1f}" if took[name] else f"{'-':>17}"
        for name in ("claim", "complete", "heartbeat", "sweep")
    )
    rest = {name: count for name, count in fleet.happened.items() if name not in ("transcribe", "merge", "store")}
    print(
        f"{order.workers:>7}{order.work_s:>6g} s{order.sweeping:>6}{claims / fleet.seconds:>9.1f}"
        f"{len(took['heartbeat']) / fleet.seconds:>8.1f}{each}"
        f"{fleet.postgres_s / fleet.seconds:>8.2f}{fleet.workers_s / fleet.seconds:>8.2f}{fleet.messages:>9}  {rest}",
        flush=True,
    )


# ---- connections


def hold(stack: Stack, count: int) -> tuple[list[psycopg.Connection[tuple[object, ...]]], float]:
    """Open so many connections that then idle, each having asked for a row once; megabytes that each takes."""
    url = stack.env["DATABASE_URL"].replace("postgresql+psycopg", "postgresql")
    postgres = psutil.Process(stack.pid("postgres"))
    before = memory_mb(postgres)
    connections = []
    for _ in range(count):
        connection = psycopg.connect(url, autocommit=True)
        connection.execute("SELECT count(*) FROM stages WHERE job_id = '00000000-0000-7000-8000-000000000000'")
        connections.append(connection)
    return connections, (memory_mb(postgres) - before) / max(count, 1)


def memory_mb(postgres: psutil.Process) -> float:
    """Of all of PostgreSQL's processes, what they share counted once."""
    total = 0.0
    for child in (postgres, *postgres.children()):
        with suppress(psutil.NoSuchProcess):  # of autovacuum, or of a connection that has just been closed
            total += float(child.memory_full_info().pss)
    return total / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="1000,100000,1000000", help="tasks that wait (default 1000,100000,1000000)")
    parser.add_argument("--keys", type=int, default=100, help="API keys that they belong to (default 100)")
    parser.add_argument("--times", type=int, default=50, help="each act is timed so often (default 50)")
    parser.add_argument("--workers", default="10,100,300,1000", help="fleets (default 10,100,300,1000)")
    parser.add_argument("--work", type=float, default=30, help="seconds that a worker sleeps per task (default 30)")
    parser.add_argument("--heartbeat", type=float, default=2, help="HEARTBEAT_S (default 2)")
    parser.add_argument("--seconds", type=float, default=20, help="of each measurement (default 20)")
    parser.add_argument(
        "--settle", type=float, default=30, help="seconds before it; workers begin in the first third (default 30)"
    )
    parser.add_argument("--sweeping", type=int, default=1, help="workers of a fleet that sweep; -1 = all (default 1)")
    parser.add_argument("--processes", type=int, default=2, help="that the workers share (default 2)")
    parser.add_argument("--idle", type=int, default=0, help="connections held open beside the fleets (default 0)")
    parser.add_argument(
        "--pgbouncer", type=int, default=0, help="each fleet also through one with so many connections (default 0)"
    )
    options = parser.parse_args()
    lengths = [int(rows) for rows in options.rows.split(",")]
    environ = bare_environment() | {"S3_ENDPOINT_URL": NO_STORAGE, "MAX_QUEUED_TASKS": str(2 * max(lengths))}
    environ |= {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none", "LOG_LEVEL": "ERROR"}
    environ |= {"HEARTBEAT_S": str(options.heartbeat)}
    with (
        tempfile.TemporaryDirectory(prefix="parley-claims-") as home,
        Stack(Path(home), apps=(), environ=environ) as stack,
        ExitStack() as ending,
    ):
        os.environ.update(stack.env)
        more_connections(stack)
        with session() as work:
            owners = [keys.create(work, f"bench {number}")[0].id for number in range(options.keys)]
        acts, filled = Acts(owners), 0
        for rows in lengths:
            start = time.perf_counter()
            with engine().connect() as connection:
                connection.execute(text("SET statement_timeout = 0"))
                connection.execute(text("SET maintenance_work_mem = '256MB'"))
                fill(connection, owners, filled, rows)
            engine().dispose()
            filled = rows
            print(f"filled in {time.perf_counter() - start:.0f} s", file=sys.stderr)
            time_acts(acts, rows, options.times)
        Bells(stack.env["REDIS_URL"]).ring(acts.end())
        ways: list[Mapping[str, str]] = [{}]
        if options.pgbouncer:
            bouncer = pooler(Path(home) / "pgbouncer", stack.env["DATABASE_URL"], default_pool_size=options.pgbouncer)
            ways.append(ending.enter_context(bouncer).env)
            limit_role()
        connections, each_mb = hold(stack, options.idle)
        if connections:
            print(f"\n{len(connections)} idle connections take {each_mb:.1f} MB each")
        print(HEAD, flush=True)
        for workers in map(int, options.workers.split(",")):
            sweeping = workers if options.sweeping < 0 else options.sweeping
            order = Order(workers, options.processes, sweeping, options.work, options.settle, options.seconds)
            for way in ways:
                if way:
                    print("the same through PgBouncer:")
                report(order, run_fleet(stack, order, way))


def more_connections(stack: Stack) -> None:
    with engine().connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"ALTER SYSTEM SET max_connections = {CONNECTIONS}"))
    engine().dispose()
    stack.stop_process("postgres")
    stack.start_process("postgres")


if __name__ == "__main__":
    main()
