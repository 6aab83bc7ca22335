"""/ws/stream from a browser: a session's cookie opens it for pages of the server alone, and while the session lasts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from tests.service.gateway import PATIENCE_S, Caller, Gateway, live_worker

FOREIGN = ("http://evil.example", "http://127.0.0.1:1", "https://127.0.0.1", "null", None)


@pytest.fixture
def caller(gateway: Gateway) -> Iterator[Caller]:
    new_caller = gateway.caller()
    with new_caller.http:
        yield new_caller


@pytest.fixture
def listener(gateway: Gateway) -> Iterator[None]:
    """A live worker, for whoever looks whether there is one."""
    with live_worker():
        yield


@pytest.fixture
def browser(gateway: Gateway, caller: Caller) -> Iterator[httpx.Client]:
    """Signed in; it knows no key."""
    with httpx.Client(base_url=gateway.url, timeout=PATIENCE_S) as client:
        client.cookies = caller.http.post("/session").cookies
        yield client


def opened(
    gateway: Gateway, browser: httpx.Client, origin: str | None, key: str = "", headers: dict[str, str] | None = None
) -> ClientConnection:
    """As a browser opens it for a page of `origin`, which may have a key besides."""
    cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    return connect(
        gateway.url.replace("http", "ws", 1) + "/ws/stream",
        additional_headers={"Cookie": cookies, **(headers or {})},
        origin=Origin(origin) if origin else None,
        subprotocols=[Subprotocol("parley.live"), Subprotocol(f"parley.key.{key}")] if key else None,
        proxy=None,
        legacy=True,
    )


def next_message(socket: ClientConnection) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(socket.recv(PATIENCE_S))
    return message


def test_a_page_of_the_server_needs_no_key(gateway: Gateway, listener: None, browser: httpx.Client) -> None:
    """What it says is stored under the key that its cookie stands for."""
    with opened(gateway, browser, gateway.url) as socket:
        task = next_message(socket)["task_id"]
        socket.send(bytes(8000))
        assert next_message(socket) == {"type": "ack", "seq": 1, "bytes": 8000}
        assert browser.get(f"/status/{task}").json()["status"] == "live"


@pytest.mark.parametrize("origin", FOREIGN)
def test_pages_of_others_are_refused(
    gateway: Gateway, listener: None, browser: httpx.Client, origin: str | None
) -> None:
    """Before anything is begun: every page can have a browser open a socket, and some have its cookie sent with it."""
    with pytest.raises(InvalidStatus) as refused:
        opened(gateway, browser, origin)
    body = json.loads(refused.value.response.body)
    assert (refused.value.response.status_code, body["code"]) == (403, "csrf_failed")
    assert browser.get("/history").json()["items"] == []


def test_behind_tls_a_page_without_is_refused(gateway: Gateway, listener: None, browser: httpx.Client) -> None:
    """It may have been written by whoever is on the network."""
    encrypted = {"X-Forwarded-Proto": "https"}
    with pytest.raises(InvalidStatus):
        opened(gateway, browser, gateway.url, headers=encrypted)
    with opened(gateway, browser, gateway.url.replace("http", "https", 1), headers=encrypted) as socket:
        assert next_message(socket)["type"] == "hello"


def test_a_key_comes_before_the_cookie(gateway: Gateway, listener: None, browser: httpx.Client) -> None:
    """A page that has a key of its own is served with it, wherever it is from and whoever is signed in."""
    other = gateway.caller()
    with other.http, opened(gateway, browser, "http://app.example", other.key) as socket:
        task = next_message(socket)["task_id"]
        assert other.http.get(f"/status/{task}").status_code == 200
        assert browser.get(f"/status/{task}").status_code == 404


def test_a_page_is_told_why_it_is_refused(gateway: Gateway, browser: httpx.Client) -> None:
    """By a message, as a browser tells a page nothing of a handshake that failed."""
    with opened(gateway, browser, gateway.url) as socket:
        problem = next_message(socket)
        assert (problem["code"], problem["detail"]) == ("service_busy", {"retry_after_s": 10})
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(PATIENCE_S)
    assert closed.value.rcvd and closed.value.rcvd.code == 1013


def test_signing_out_closes_it(gateway: Gateway, listener: None, browser: httpx.Client) -> None:
    """Under whichever of its cookies it was opened."""
    with opened(gateway, browser, gateway.url) as socket:
        assert next_message(socket)["type"] == "hello"
        for method in ("POST", "DELETE"):
            headers = {"X-CSRF-Token": browser.get("/session").json()["csrf_token"]}
            browser.request(method, "/session", headers=headers).raise_for_status()
        assert next_message(socket)["code"] == "unauthorized"
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(PATIENCE_S)
    assert closed.value.rcvd and closed.value.rcvd.code == 4401
