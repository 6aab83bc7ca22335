"""Sessions: a cookie stands for a key, for no other site, and no longer than the key."""

from __future__ import annotations

from collections.abc import Iterator
from http.cookies import Morsel, SimpleCookie
from typing import Any

import httpx
import pytest
from sqlalchemy import func, update
from starlette.requests import HTTPConnection

from api.auth import key_of
from shared.callers import browser_sessions, keys
from shared.db import session
from shared.errors import CsrfFailed
from shared.models import BrowserSession
from tests.service.gateway import PATIENCE_S, Caller, Gateway

NAME = "parley_session"
TOKEN = "~" + "a" * 43


@pytest.fixture
def browser(gateway: Gateway, caller: Caller) -> Iterator[httpx.Client]:
    """A client that has signed in, holds the cookie and knows no key."""
    with httpx.Client(base_url=gateway.url, timeout=PATIENCE_S) as client:
        client.cookies = caller.http.post("/session").cookies
        yield client


def csrf(client: httpx.Client) -> dict[str, str]:
    return {"X-CSRF-Token": client.get("/session").json()["csrf_token"]}


def cookie(answer: httpx.Response) -> Morsel[str]:
    return SimpleCookie(answer.headers["set-cookie"])[NAME]


def test_the_cookie_is_for_no_script_and_no_other_site(caller: Caller) -> None:
    """HttpOnly, SameSite=Strict, for half a day, and Secure where the browser speaks TLS."""
    answer = caller.http.post("/session")
    assert (answer.status_code, answer.json()["name"], answer.json()["scopes"]) == (201, "test", ["transcribe"])
    morsel = cookie(answer)
    assert (morsel["httponly"], morsel["samesite"], morsel["path"], morsel["secure"]) == (True, "strict", "/", "")
    assert 12 * 3600 - 60 < int(morsel["max-age"]) <= 12 * 3600
    for proto in ("https", "HTTPS, http"):
        assert cookie(caller.http.post("/session", headers={"X-Forwarded-Proto": proto}))["secure"] is True
    assert morsel.value not in answer.text
    assert caller.key not in answer.text


