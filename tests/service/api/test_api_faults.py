"""POST /transcribe while a server behind the gateway dies: never a false 202, never a lost job, nothing left behind."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import uuid
from collections.abc import Iterator
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
    Caller,
    Gateway,
    RawUpload,
    eventually,
    form_part,
    gateway_on,
)


class Proxy:
    """Passes bytes between the gateway and PostgreSQL, until it is told to cut the connection at the next COMMIT."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.cut_before_commit = False
        self.cut_after_commit = False
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed
                return
            try:
                server = socket.create_connection(self._target)
            except OSError:  # PostgreSQL is away, and so are we
                client.close()
                continue
            for work in (self._up, self._down):
                threading.Thread(target=work, args=(client, server), daemon=True).start()

    def _up(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                is_commit = b"COMMIT\0" in data  # and not READ COMMITTED
                if is_commit and self.cut_before_commit:
                    self.cut_before_commit = False
                    break
                if is_commit and self.cut_after_commit:
                    self.cut_after_commit = False
                    client.shutdown(socket.SHUT_RDWR)  # the answer will not arrive
                    server.sendall(data)
                    server.recv(65536)  # it has taken place
                    break
                server.sendall(data)
        for end in (client, server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _down(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                client.sendall(data)
        for end in (client, server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


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


def began(gateway: Gateway, caller: Caller) -> tuple[RawUpload, bytes]:
    """An upload of which a part is stored, and the bytes that are still to be sent."""
    body = form_part("file", os.urandom(PART_BYTES + 1000), "a.mp3") + FORM_END
    upload = RawUpload(gateway, caller.key, len(body))
    upload.send(body[:-100])
    eventually(lambda: gateway.unfinished_uploads(caller), "a part is stored")
    return upload, body[-100:]


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
    upload, rest = began(gateway, caller)
    proxy.cut_after_commit = True
    upload.send(rest)
    status, answer = upload.answer()
    assert not proxy.cut_after_commit
    assert status == 202, answer
    assert states_of_jobs(caller) == ["queued"]
    assert len(gateway.objects(caller)) == 1


def test_a_commit_that_did_not_take_place_leaves_nothing(proxy: Proxy, gateway: Gateway, caller: Caller) -> None:
    """When the connection breaks before COMMIT arrived, the answer is 503 and the object is removed."""
    upload, rest = began(gateway, caller)
    proxy.cut_before_commit = True
    upload.send(rest)
    status, answer = upload.answer()
    assert not proxy.cut_before_commit
    assert (status, '"database_unavailable"' in answer) == (503, True)
    assert states_of_jobs(caller) == []
    eventually(lambda: gateway.left_behind(caller) == NOTHING, "everything is removed")


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
