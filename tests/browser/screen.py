"""The page as a person sees it and works with it, and a network between page and server that can be slow or broken."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Dialog, FloatRect, Locator, Page, Request, Route, expect

from tests.browser.recordings import Recordings

PATIENCE_MS = 120_000
SAVES = "**/tasks/*"


class Screen:
    """One tab with the page. `dialogs` are the questions that it asked, which are answered with `answer_is_yes`."""

    def __init__(self, page: Page, url: str, recordings: Recordings) -> None:
        self.page, self.url, self.recordings = page, url, recordings
        self.dialogs: list[str] = []
        self.answer_is_yes = True
        page.on("dialog", self._answer)

    def _answer(self, dialog: Dialog) -> None:
        self.dialogs.append(dialog.message if dialog.type != "beforeunload" else "beforeunload")
        if self.answer_is_yes:
            dialog.accept()
        else:
            dialog.dismiss()

    def enter(self) -> None:
        """Open the page and type the key."""
        self.page.goto(self.url)
        self.page.get_by_label("API key").fill(self.recordings.caller.key)
        self.page.get_by_label("API key").press("Tab")
        expect(self.page.locator("#archive")).to_be_visible()

    # ---- a transcript

    def open(self, name: str, first: str) -> None:
        """Open an earlier recording, whose first sentence is `first`."""
        self.entry(name).click()
        expect(self.sentence(0)).to_have_text(first)

    def entry(self, name: str) -> Locator:
        """The button of an earlier recording."""
        return self.page.locator("#history").get_by_role("button", name=name, exact=True)

    def sentence(self, number: int) -> Locator:
        return self.page.locator("#transcript .said").nth(number)

    def type_into(self, number: int, text: str) -> None:
        """Put `text` in place of a sentence, key by key, and stay in it."""
        self.sentence(number).click()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.type(text)

    def correct(self, number: int, text: str) -> None:
        self.type_into(number, text)
        self.page.keyboard.press("Enter")

    def rename(self, name: str, other: str) -> None:
        """Give the first voice of this name another one."""
        self.page.locator("#transcript").get_by_role("button", name=name, exact=True).first.click()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.type(other)
        self.page.keyboard.press("Enter")

    def sees(self, *texts: str) -> None:
        """The transcript that is shown says this and no more."""
        expect(self.page.locator("#transcript .said")).to_have_text(list(texts))

    # ---- what the page says

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def says(self, text: str) -> None:
        """Somewhere outside transcript and history."""
        expect(self.page.locator(".news")).to_contain_text(text)

    def has_saved(self) -> None:
        expect(self.page.locator("#message")).to_have_text("Saved.")

    def send(self, path: Path) -> uuid.UUID:
        """Send a recording with the form. Its task."""
        before = self.recordings.caller.newest()
        self.page.get_by_label("Recording", exact=True).set_input_files(path)
        self.button("Transcribe").click()
        return self.recordings.newer_than(before)

    def top(self, place: Locator) -> float:
        """How far below the window's upper edge it stands."""
        return self.box(place)["y"]

    def box(self, place: Locator) -> FloatRect:
        box = place.bounding_box()
        assert box
        return box

    # ---- the network

    @contextmanager
    def slow_saves(self) -> Iterator[Network]:
        """Corrections wait on their way to the server until they are let through, those that are left at the end."""
        network = Network(self.page)
        self.page.route(SAVES, network.hold)
        try:
            yield network
        finally:
            network.let_all_through()
            self.page.unroute(SAVES, network.hold)

    @contextmanager
    def broken_saves(self) -> Iterator[None]:
        """Corrections get lost on their way to the server."""

        def lose(route: Route) -> None:
            if route.request.method == "PATCH":
                route.abort("connectionfailed")
            else:
                route.continue_()

        self.page.route(SAVES, lose)
        try:
            yield
        finally:
            self.page.unroute(SAVES, lose)


class Network:
    """Corrections that are on their way."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.is_slow = True
        self.held: list[Route] = []
        self.seen: list[Request] = []

    def hold(self, route: Route) -> None:
        if route.request.method != "PATCH" or not self.is_slow:
            route.continue_()
            return
        self.held.append(route)
        self.seen.append(route.request)

    def holds(self, count: int) -> None:
        """Waits until so many have come by."""
        for _ in range(PATIENCE_MS // 50):
            if len(self.seen) >= count:
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"{len(self.seen)} corrections were sent, not {count}")

    def let_through(self) -> None:
        """The one that has waited longest."""
        self.held.pop(0).continue_()

    def let_all_through(self) -> None:
        """All that wait, and all that come by later."""
        self.is_slow = False
        while self.held:
            self.let_through()
