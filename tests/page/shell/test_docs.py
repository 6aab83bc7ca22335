"""The page, /docs and /redoc in a browser, below a path that a proxy takes away: a real Caddy with `handle_path`."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, Request, expect

from tests.page.recordings import Recordings
from tests.page.screen import PATIENCE_MS, Screen
from tests.service.gateway import PATIENCE_S, Gateway, eventually

CADDY = Path(sys.executable).parent / "caddy"
LOGO = "https://cdn.redoc.ly/redoc/logo-mini.svg"
"""What Redoc would ask for."""


@pytest.fixture(scope="module")
def below(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The gateway's address behind the proxy, without a slash at its end."""
    folder = tmp_path_factory.mktemp("caddy")
    (port,) = gateway.stack.home.ports(("proxy",)).values()  # which nobody is given who asks for any that is free
    (folder / "Caddyfile").write_text(
        f"{{\n\tadmin off\n\tauto_https off\n}}\nhttp://127.0.0.1:{port} {{\n\thandle_path /deep/parley/* {{\n"
        f"\t\treverse_proxy {gateway.url.removeprefix('http://')}\n\t}}\n}}\n"
    )
    process = subprocess.Popen(
        (CADDY, "run", "--config", "Caddyfile", "--adapter", "caddyfile"),
        cwd=folder,
        env={"HOME": str(folder)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=(folder / "log").open("wb"),
    )
    try:
        url = f"http://127.0.0.1:{port}/deep/parley"

        def answers() -> bool:
            assert process.poll() is None, (folder / "log").read_text()
            try:
                return httpx.get(f"{url}/health/live", timeout=PATIENCE_S, trust_env=False).status_code == 200
            except httpx.TransportError:
                return False

        eventually(answers, "the proxy answers")
        yield url
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def page(browser: Browser, below: str) -> Iterator[Page]:
    """A tab that asks nobody but the gateway, gets all that it asks for, and meets no error of a script."""
    with closing(browser.new_context()) as context:
        context.set_default_timeout(PATIENCE_MS)
        tab = context.new_page()
        requests: list[Request] = []
        errors: list[str] = []
        tab.on("request", lambda request: requests.append(request))  # playwright writes into its handler
        tab.on("pageerror", lambda error: errors.append(str(error)))
        yield tab
        requests = [request for request in requests if not request.url.startswith(("data:", "blob:"))]
        own = [request for request in requests if request.url.startswith(below + "/")]
        assert len(own) >= 3
        for request in own:
            answer = request.response()
            assert answer is not None and answer.status == 200, request.url
        # the policy stops a request before it leaves the browser, which says so a little later
        strange = [request for request in requests if request not in own]
        deadline = time.monotonic() + PATIENCE_S
        while not all(request.failure for request in strange):
            assert time.monotonic() < deadline, [request.url for request in strange]
            tab.wait_for_timeout(50)
        assert [(request.url, request.failure) for request in strange] in ([], [(LOGO, "csp")])
        assert errors == []


def test_a_call_can_be_tried_out(page: Page, below: str) -> None:
    """Swagger UI shows the calls, and sends one below the path of the page."""
    page.goto(f"{below}/docs")
    call = page.locator("#operations-health-live_health_live_get, [id^=operations-health-live]").first
    call.locator(".opblock-summary").click()
    call.get_by_role("button", name="Try it out").click()
    with page.expect_response(f"{below}/health/live") as answer:
        call.get_by_role("button", name="Execute").click()
    assert answer.value.json() == {"status": "ok"}


def test_all_calls_can_be_read(page: Page, below: str) -> None:
    """Redoc shows the calls with the address of the server."""
    page.goto(f"{below}/redoc")
    expect(page.get_by_role("heading", name="Transcribe a recording").first).to_be_visible()
    expect(page.get_by_text(f"{below}/transcribe").first).to_be_attached()


def test_the_page_works_there(browser: Browser, below: str, recordings: Recordings) -> None:
    """With the cookie of the proxy's host, a list that follows, screens that come later, and downloads."""
    recordings.finished("a.wav", "First of A.")
    with closing(browser.new_context()) as context:
        screen = Screen(context.new_page(), below, recordings)
        strange: list[str] = []
        screen.page.on("request", lambda one: None if one.url.startswith(below + "/") else strange.append(one.url))
        screen.go("")
        screen.sign_in(recordings.caller.key)
        expect(screen.row("a.wav")).to_be_visible()
        recordings.finished("b.wav", "First of B.")
        expect(screen.row("b.wav")).to_contain_text("Done")
        with screen.page.expect_download() as download:
            screen.page.get_by_role("link", name="Export list (CSV)").click()
        assert "a.wav" in download.value.path().read_text()
        screen.page.get_by_role("link", name="Usage").click()
        expect(screen.page.get_by_text("Minutes per day").first).to_be_visible()
        assert strange == []
