"""The page as a person sees it and works with it: signed in, in the list, in dialogs, with files to send."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Dialog, FloatRect, Locator, Page, expect

from tests.page.recordings import Recordings

PATIENCE_MS = 120_000

NEVER_GONE = """() => {
    const later = window.setTimeout;
    window.setTimeout = (work, ms, ...rest) => (ms === 10_000 ? 0 : later.call(window, work, ms, ...rest));
}"""


class Screen:
    """One tab with the page. `dialogs` are the browser's own questions, which are answered with `answer_is_yes`."""

    def __init__(self, page: Page, url: str, recordings: Recordings) -> None:
        self.page, self.url, self.recordings = page, url, recordings
        self.dialogs: list[str] = []
        self.answer_is_yes = True
        page.context.set_default_timeout(PATIENCE_MS)
        page.on("dialog", self._answer)

    def _answer(self, dialog: Dialog) -> None:
        self.dialogs.append(dialog.message if dialog.type != "beforeunload" else "beforeunload")
        if self.answer_is_yes:
            dialog.accept()
        else:
            dialog.dismiss()

    def open_session(self, key: str | None = None) -> None:
        """Sign in by the interface: no page is open yet."""
        headers = {"Authorization": f"Bearer {key or self.recordings.caller.key}"}
        assert self.page.context.request.post(f"{self.url}/session", headers=headers).status == 201

    def enter(self, place: str = "", key: str | None = None) -> None:
        """Open the page at a place such as "#/send", signed in."""
        self.open_session(key)
        self.load(place)

    def load(self, place: str) -> None:
        """The page anew, at a place: nothing of the screen before is left that could be taken for this one."""
        self.page.goto("about:blank")  # another hash alone would load nothing
        self.go(place)
        expect(self.page.get_by_text("Loading…")).to_have_count(0)

    def go(self, place: str) -> None:
        """To another place of the page, whose screen may take a while: until then the one before is there."""
        self.page.goto(f"{self.url}/{place}")
        expect(self.page.get_by_role("heading", level=1).first).to_be_visible()

    def until(self, expression: str) -> None:
        """Until it is true. The page's policy lets nothing be evaluated in it again and again, as playwright would."""
        deadline = time.monotonic() + PATIENCE_MS / 1000
        while not self.page.evaluate(expression):
            assert time.monotonic() < deadline, expression
            self.page.wait_for_timeout(50)

    def eventually(self, condition: Callable[[], bool], what: str) -> None:
        """Until it holds. Meanwhile requests that a test has caught go on: they do only while playwright works."""
        deadline = time.monotonic() + PATIENCE_MS / 1000
        while not condition():
            assert time.monotonic() < deadline, what
            self.page.wait_for_timeout(50)

    def sign_in(self, key: str) -> None:
        """As a person does."""
        self.page.get_by_label("API key").fill(key)
        self.button("Sign in").click()

    def open_settings(self) -> None:
        """Language, appearance, and the way out."""
        self.page.locator("[popovertarget=settings]").click()

    # ---- the list

    def row(self, name: str) -> Locator:
        """A recording of the list."""
        return self.page.locator("[data-task]").filter(has=self.page.get_by_role("link", name=name, exact=True))

    def rows(self) -> Locator:
        return self.page.locator("[data-task]")

    def search(self, words: str) -> None:
        field = self.page.get_by_role("searchbox")
        field.fill(words)
        field.press("Enter")

    # ---- sending

    def choose(self, *paths: Path) -> None:
        """Choose files on the screen that sends."""
        self.page.get_by_label("Choose files").set_input_files(list(paths))

    def send(self, *paths: Path) -> uuid.UUID:
        """Send recordings. The newest task of them."""
        before = self.recordings.caller.newest()
        self.go("#/send")
        self.choose(*paths)
        self.page.get_by_role("button", name="Add ").click()
        return self.recordings.newer_than(before)

    # ---- what the page says and asks

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def says(self, text: str) -> None:
        """In a line over the lower edge."""
        expect(self.page.get_by_role("region", name="News")).to_contain_text(text)

    def keep_lines(self) -> None:
        """What is said from now on stays until the tab is loaded anew: on a slow machine the ten seconds of a line are
        over before the server has answered and its button is clicked."""
        self.page.evaluate(NEVER_GONE)

    def answer(self, button: str, *, says: str = "") -> None:
        """A question of the page, in which `says` stands."""
        question = self.page.get_by_role("dialog")
        expect(question).to_contain_text(says)
        question.get_by_role("button", name=button, exact=True).click()
        expect(question).to_be_hidden()

    def is_asked_when_left(self) -> bool:
        """Whether the browser asks when the tab is left. The person stays then."""
        self.answer_is_yes = False
        self.dialogs.clear()
        loads: list[Page] = []
        self.page.once("load", lambda page: loads.append(page))
        self.page.evaluate("setTimeout(() => location.reload())")
        self.eventually(lambda: bool(self.dialogs or loads), "the tab is left, or the browser asks")
        self.answer_is_yes = True
        return self.dialogs == ["beforeunload"]

    # ---- where things are

    def top(self, place: Locator) -> float:
        """How far below the window's upper edge it stands."""
        return self.box(place)["y"]

    def box(self, place: Locator) -> FloatRect:
        box = place.bounding_box()
        assert box
        return box

    def violations(self, axe: str) -> list[str]:
        """What axe-core finds wrong with what is shown: rules and the elements that break them."""
        self.page.evaluate(axe)
        report: dict[str, Any] = self.page.evaluate("axe.run({ resultTypes: ['violations'] })")
        return [f"{one['id']}: {node['html'][:200]}" for one in report["violations"] for node in one["nodes"]]
