"""Bodies on their way in: slow ones are ended, many of them take neither memory nor connections from other keys."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import time
import uuid
from typing import Any

import httpx
import psutil
import pytest

from shared.config import Settings
from shared.intake.parts import MIN_PART_BYTES
from shared.storage import PART_BYTES, Storage
from tests.service.gateway import (
    BOUNDARY,
    FORM_END,
    MULTIPART,
    NOTHING,
    PATIENCE_S,
    Caller,
    Gateway,
    eventually,
    form_part,
    gateway_with,
)

PATIENCE_OF_GATEWAY_S = 8.0
"""Enough for all that a test does while its bodies stall."""

MIB = 1024**2


gateway = gateway_with(UPLOAD_PATIENCE_S=str(PATIENCE_OF_GATEWAY_S))


class Sender:
    """A request on a bare socket, of which only a beginning is sent."""

    def __init__(self, gateway: Gateway, caller: Caller, method: str, path: str, kind: str, length: int) -> None:
        url = httpx.URL(gateway.url)
        self.socket = socket.create_connection((url.host, url.port or 80), timeout=PATIENCE_S)
        self.socket.sendall(
            f"{method} {path} HTTP/1.1\r\nHost: {url.host}\r\nAuthorization: Bearer {caller.key}\r\n"
            f"Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n".encode()
        )

    def send(self, data: bytes) -> None:
        """As much as the gateway takes: one that has refused hangs up."""
        with contextlib.suppress(OSError):
            self.socket.sendall(data)

    def answer(self) -> tuple[int, str]:
        """Status and all that follows, up to the end of the connection. (0, "") when there was nothing."""
        received = b""
        with contextlib.suppress(ConnectionError):
            while piece := self.socket.recv(65536):
                received += piece
                if b"\r\n\r\n" in received and received.endswith(b"}") and b"connection: close" not in received.lower():
                    break
        return (int(received.split(b" ", 2)[1]), received.decode()) if received else (0, "")

    def close(self) -> None:
        self.socket.close()


def begin(caller: Caller, size: int) -> dict[str, Any]:
    answer = caller.http.post("/uploads", json={"bytes": size, "part_bytes": MIN_PART_BYTES})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def memory(gateway: Gateway) -> int:
    """Resident bytes of the gateway."""
    pid = gateway.stack.pid("api")
    assert pid is not None
    return int(psutil.Process(pid).memory_info().rss)


def connections_to_storage(gateway: Gateway, environment: Settings) -> int:
    pid = gateway.stack.pid("api")
    port = httpx.URL(str(environment.s3_endpoint_url)).port
    connections = psutil.Process(pid).net_connections("tcp")
    return sum(bool(one.raddr) and one.raddr.port == port for one in connections)


# ---- a key that trickles


def test_200_trickling_parts_of_a_key_cost_another_key_nothing(
    gateway: Gateway, caller: Caller, environment: Settings
) -> None:
    """As many as MAX_TRANSFERS wait for their bytes without a connection to S3, the others are 429 at once; another
    key's part is stored meanwhile. Then each is ended with 408, and the key may send again."""
    other = gateway.caller()
    count = 200
    upload, other_upload = begin(caller, count * MIN_PART_BYTES), begin(other, MIN_PART_BYTES)
    before = connections_to_storage(gateway, environment)
    parts = f"/uploads/{upload['upload_id']}/parts"
    senders = [
        Sender(gateway, caller, "PUT", f"{parts}/{number + 1}", "application/octet-stream", MIN_PART_BYTES)
        for number in range(count)
    ]
    try:
        for sender in senders:
            sender.send(b"x")
        part_answer = other.http.put(
            f"/uploads/{other_upload['upload_id']}/parts/1", content=os.urandom(MIN_PART_BYTES), timeout=25
        )
        assert part_answer.status_code == 200, part_answer.text
        assert connections_to_storage(gateway, environment) - before < 30
        answers = [sender.answer() for sender in senders]
    finally:
        for sender in senders:
            sender.close()
    refused = [answer for status, answer in answers if status == 429]
    late = [answer for status, answer in answers if status == 408]
    assert len(late) + len(refused) == count
    assert late
    assert len(refused) > count / 2  # on a slow machine the first of them end before the last have come
    assert all('"too_many_transfers"' in answer and "retry-after: 5\r\n" in answer.lower() for answer in refused)
    assert all('"upload_too_slow"' in answer for answer in late)
    again = caller.http.put(f"{parts}/1", content=os.urandom(MIN_PART_BYTES))
    assert again.status_code == 200, again.text


# ---- every body


def reading_routes(gateway: Gateway) -> list[tuple[str, str, str]]:
    """Method, path and kind of each body, as the OpenAPI document has them."""
    paths = httpx.get(f"{gateway.url}/openapi.json", timeout=30).json()["paths"]
    return [
        (method.upper(), path, kind)
        for path, methods in paths.items()
        for method, call in methods.items()
        for kind in call.get("requestBody", {}).get("content", {})
    ]


