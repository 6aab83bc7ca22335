"""What bounds a live session while it is open, on a gateway without anybody who listens."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import datetime

import httpx
import pytest
from sqlalchemy import delete, func, select
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from api.revocation import INTERVAL_S, Watch
from scripts.local.stack import Stack
from shared.callers import keys
from shared.callers.limits import note_audio
from shared.config import Settings
from shared.db import session
from shared.errors import Unauthorized
from shared.models import LiveSession, Worker
from shared.storage import storage_of
from tests.service.gateway import PATIENCE_S, Caller, Gateway, eventually, gateway_on
from tests.service.live.client import Client
from tests.service.uploads.test_storage_full import server_that_says

LOOKS = {"LIVE_RESUME_S": "3"}
"""A session is looked at three times as often as it may be left alone."""

RATE = 8000
FRAME = bytes(2 * RATE)
"""A second."""


@pytest.fixture(scope="module")
def places(servers: Stack) -> Iterator[None]:
    """A live worker, for whoever looks whether there is one."""
    with session() as work:
        work.add(Worker(name="nobody", queues=["live"], slots=100, seen_at=func.now() + func.make_interval(0, 0, 0, 1)))
    yield
    with session() as work:
        work.execute(delete(Worker).where(Worker.name == "nobody"))


@pytest.fixture(scope="module")
def gateway(
    servers: Stack, places: None, environment: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    with gateway_on(servers, tmp_path_factory.mktemp("gateway"), storage_of(environment), **LOOKS) as running:
        yield running


def client_of(caller: Caller, gateway: Gateway, **query: object) -> Client:
    return Client(gateway.url, caller.key, {"rate": RATE, **query})


def row(task: str) -> LiveSession:
    with session() as work:
        return work.scalars(select(LiveSession).where(LiveSession.job_id == uuid.UUID(task))).one()


def new_session(client: Client, seconds: int) -> str:
    """A session with so much sound."""
    task = str(client.first("hello")["session"])
    client.send([FRAME] * seconds, speed=1000)
    client.until(lambda: client.acked == seconds, "all is acknowledged")
    return task


def looked_at(task: str) -> None:
    """Its bounds are looked at behind each sign of life, so all of it has been seen when there are two."""
    first, times = row(task).seen_at, set[datetime]()

    def is_seen() -> bool:
        times.add(row(task).seen_at)
        return len(times - {first}) >= 2

    eventually(is_seen, "its bounds are looked at")


def ended(task: str) -> LiveSession:
    eventually(lambda: row(task).end_reason, "the session has ended")
    return row(task)


# ---- limits of the key


def test_minutes_that_others_use_end_an_open_session(gateway: Gateway) -> None:
    """What other tasks of the key have used is looked at again while a session is open."""
    caller = gateway.limited(minutes_per_day=1)
    with client_of(caller, gateway) as client:
        task = new_session(client, 3)
        with session() as work:
            note_audio(work, caller.id, 58)
        assert ended(task).end_reason == "quota"


def test_sessions_at_once_share_the_minutes(gateway: Gateway) -> None:
    """Sound counts from its first byte: what one brings the other cannot."""
    caller = gateway.limited(minutes_per_day=1)
    with client_of(caller, gateway) as first, client_of(caller, gateway) as second:
        one, other = new_session(first, 40), str(second.first("hello")["session"])
        for task in (one, other):
            looked_at(task)
        second.send([FRAME] * 30, speed=1000)
        assert (ended(other).end_reason, ended(other).bytes) == ("quota", 20 * len(FRAME))
        assert ended(one).end_reason == "quota"


def test_bytes_of_a_session_are_bytes_of_its_key(gateway: Gateway) -> None:
    """They count as stored while they come, and the session ends where they are all that may be."""
    most = 10 * len(FRAME)
    caller = gateway.limited(max_stored_bytes=most)
    with client_of(caller, gateway) as client:
        task = new_session(client, 4)
        assert caller.http.get("/usage").json()["quotas"]["max_stored_bytes"]["used"] == 4 * len(FRAME)
        client.send([FRAME] * 8, speed=1000)
        assert (ended(task).end_reason, row(task).bytes) == ("quota", most)
    refused = caller.submit()
    assert (refused.status_code, refused.json()["code"]) == (403, "storage_quota_exceeded")


def test_no_sound_is_taken_for_a_disk_that_is_full(
    servers: Stack, places: None, environment: Settings, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A session that is open is let go of, to go on when there is room; another does not begin."""
    with (
        server_that_says(507, "XMinioStorageFull") as url,
        gateway_on(
            servers, tmp_path_factory.mktemp("gateway"), storage_of(environment), S3_ENDPOINT_URL=url, **LOOKS
        ) as gateway,
    ):
        caller = gateway.caller()
        with client_of(caller, gateway) as client:
            task = new_session(client, 1)
            assert caller.submit().status_code == 507
            assert client.first("error")["code"] == "storage_full"
            assert client.end_code() == 1013
        assert row(task).end_reason is None
        with pytest.raises(InvalidStatus) as refused:
            client_of(caller, gateway, session=task, seq=1)
        assert refused.value.response.status_code == 507
        answer = caller.http.post("/transcribe/stream", content=FRAME)
        assert (answer.status_code, answer.json()["code"]) == (507, "storage_full")