def test_reading_takes_the_cookie_and_changing_the_header_too(caller: Caller, browser: httpx.Client) -> None:
    """Calls of every kind work with both; a call that changes something and lacks the header does nothing."""
    task = caller.task()
    for path in (f"/status/{task}", f"/tasks/{task}", "/history", "/usage", f"/tasks/{task}/audio?original=true"):
        assert browser.get(path).status_code == 200
    calls = (("POST", f"/tasks/{task}/cancel"), ("PATCH", f"/tasks/{task}"), ("DELETE", f"/tasks/{task}"))
    without: tuple[Any, ...] = ({}, {"X-CSRF-Token": "0" * 64}, {"X-CSRF-Token": b"\xe9\xff"})
    for headers in without:
        for method, path in (*calls, ("POST", "/transcribe"), ("POST", "/session"), ("DELETE", "/session")):
            answer = browser.request(method, path, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (403, "csrf_failed"), path
    assert caller.status(task) == "queued"
    files = {"file": ("call.wav", b"from a browser")}
    assert browser.post("/transcribe", files=files, headers=csrf(browser)).status_code == 202
    assert browser.delete(f"/tasks/{task}", headers=csrf(browser)).status_code == 200


def test_a_session_has_the_scopes_of_its_key(gateway: Gateway, browser: httpx.Client) -> None:
    """That of an ordinary key is refused what only an administrator may; an administrator's is not."""
    assert browser.get("/admin/keys").status_code == 403
    admin = gateway.caller("admin")
    with httpx.Client(base_url=gateway.url, cookies=admin.http.post("/session").cookies, timeout=30) as client:
        assert client.get("/admin/queue").status_code == 200
        assert client.get("/history").status_code == 403


def test_the_token_is_no_key(gateway: Gateway, browser: httpx.Client) -> None:
    """In a header of keys it is refused, also beside its cookie; and a wrong key is not made up for by the cookie."""
    token = browser.cookies[NAME]
    for headers in ({"Authorization": f"Bearer {token}"}, {"X-API-Key": token}, {"X-API-Key": "wrong"}):
        assert httpx.get(f"{gateway.url}/history", headers=headers, timeout=30).status_code == 401
        assert browser.get("/history", headers=headers).status_code == 401
    with httpx.Client(base_url=gateway.url, cookies={NAME: TOKEN}, timeout=30) as stranger:
        assert stranger.get("/history").status_code == 401


def test_a_session_is_rotated(gateway: Gateway, browser: httpx.Client) -> None:
    """It gets another cookie and token. The one before serves requests on their way, and cannot be rotated again."""
    old, headers = browser.cookies[NAME], csrf(browser)
    answer = browser.post("/session", headers=headers)
    assert (answer.status_code, browser.cookies[NAME] != old) == (201, True)
    assert csrf(browser) == {"X-CSRF-Token": answer.json()["csrf_token"]} != headers
    with httpx.Client(base_url=gateway.url, cookies={NAME: old}, timeout=30) as late:
        assert late.get("/history").status_code == 200
        assert late.post("/session", headers=headers).status_code == 401
    end_of(old)
    with httpx.Client(base_url=gateway.url, cookies={NAME: old}, timeout=30) as late:
        assert late.get("/history").status_code == 401
    assert browser.get("/history").status_code == 200


def test_signing_out_ends_it(gateway: Gateway, browser: httpx.Client) -> None:
    """Also under the cookie that it had before; the browser is told to forget it. Another session stays."""
    old = browser.cookies[NAME]
    browser.post("/session", headers=csrf(browser)).raise_for_status()
    new = browser.cookies[NAME]
    answer = browser.delete("/session", headers=csrf(browser))
    assert (answer.status_code, cookie(answer)["max-age"]) == (204, "0")
    for token in (old, new):
        with httpx.Client(base_url=gateway.url, cookies={NAME: token}, timeout=30) as client:
            assert client.get("/history").status_code == 401


def test_it_ends_with_its_key(gateway: Gateway, caller: Caller, browser: httpx.Client) -> None:
    """A revoked key has no sessions."""
    assert browser.get("/history").status_code == 200
    gateway.caller("admin").http.delete(f"/admin/keys/{caller.id}").raise_for_status()
    assert browser.get("/history").status_code == 401
    assert browser.get("/session").status_code == 401


def test_it_ends_by_itself_and_is_forgotten(gateway: Gateway, browser: httpx.Client) -> None:
    """When its time is over it is invalid, and the sweep removes its row."""
    end_of(browser.cookies[NAME])
    assert browser.get("/history").status_code == 401
    gateway.caller("admin").http.post("/jobs/repair").raise_for_status()
    with session() as work:
        assert work.get(BrowserSession, keys.digest(browser.cookies[NAME])) is None


def test_a_key_has_a_bounded_number_of_them(gateway: Gateway, caller: Caller, browser: httpx.Client) -> None:
    """One more than that ends the oldest."""
    for _ in range(browser_sessions.MOST):
        with session() as work:
            newest, _row = browser_sessions.begin(work, caller.id)
    assert browser.get("/history").status_code == 401
    with httpx.Client(base_url=gateway.url, cookies={NAME: newest}, timeout=30) as client:
        assert client.get("/history").status_code == 200


def test_sessions_count_as_requests_of_their_key(gateway: Gateway) -> None:
    """A key's limit of requests holds for its sessions, and for signing in."""
    caller = gateway.limited(requests_per_minute=2)
    with httpx.Client(base_url=gateway.url, cookies=caller.http.post("/session").cookies, timeout=30) as client:
        assert client.get("/history").status_code == 200
        assert client.get("/history").status_code == 429


@pytest.mark.parametrize(("origin", "is_ours"), [("http://here:80", True), ("http://there:80", False), ("", False)])
def test_sockets_are_opened_by_our_own_pages_alone(origin: str, is_ours: bool) -> None:
    """A WebSocket takes the cookie only from a page of the gateway's own origin, as every page may open one."""
    headers = {"host": "here:80", "cookie": f"{NAME}={TOKEN}", **({"origin": origin} if origin else {})}
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    connection = HTTPConnection({"type": "websocket", "headers": encoded})
    if is_ours:
        assert key_of(connection) == TOKEN
    else:
        with pytest.raises(CsrfFailed):
            key_of(connection)


def end_of(token: str) -> None:
    """Its time is over."""
    with session() as work:
        this = update(BrowserSession).where(BrowserSession.digest == keys.digest(token))
        work.execute(this.values(expires_at=func.now()))
