"""A whole stack whose gateway and workers reach PostgreSQL through a PgBouncer alone."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from scripts.bench.kernel.pooler import PATHS, Pooler, pooler
from scripts.bench.soak import chaos
from scripts.bench.soak.caller import Caller, noise
from scripts.bench.soak.truth import Truth, bare_environment
from scripts.local.apps import API, ROOT, worker
from scripts.local.stack import Stack
from shared.db.connections import LIMITS
from shared.models import Stage
from tests.faults.rig import PATIENCE_S, Rig, eventually
from tests.programs import program

SLEEP_S = 8.0
"""Long enough to be killed and cancelled in, on a busy machine too."""

POOL = 6
"""Fewer than the connections that one gateway and three workers hold."""

TASKS = 12
"""psycopg prepares what one connection executes more than five times."""

BRISK = {"LEASE_S": "10", "HEARTBEAT_S": "0.5", "SWEEP_INTERVAL_S": "1", "RING_AGAIN_S": "2"}


@pytest.fixture(scope="module")
def direct(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """PostgreSQL and Valkey, without tables."""
    program("pgbouncer", PATHS)
    home = tmp_path_factory.mktemp("direct")
    with Stack(home, apps=(), environ=bare_environment(), migrate=False) as servers:
        yield servers


@pytest.fixture(scope="module")
def bouncer(direct: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pooler]:
    """In transaction mode, as the file has it, with few connections."""
    folder = tmp_path_factory.mktemp("bouncer")
    with pooler(folder, direct.env["DATABASE_URL"], default_pool_size=POOL) as running:
        yield running


def environment(direct: Stack, bouncer: Pooler) -> dict[str, str]:
    return {**bare_environment(), "REDIS_URL": direct.env["REDIS_URL"], **bouncer.env}


@pytest.fixture(scope="module")
def rig(direct: Stack, bouncer: Pooler, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """The tables are made past the pooler; everything else goes through it. The truth is read past it."""
    apps = (API, worker("io", "io,cpu", 2, 1), worker("asr", "asr", 1, 1), worker("asr-2", "asr", 1, 1))
    environ = environment(direct, bouncer) | BRISK | {"ENGINE": "sleeper", "SLEEPER_SECONDS": str(SLEEP_S)}
    with Stack(tmp_path_factory.mktemp("stack"), apps=apps, environ=environ) as stack:
        running = Rig(stack)
        running.truth = Truth(direct)
        eventually(lambda: {"io", "cpu", "asr"} <= running.truth.queues(), "every queue has a worker", PATIENCE_S)
        yield running


def events(rig: Rig, url: str, opened: threading.Event) -> list[dict[str, object]]:
    lines: list[dict[str, object]] = []
    with rig.caller.http.stream("GET", url, timeout=PATIENCE_S) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        for line in answer.iter_lines():
            opened.set()
            if line.startswith("data:"):
                lines.append(json.loads(line.removeprefix("data:")))
    return lines


def uploaded(http: httpx.Client, content: bytes) -> str:
    """The id of a complete upload of one part."""
    upload_id = str(http.post("/uploads", json={"filename": "a.wav", "bytes": len(content)}).json()["upload_id"])
    http.put(f"/uploads/{upload_id}/parts/1", content=content).raise_for_status()
    http.post(f"/uploads/{upload_id}/complete").raise_for_status()
    return upload_id


def test_tasks_are_done_waited_for_and_followed(rig: Rig) -> None:
    """A stream, a waiting request, and so many tasks that statements would be prepared."""
    with ThreadPoolExecutor(3) as pool:
        task, opened = rig.submit(), threading.Event()
        following = pool.submit(events, rig, f"/tasks/{task.id}/events", opened)
        assert opened.wait(PATIENCE_S)
        waited = pool.submit(
            rig.caller.http.post,
            "/transcribe",
            files={"file": ("call.wav", noise())},
            data={"wait": "100"},
            timeout=PATIENCE_S,
        ).result()
        assert (waited.status_code, waited.json()["status"]) == (200, "done")
        stream = following.result()
    assert stream[-1]["status"] == "done"
    for _ in range(TASKS):
        other = rig.submit()
        assert rig.caller.cancel(other) in ("cancelled", "cancelling")
    assert rig.caller.read(task)
    assert "answer_lost" not in rig.stack.log("api").read_text()


def test_a_batch_is_done(rig: Rig) -> None:
    """Two recordings that were sent in parts become tasks at once."""
    items = [{"upload_id": uploaded(rig.caller.http, noise())} for _ in range(2)]
    answer = rig.caller.http.post("/transcribe/batch", json={"items": items})
    assert answer.status_code == 202, answer.text
    url = f"/batches/{answer.json()['batch_id']}"
    eventually(lambda: rig.caller.http.get(url).json()["status"] == "done", "the batch is done", PATIENCE_S)


def test_a_running_task_is_cancelled(rig: Rig) -> None:
    task = rig.submit()
    rig.running(task, "transcribe")
    rig.caller.cancel(task)
    assert rig.caller.wait(task) == "cancelled"


def test_a_killed_workers_task_is_taken_over(rig: Rig) -> None:
    task = rig.submit()
    row: Stage = rig.running(task, "transcribe")
    name, _ = rig.worker_of(row)
    chaos.kill_tree(rig.stack, name)
    assert rig.caller.wait(task, timeout_s=PATIENCE_S) == "done"
    assert rig.truth.stage(task.id, "transcribe").attempt >= 2


def test_a_revoked_key_is_refused_at_once(rig: Rig) -> None:
    answer = rig.caller.http.post("/admin/keys", json={"name": "guest"})
    assert answer.status_code == 201, answer.text
    guest = Caller(rig.stack.url, answer.json()["key"])
    assert guest.http.get("/history").status_code == 200
    rig.caller.http.delete(f"/admin/keys/{answer.json()['id']}").raise_for_status()
    assert guest.http.get("/history").status_code == 401


def test_few_connections_are_shared_and_have_limits(rig: Rig, bouncer: Pooler) -> None:
    """More clients than connections to PostgreSQL, each of which has the limits; who listens is past the pooler."""
    with bouncer.connect("pgbouncer") as console:
        clients = console.execute("SHOW CLIENTS").fetchall()
        servers = console.execute("SHOW SERVERS").fetchall()
    assert len(clients) > POOL >= len(servers) > 0
    assert not [client for client in clients if "parley-listener" in client]
    with bouncer.connect() as through:
        for limit in LIMITS.items():
            same = through.execute("SELECT current_setting(%s)::interval = %s::interval", limit).fetchone()
            assert same == (True,), limit
        listening = "SELECT query FROM pg_stat_activity WHERE application_name = 'parley-listener'"
        assert [str(row[0]).partition(" ")[0] for row in through.execute(listening)] == ["LISTEN"]
        assert through.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (0,)


def test_a_pooler_without_limits_is_an_error_at_the_start(
    direct: Stack, rig: Rig, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """One whose connections are older than the role's limits, say: it goes on with them."""
    folder = tmp_path_factory.mktemp("unlimited")
    with pooler(folder, direct.env["DATABASE_URL"], default_pool_size=1) as other:
        with other.connect() as through:
            through.execute("SET statement_timeout = 0")  # of the one connection, which it keeps
        process = started("upgrade", environment(direct, other))
    assert process.returncode == 1
    assert process.stderr.startswith("connections of DATABASE_URL have no limits of time")


def started(action: str, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    argv = (sys.executable, "-m", "shared.db", action)
    return subprocess.run(argv, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=PATIENCE_S, check=False)


@pytest.mark.parametrize("action", ["upgrade", "wait", "reach"])
def test_a_pooler_that_nobody_told_of_is_an_error_at_the_start(direct: Stack, bouncer: Pooler, action: str) -> None:
    """It says which setting is missing, and does not wait."""
    process = started(action, environment(direct, bouncer) | {"DATABASE_DIRECT_URL": ""})
    assert process.returncode == 1
    assert process.stderr.startswith("DATABASE_URL leads through a pooler such as PgBouncer: set DATABASE_DIRECT_URL")
