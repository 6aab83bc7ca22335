"""Limits on a gateway of several processes: they hold for all together, whichever process a request comes to."""

from __future__ import annotations

import contextlib
import socket
from collections import Counter
from collections.abc import Iterator

import httpx
import psutil
import pytest

from scripts.local.stack import Stack
from shared.config import Settings
from shared.storage import storage_of
from tests.service.api.test_transfers import Sender
from tests.service.gateway import MULTIPART, PATIENCE_S, Caller, Gateway, eventually, gateway_on

PROCESSES = 3
MOST_TRANSFERS = 2
PER_MINUTE = 10
REQUESTS = 36
LENGTH = 1_000_000


@pytest.fixture(scope="module")
def gateway(servers: Stack, environment: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    settings = {"API_PROCESSES": str(PROCESSES), "MAX_TRANSFERS": str(MOST_TRANSFERS)}
    with gateway_on(servers, tmp_path_factory.mktemp("gateway"), storage_of(environment), **settings) as running:
        eventually(lambda: len(children(running)) == PROCESSES, "all processes are there")
        yield running


def children(gateway: Gateway) -> list[psutil.Process]:
    """The processes that serve."""
    first = gateway.stack.pid("api")
    assert first is not None
    return list[psutil.Process](psutil.Process(first).children())


def test_requests_are_counted_for_all(gateway: Gateway) -> None:
    """Of 36 requests on connections of their own ten are let in, as many as the key may send in a minute."""
    caller = gateway.limited(requests_per_minute=PER_MINUTE)
    headers = {"Authorization": f"Bearer {caller.key}"}
    answers = Counter(
        httpx.get(f"{gateway.url}/models", headers=headers, timeout=PATIENCE_S).status_code for _ in range(REQUESTS)
    )
    assert answers.keys() == {200, 429}
    assert answers[200] in (PER_MINUTE, PER_MINUTE + 1)  # the window slides meanwhile


def senders(gateway: Gateway, caller: Caller, stack: contextlib.ExitStack) -> list[Sender]:
    """Uploads that have begun, on connections of their own."""
    uploads = [Sender(gateway, caller, "POST", "/transcribe", MULTIPART, LENGTH) for _ in range(REQUESTS)]
    for sender in uploads:
        stack.callback(sender.socket.close)
    return uploads


def refused(sender: Sender) -> bool:
    """Whether it was answered already; one that was let in waits for its body."""
    sender.socket.settimeout(0.01)
    try:
        return sender.socket.recv(100, socket.MSG_PEEK).startswith(b"HTTP/1.1 429")
    except TimeoutError:
        return False


def test_transfers_are_counted_for_all(gateway: Gateway) -> None:
    """Of 36 uploads that begin two are let in, as many as a key may send at once; what killed processes held is free
    again once others have taken their places."""
    caller = gateway.caller()
    with contextlib.ExitStack() as stack:
        uploads = senders(gateway, caller, stack)
        eventually(lambda: sum(map(refused, uploads)) == REQUESTS - MOST_TRANSFERS, "all but two were refused")
        before = children(gateway)
        for process in before:
            process.kill()
        eventually(lambda: len(after(gateway, before)) == PROCESSES, "other processes are there")
    with contextlib.ExitStack() as stack:
        eventually(lambda: is_up(gateway), "they answer")
        uploads = senders(gateway, caller, stack)
        eventually(lambda: sum(map(refused, uploads)) == REQUESTS - MOST_TRANSFERS, "again all but two were refused")


def after(gateway: Gateway, before: list[psutil.Process]) -> list[psutil.Process]:
    return [process for process in children(gateway) if process not in before]


def is_up(gateway: Gateway) -> bool:
    """Each of the processes listens."""
    return all(
        any(one.status == psutil.CONN_LISTEN for one in process.net_connections("tcp")) for process in children(gateway)
    )
