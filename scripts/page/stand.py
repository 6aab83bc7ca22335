"""A stack of its own and a browser before it, for those who look at the page: pictures, budgets, a journey."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from scripts.local.apps import API, WORKERS, App
from scripts.local.models import ensure_models
from scripts.local.stack import Stack

PATIENCE_MS = 600_000
"""For speech recognition on a slow machine."""


@contextmanager
def browser() -> Iterator[Browser]:
    """Debian's Chromium. Raises FileNotFoundError."""
    chromium = shutil.which("chromium")
    if chromium is None:
        raise FileNotFoundError("chromium is missing: apt install chromium")
    flags = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium's sandbox wants another user than root
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=["--disable-gpu", *flags])
        yield running
        running.close()


@contextmanager
def stand(home: Path, apps: Iterable[App] = (API, *WORKERS)) -> Iterator[Stack]:
    """A stack in a folder that is empty, with the weights that are installed."""
    environ = {**os.environ, "WHISPER_MODEL": ensure_models(os.environ, print)}
    with Stack(home, apps=tuple(apps), environ=environ, report=print) as stack:
        yield stack


def enter(page: Page, stack: Stack, place: str = "") -> None:
    """Open the page at a place such as "#/send", signed in with the stack's own key."""
    page.set_default_timeout(PATIENCE_MS)
    headers = {"Authorization": f"Bearer {stack.api_key}"}
    answer = page.context.request.post(f"{stack.url}/session", headers=headers)
    if not answer.ok:
        raise RuntimeError(f"POST /session: {answer.status} {answer.text()}")
    page.goto("about:blank")  # another hash alone would load nothing
    page.goto(f"{stack.url}/{place}")