def test_every_body_that_stalls_is_ended(gateway: Gateway) -> None:
    """Each call that takes a body answers one that stops with 408, hangs up, and keeps nothing of it."""
    caller = gateway.caller("transcribe", "admin")
    upload, task = begin(caller, MIN_PART_BYTES), caller.task()
    # the sound of a live session may pause for LIVE_IDLE_S
    routes = [route for route in reading_routes(gateway) if route[1] != "/transcribe/stream"]
    assert {kind for _, _, kind in routes} >= {"multipart/form-data", "application/octet-stream", "application/json"}
    ids = {"upload_id": upload["upload_id"], "task_id": str(task), "number": "1"}
    senders = []
    for method, path, kind in routes:
        where = re.sub(r"{(\w+)}", lambda match: ids.get(match[1], str(uuid.uuid4())), path)
        is_form = kind == "multipart/form-data"
        length = MIN_PART_BYTES if kind in ("multipart/form-data", "application/octet-stream") else 1000
        sender = Sender(gateway, caller, method, where, MULTIPART if is_form else kind, length)
        sender.send(f"--{BOUNDARY}\r\n".encode() if is_form else b"{ ")
        senders.append(sender)
    for sender, route in zip(senders, routes, strict=True):
        status, answer = sender.answer()
        sender.close()
        assert status == 408, (route, answer)
        assert "bytes per second" in answer, (route, answer)
        assert "connection: close" in answer.lower(), (route, answer)
    assert caller.http.delete(f"/uploads/{upload['upload_id']}").status_code in (200, 202)
    assert caller.http.delete(f"/tasks/{task}").status_code in (200, 202)
    eventually(lambda: gateway.objects(caller) == set() and gateway.unfinished_uploads(caller) == 0, "nothing is left")


def test_a_body_that_is_slow_but_not_too_slow_is_taken(gateway: Gateway, caller: Caller) -> None:
    """A recording of 14 kB that takes longer than the patience at more than 1 kB/s becomes a task."""
    content = os.urandom(14_000)
    body = form_part("file", content, "a.wav") + FORM_END
    sender = Sender(gateway, caller, "POST", "/transcribe", MULTIPART, len(body))
    pieces, began = 18, time.monotonic()
    for number in range(pieces):
        sender.send(body[number * len(body) // pieces : (number + 1) * len(body) // pieces])
        due = began + (number + 1) * 1.1 * PATIENCE_OF_GATEWAY_S / pieces
        time.sleep(max(0.0, due - time.monotonic()))  # a piece that was late keeps none of the next ones waiting
    status, answer = sender.answer()
    sender.close()
    assert status == 202, answer


def test_a_body_below_1_kb_per_second_is_ended_though_it_never_stops(gateway: Gateway, caller: Caller) -> None:
    """A byte every tenth of a second is not progress."""
    sender = Sender(gateway, caller, "POST", "/transcribe", MULTIPART, MIN_PART_BYTES)
    sender.send(form_part("file", b"", "a.wav")[:-2])
    sender.socket.settimeout(0.1)
    received, began = b"", time.monotonic()
    while not received:
        assert time.monotonic() - began < 10 * PATIENCE_OF_GATEWAY_S
        sender.send(b"x")
        with contextlib.suppress(TimeoutError):
            received = sender.socket.recv(65536)
    sender.close()
    assert received.startswith(b"HTTP/1.1 408 ")
    eventually(lambda: gateway.left_behind(caller) == NOTHING, "nothing is left")


# ---- memory


def test_100_stalled_forms_of_a_key_take_its_share_and_give_it_back(gateway: Gateway, caller: Caller) -> None:
    """The gateway grows by at most a fifth of UPLOAD_MEMORY_BYTES, the rest of them are 429; another key's recording
    is taken meanwhile. When they are gone so is the memory."""
    other = gateway.caller()
    assert other.submit(os.urandom(PART_BYTES + 10)).status_code == 202  # what any upload needs once
    before = memory(gateway)
    part = form_part("file", os.urandom(PART_BYTES - 64 * 1024), "a.wav")[:-2]
    senders, highest = [], 0
    for _ in range(100):
        sender = Sender(gateway, caller, "POST", "/transcribe", MULTIPART, 1024**3)
        sender.send(part)
        senders.append(sender)
        highest = max(highest, memory(gateway) - before)
        if len(senders) == 50:
            assert other.submit(os.urandom(2 * PART_BYTES)).status_code == 202
    for sender in senders:
        sender.close()
    assert highest < 80 * MIB + 24 * MIB, f"{highest / MIB:.0f} MiB"
    eventually(lambda: memory(gateway) - before < 32 * 10**6, "the memory is given back")
    eventually(lambda: gateway.left_behind(caller) == NOTHING, "nothing is left")


@pytest.mark.parametrize("size", [1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 3 * PART_BYTES, 3 * PART_BYTES + 17])
def test_what_is_written_in_any_pieces_is_what_is_stored(bucket: Storage, size: int) -> None:
    """Pieces of any size, also larger than a part, end as one object with their bytes in order."""
    content = os.urandom(size)
    for step in (size, 100_001, PART_BYTES, 2 * PART_BYTES + 5):
        key = f"transfers/{size}-{step}"
        writer = bucket.writer(key)
        for start in range(0, size, step):
            if writer.write(content[start : start + step]):
                writer.flush()
        writer.close()
        assert bucket.get(key) == content
        bucket.delete([key])
