"""A transcript as a person reads, plays and corrects it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from playwright.sync_api import Locator, Page, expect

from tests.page.screen import Screen


@dataclass(frozen=True)
class Paper:
    """The screen of one recording, in a tab."""

    screen: Screen

    @property
    def page(self) -> Page:
        return self.screen.page

    def open(self, task: uuid.UUID, query: str = "") -> None:
        """The transcript of a task, once its first sentence is there."""
        self.screen.go(f"#/transcript/{task}{query}")
        expect(self.page.locator(".reader .segment").first).to_be_visible()

    def sentence(self, number: int) -> Locator:
        return self.page.locator(f"#segment-{number}")

    def sees(self, *texts: str) -> None:
        """The transcript that is shown says this and no more."""
        expect(self.page.locator(".reader .segment")).to_have_text(list(texts))

    def field(self) -> Locator:
        """The sentence that is being edited."""
        return self.page.locator(".reader textarea")

    def type_into(self, number: int, text: str) -> None:
        """Put `text` in place of a sentence, key by key, and stay in it."""
        self.sentence(number).dblclick()
        expect(self.field()).to_be_focused()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.type(text)

    def correct(self, number: int, text: str) -> None:
        self.type_into(number, text)
        self.page.keyboard.press("Enter")

    def has_saved(self) -> None:
        expect(self.page.get_by_text("All changes are saved.")).to_be_visible()

    def who(self) -> Locator:
        """The names above the turns."""
        return self.page.locator(".reader .who")

    def panel(self, name: str) -> Locator:
        """A card beside the transcript."""
        return self.page.locator(".side details").filter(has=self.page.get_by_role("heading", name=name))

    def button(self, name: str) -> Locator:
        return self.screen.button(name)
