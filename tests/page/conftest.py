"""Debian's Chromium before a real gateway. What the workers do is done by the tests, when they say so."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright

from scripts.local.stack import Stack
from scripts.page import check
from shared.config import Settings
from shared.storage import storage_of
from tests.page.recordings import Recordings, noise
from tests.page.screen import PATIENCE_MS, Screen
from tests.programs import program
from tests.service.gateway import Gateway, gateway_on

FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """Ends with each file: beside playwright's event loop the tests of other folders could not have their own."""
    flags = [
        *FLAGS,
        *(["--no-sandbox"] if os.geteuid() == 0 else []),
    ]  # Chromium's sandbox wants another user than root
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=flags, timeout=PATIENCE_MS)
        yield running
        running.close()


@pytest.fixture(scope="session")
def chromium() -> str:
    """Its path. Without it no server starts."""
    return program("chromium")


@pytest.fixture(scope="session")
def gateway(
    chromium: str, servers: Stack, environment: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    with gateway_on(servers, tmp_path_factory.mktemp("gateway"), storage_of(environment)) as running:
        yield running


@pytest.fixture
def recordings(gateway: Gateway) -> Iterator[Recordings]:
    """Those of a key that has none yet."""
    caller = gateway.caller()
    with caller.http:
        yield Recordings(caller, gateway.storage)


@pytest.fixture(scope="session")
def axe() -> str:
    """The script of axe-core, of the page's own locked packages."""
    program("npm")
    check.install()
    return (check.WEB / "node_modules/axe-core/axe.min.js").read_text()


def is_refused(line: str) -> bool:
    """Whether the console says that the policy kept something of the page's own from working.

    What the browser itself drags from one place to another it brings in a style, which the policy refuses.
    """
    return "Content Security Policy" in line and "inline style" not in line


@pytest.fixture
def new_screen(browser: Browser, gateway: Gateway, recordings: Recordings) -> Iterator[Callable[..., Screen]]:
    """Tabs of people with the same key. None of them meets an error of the page's own, or of its policy, and none asks
    another server for anything."""
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    def is_own(url: str) -> bool:
        return url.startswith((gateway.url + "/", "data:", "blob:", "about:"))

    def make(**options: object) -> Screen:
        contexts.append(browser.new_context(**options))  # type: ignore[arg-type]
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda line: faults.append(line.text) if is_refused(line.text) else None)
        page.on("request", lambda request: None if is_own(request.url) else faults.append(request.url))
        return Screen(page, gateway.url, recordings)

    yield make
    for context in contexts:
        context.close()
    assert not faults


@pytest.fixture
def screen(new_screen: Callable[..., Screen]) -> Screen:
    """A tab. It is not entered yet, so that a test can make recordings first."""
    return new_screen()


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Half a second of noise, which nobody sent before."""
    return noise(tmp_path / "meeting.wav")