# ---- who has the session


def test_a_refused_resumption_takes_nothing(gateway: Gateway) -> None:
    """A client that has more acknowledged than has arrived is told where the session stands, and its socket goes on."""
    caller = gateway.caller()
    with client_of(caller, gateway) as client:
        task = new_session(client, 3)
        with pytest.raises(InvalidStatus) as refused:
            client_of(caller, gateway, session=task, seq=4)
        assert refused.value.response.status_code == 416
        query: dict[str, str | int] = {"session": task, "offset": 3 * len(FRAME) + 1}
        answer = caller.http.post("/transcribe/stream", params=query, content=FRAME)
        assert answer.status_code == 416
        assert (answer.json()["detail"]["seq"], answer.json()["detail"]["bytes"]) == (3, 3 * len(FRAME))
        client.send([FRAME] * 2, speed=1000)
        client.until(lambda: client.acked == 5, "it goes on")


def test_the_end_of_an_older_socket_is_not_the_end_of_the_session(gateway: Gateway) -> None:
    """Deepgram's sessions end with their socket, but not where a newer socket has them."""
    caller = gateway.caller()
    address = gateway.url.replace("http", "ws", 1) + f"/v1/listen?encoding=linear16&sample_rate={RATE}"
    headers = {"Authorization": f"Token {caller.key}"}
    with connect(
        address, additional_headers=headers, proxy=None, compression=None, legacy=True, open_timeout=60
    ) as older:
        assert older.response
        task = older.response.headers["dg-request-id"]
        older.send(FRAME)
        eventually(lambda: row(task).seq == 1, "it has arrived")
        with client_of(caller, gateway, session=task) as newer:
            newer.first("hello")
            assert "session_taken" in str(older.recv(60))
            newer.send([FRAME] * 2, speed=1000)
            newer.until(lambda: newer.acked == 3, "the newer one has it")
            assert row(task).end_reason is None


def test_sockets_without_audio_are_counted(gateway: Gateway) -> None:
    """OpenAI's session begins with its first audio. Of a key's sockets that wait for it there are no more than its
    sessions may be; one that goes makes room."""
    caller, other = gateway.caller(), gateway.caller()

    def opened(key: str) -> ClientConnection:
        address = f"{gateway.url.replace('http', 'ws', 1)}/v1/realtime?intent=transcription"
        socket = connect(
            address, additional_headers={"Authorization": f"Bearer {key}"}, proxy=None, legacy=True, open_timeout=60
        )
        assert json.loads(socket.recv(60))["type"] == "session.created"
        return socket

    with ExitStack() as stack:
        first, _ = (stack.enter_context(opened(caller.key)) for _ in range(2))
        with pytest.raises(InvalidStatus) as refused:
            opened(caller.key)
        body = json.loads(refused.value.response.body or b"{}")
        assert (refused.value.response.status_code, body["error"]["code"]) == (429, "too_many_sessions")
        stack.enter_context(opened(other.key))
        first.close()

        def is_open() -> bool:
            with suppress(InvalidStatus):
                stack.enter_context(opened(caller.key))
                return True
            return False

        eventually(is_open, "there is room again")


def test_whoever_takes_long_to_leave_keeps_nobody_else(owner: uuid.UUID) -> None:
    """A session of a revoked key may take seconds to end, while the database is slow. Another key that is revoked
    meanwhile has its sessions ended, too."""
    watch = Watch()

    async def stay(key_id: uuid.UUID, is_told: asyncio.Event, may_leave: asyncio.Event) -> None:
        with pytest.raises(Unauthorized):
            async with watch.until_revoked(key_id):
                try:
                    await asyncio.sleep(10 * PATIENCE_S)
                finally:
                    is_told.set()
                    await may_leave.wait()

    async def both(other: uuid.UUID) -> None:
        notice, other_notice, may_leave = asyncio.Event(), asyncio.Event(), asyncio.Event()
        staying = [
            asyncio.create_task(stay(owner, notice, may_leave)),
            asyncio.create_task(stay(other, other_notice, may_leave)),
        ]
        try:
            async with asyncio.timeout(PATIENCE_S):
                for key_id, is_told in ((owner, notice), (other, other_notice)):
                    await asyncio.sleep(2 * INTERVAL_S)  # and so it is looked again while the first is leaving
                    await asyncio.to_thread(revoke, key_id)
                    await is_told.wait()
        finally:
            may_leave.set()
        await asyncio.gather(*staying)

    with session() as work:
        other, _ = keys.create(work, "other")
    asyncio.run(both(other.id))


def revoke(key_id: uuid.UUID) -> None:
    with session() as work:
        keys.revoke(work, key_id)


def test_a_scheme_of_deepgrams_is_none_of_ours(gateway: Gateway) -> None:
    """`Token` is read at Deepgram's address alone: those who count requests by their key know it there."""
    caller = gateway.caller()
    answer = httpx.post(
        f"{gateway.url}/transcribe/stream", headers={"Authorization": f"Token {caller.key}"}, content=FRAME, timeout=60
    )
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
