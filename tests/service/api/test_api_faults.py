"""POST /transcribe while a server behind the gateway dies: never a false 202, never a lost job, nothing left behind."""

from __future__ import annotations

import contextlib
import os
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from sqlalchemy import make_url, select, text, update

from scripts.local.home import Home
from scripts.local.stack import Stack
from shared.config import Settings
from shared.db import session
from shared.models import Erasure, Job, Stage
from shared.storage import PART_BYTES, storage_of
from tests.service.gateway import (
    FORM_END,
    NOTHING,
    PATIENCE_S,
    Caller,
    Gateway,
    RawUpload,
    eventually,
    form_part,
    gateway_on,
)
from tests.service.proxy import Proxy


@pytest.fixture(scope="module")
def proxy(servers: Stack) -> Iterator[Proxy]:
    url = make_url(servers.env["DATABASE_URL"])
    assert url.host and url.port
    with contextlib.closing(Proxy(url.host, url.port)) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(
    servers: Stack, environment: Settings, proxy: Proxy, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A gateway that reaches PostgreSQL through the proxy."""
    home: Path = tmp_path_factory.mktemp("gateway")
    address = make_url(servers.env["DATABASE_URL"]).set(port=proxy.port).render_as_string(hide_password=False)
    with gateway_on(servers, home, storage_of(environment), DATABASE_URL=address) as running:
        yield running


@contextlib.contextmanager
def stopped(servers: Stack, name: str) -> Iterator[None]:
    servers.stop_process(name)
    try:
        yield
    finally:
        servers.start_process(name)


def states_of_jobs(caller: Caller) -> list[str]:
    with session() as work:
        return list(work.scalars(select(Job.state).where(Job.owner_id == caller.id)))


def began(gateway: Gateway, caller: Caller, filename: str = "a.mp3", **fields: str) -> tuple[RawUpload, bytes]:
    """An upload of which a part is stored, and the bytes that are still to be sent."""
    file = form_part("file", os.urandom(PART_BYTES + 1000), filename)
    body = b"".join(form_part(name, value.encode()) for name, value in fields.items()) + file + FORM_END
    upload = RawUpload(gateway, caller.key, len(body))
    upload.send(body[:-100])
    eventually(lambda: gateway.unfinished_uploads(caller), "a part is stored")
    return upload, body[-100:]


COMMIT = b"COMMIT\0"  # and not READ COMMITTED

TOLD = {"webhook_url": "https://there.example/"}
"""A field with which a job takes several statements."""


def test_a_broker_that_is_away_does_not_matter(servers: Stack, gateway: Gateway, caller: Caller) -> None:
    """Without Valkey an upload is accepted; its stages are queued in PostgreSQL, where the sweep finds them."""
    with stopped(servers, "valkey"):
        task_id = caller.task()
        with session() as work:
            convert = work.get_one(Stage, (task_id, "convert", 0))
        assert (caller.status(task_id), convert.state) == ("queued", "queued")


def test_without_a_database_nothing_is_taken(servers: Stack, gateway: Gateway, caller: Caller) -> None:
    """Without PostgreSQL every call is 503, an upload before its body, and the process stays alive."""
    with stopped(servers, "postgres"):
        status, answer = RawUpload(gateway, caller.key, 10**6).answer()
        assert (status, '"database_unavailable"' in answer) == (503, True)
        assert "retry-after: 5" in answer.lower()
        assert caller.http.get("/history").json()["code"] == "database_unavailable"
        assert caller.http.get("/health/live").status_code == 200
        assert caller.http.get("/health").json()["checks"]["database"] != "ok"
    eventually(lambda: caller.http.get("/history").status_code == 200, "the gateway finds PostgreSQL again")
    assert gateway.left_behind(caller) == NOTHING


def test_a_gateway_may_start_before_its_database(
    servers: Stack, environment: Settings, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Without PostgreSQL the process comes up and is alive; the operator's key works soon after PostgreSQL does."""
    key = f"pk_{uuid.uuid4().hex}"
    home = tmp_path_factory.mktemp("early")
    Home(home).ports(["api"])  # it keeps this one; chosen later, it might be the one that PostgreSQL comes back to
    with contextlib.ExitStack() as stack:
        with stopped(servers, "postgres"):
            early = stack.enter_context(gateway_on(servers, home, storage_of(environment), API_KEY=key))
            assert httpx.get(f"{early.url}/health/live", timeout=30).status_code == 200
        eventually(
            lambda: httpx.get(f"{early.url}/history", headers={"X-API-Key": key}, timeout=30).status_code == 200,
            "the key is valid",
        )


def test_a_database_that_dies_during_an_upload(servers: Stack, gateway: Gateway, caller: Caller) -> None:
    """When PostgreSQL goes away before the job is inserted the answer is 503 and no byte stays."""
    upload, rest = began(gateway, caller)
    with stopped(servers, "postgres"):
        upload.send(rest)
        status, answer = upload.answer()
        assert (status, '"database_unavailable"' in answer) == (503, True)
        assert (gateway.objects(caller), gateway.unfinished_uploads(caller)) == (set(), 0)
    assert states_of_jobs(caller) == []


def test_storage_that_is_away_takes_nothing(servers: Stack, gateway: Gateway, caller: Caller) -> None:
    """Without storage an upload is 503; what the gateway could not remove is removed by the next repair."""
    upload, rest = began(gateway, caller)
    with stopped(servers, "seaweedfs"):
        upload.send(rest)
        status, answer = upload.answer()
        assert (status, '"storage_unavailable"' in answer) == (503, True)
    assert states_of_jobs(caller) == []
    admin = gateway.caller("admin")
    admin.http.post("/jobs/repair").raise_for_status()
    assert (gateway.objects(caller), gateway.unfinished_uploads(caller)) == (set(), 0)


def test_a_lost_answer_to_commit_is_no_lost_job(proxy: Proxy, gateway: Gateway, caller: Caller) -> None:
    """When the connection breaks after COMMIT took place, the gateway asks, finds the job and answers 202."""
    upload, rest = began(gateway, caller, **TOLD)
    with proxy.cut(COMMIT, arrives=True):
        upload.send(rest)
        status, answer = upload.answer()
    assert status == 202, answer
    assert states_of_jobs(caller) == ["queued"]
    assert len(gateway.objects(caller)) == 1


def test_a_commit_that_did_not_take_place_leaves_nothing(proxy: Proxy, gateway: Gateway, caller: Caller) -> None:
    """When the connection breaks before COMMIT arrived, the answer is 503 and the object is removed."""
    upload, rest = began(gateway, caller, **TOLD)
    with proxy.cut(COMMIT, arrives=False):
        upload.send(rest)
        status, answer = upload.answer()
    assert (status, '"database_unavailable"' in answer) == (503, True)
    assert states_of_jobs(caller) == []
    eventually(lambda: gateway.left_behind(caller) == NOTHING, "everything is removed")


# ---- the one statement that makes a job: it is committed as soon as it is carried out, whoever still waits for it


@pytest.mark.parametrize("arrives", [True, False])
def test_a_lost_statement_is_no_lost_job(proxy: Proxy, gateway: Gateway, caller: Caller, arrives: bool) -> None:
    """When the connection breaks behind the statement or before it, there is one job, with its recording, and 202."""
    filename = f"{uuid.uuid4().hex}.mp3"
    upload, rest = began(gateway, caller, filename)
    with proxy.cut(filename.encode(), arrives=arrives) as cut:
        upload.send(rest)
        status, answer = upload.answer()
    assert status == 202, answer
    assert cut.is_answered.wait(PATIENCE_S if arrives else 0) is arrives
    assert states_of_jobs(caller) == ["queued"]
    assert (len(gateway.objects(caller)), gateway.announcements(caller)) == (1, 0)


def test_a_statement_that_is_ended_is_no_lost_job(gateway: Gateway, caller: Caller) -> None:
    """PostgreSQL ends the connection while the statement waits: another connection makes the job."""
    upload, rest = began(gateway, caller)
    with announcement_held(caller) as waiting:
        upload.send(rest)
        (backend,) = eventually(waiting, "the statement waits")
        with session() as work:
            assert work.scalar(text("SELECT pg_terminate_backend(:pid)"), {"pid": backend})
        eventually(lambda: waiting() - {backend}, "it is asked whether there is a job")
    status, answer = upload.answer()
    assert status == 202, answer
    assert states_of_jobs(caller) == ["queued"]
    assert (len(gateway.objects(caller)), gateway.announcements(caller)) == (1, 0)


def test_a_statement_that_goes_on_without_its_connection_makes_the_job(
    proxy: Proxy, gateway: Gateway, caller: Caller
) -> None:
    """The connection breaks for the gateway alone, while the statement waits: it is waited for, its job is found."""
    filename = f"{uuid.uuid4().hex}.mp3"
    upload, rest = began(gateway, caller, filename)
    with announcement_held(caller) as waiting:
        with proxy.cut(filename.encode(), arrives=True) as cut:
            upload.send(rest)
            eventually(lambda: len(waiting()) == 2, "the statement waits, and whoever asks about it")
        assert not cut.is_answered.is_set()
    status, answer = upload.answer()
    assert status == 202, answer
    assert states_of_jobs(caller) == ["queued"]
    assert (len(gateway.objects(caller)), gateway.announcements(caller)) == (1, 0)


def test_a_recording_stays_while_its_statement_may_still_run(proxy: Proxy, gateway: Gateway, caller: Caller) -> None:
    """Where nobody is told what becomes of the statement the answer is 503, and the job that it makes has its
    recording."""
    filename = f"{uuid.uuid4().hex}.mp3"
    upload, rest = began(gateway, caller, filename)
    with proxy.cut(filename.encode(), arrives=True, late=True) as cut:
        with announcement_held(caller):
            upload.send(rest)
            status, answer = upload.answer()
        assert (status, '"database_unavailable"' in answer) == (503, True)
        assert "retry-after: 5" in answer.lower()
        cut.is_due.set()
        assert cut.is_answered.wait(PATIENCE_S)
    assert states_of_jobs(caller) == ["queued"]
    assert (len(gateway.objects(caller)), gateway.announcements(caller)) == (1, 0)


def test_a_statement_that_comes_too_late_makes_no_job(proxy: Proxy, gateway: Gateway, caller: Caller) -> None:
    """The upload was withdrawn, and 503 was answered, before the statement reached PostgreSQL."""
    filename = f"{uuid.uuid4().hex}.mp3"
    upload, rest = began(gateway, caller, filename)
    with proxy.cut(filename.encode(), arrives=True, late=True) as cut:
        with proxy.cut(COMMIT, arrives=False):
            upload.send(rest)
            status, answer = upload.answer()
        assert (status, '"database_unavailable"' in answer) == (503, True)
        eventually(lambda: gateway.left_behind(caller) == NOTHING, "everything is removed")
        cut.is_due.set()
        assert cut.is_answered.wait(PATIENCE_S)
    assert states_of_jobs(caller) == []
    assert gateway.left_behind(caller) == NOTHING


def test_idle_connections_that_end_fail_no_submission(proxy: Proxy, gateway: Gateway, caller: Caller) -> None:
    """PostgreSQL ends all connections, as when it is started again: nothing is sent on one that has ended."""
    lost = gateway.log().count("answer_lost")
    with ThreadPoolExecutor(16) as pool:
        for round in range(1, 4):
            answers = list(pool.map(lambda _: caller.submit(), range(32)))
            assert {answer.status_code for answer in answers} == {202}
            assert len(states_of_jobs(caller)) == 32 * round
            before = settled(proxy)
            assert disconnect() > 0
            eventually(lambda before=before: not before & proxy.open(), "the gateway can know")  # type: ignore[misc]
    assert gateway.log().count("answer_lost") == lost


def settled(proxy: Proxy) -> set[socket.socket]:
    """The connections, once the gateway's pools make no more of them."""
    before = proxy.open()
    while True:
        time.sleep(0.5)
        if before == (before := proxy.open()):
            return before


@contextlib.contextmanager
def announcement_held(caller: Caller) -> Iterator[Callable[[], set[int]]]:
    """The caller's announcement is locked in the block; gives the backends that wait for it."""
    with session() as lock:
        own = lock.scalar(text("SELECT pg_backend_pid()"))
        assert lock.scalar(select(Erasure.job_id).where(Erasure.owner_id == caller.id).with_for_update())

        def waiting() -> set[int]:
            with session() as work:
                # who waits behind a waiter waits for it
                return set(work.scalars(text(WAITING), {"lock": own}))

        yield waiting


WAITING = """
    WITH RECURSIVE waits(pid) AS (
        SELECT CAST(:lock AS integer)
        UNION SELECT activity.pid FROM waits, pg_stat_activity AS activity
        WHERE waits.pid = ANY(pg_blocking_pids(activity.pid)) AND activity.datname = current_database()
    )
    SELECT pid FROM waits WHERE pid <> :lock
"""


def disconnect() -> int:
    """End all connections to PostgreSQL, but for this one; how many."""
    ends = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    with session() as work:
        return work.scalar(text(f"{ends} AND datname = current_database()")) or 0


def test_a_gateway_that_is_killed_leaves_an_announcement(servers: Stack, gateway: Gateway, caller: Caller) -> None:
    """After kill -9 in the middle of an upload its parts are removed when the announced time is over."""
    upload, _ = began(gateway, caller)
    pid = gateway.stack.pid("api")
    assert pid is not None
    os.kill(pid, 9)
    eventually(lambda: gateway.stack.pid("api") not in (None, pid), "the gateway is started again")
    upload.drop()
    assert (gateway.unfinished_uploads(caller), gateway.announcements(caller)) == (1, 1)
    _let_the_announced_time_pass(caller.id)
    admin = gateway.caller("admin")
    eventually(lambda: _answers(admin), "the gateway answers again")
    admin.http.post("/jobs/repair").raise_for_status()
    assert (gateway.objects(caller), gateway.unfinished_uploads(caller)) == (set(), 0)


def _answers(admin: Caller) -> bool:
    try:
        return admin.http.get("/health/live").status_code == 200
    except httpx.TransportError:
        return False


def _let_the_announced_time_pass(owner_id: uuid.UUID) -> None:
    """A day goes by in PostgreSQL."""
    with session() as work:
        work.execute(
            update(Erasure)
            .where(Erasure.owner_id == owner_id)
            .values(created_at=Erasure.created_at - text("interval '24 hours'"))
        )
