"""The screen that records, for axe-core, for keys, and in other languages."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import expect

from tests.page.screen import Screen


def test_no_state_of_it_has_a_fault_that_axe_finds(new_screen: Callable[..., Screen], axe: str) -> None:
    """Idle, recording and paused; light on a desk, dark on a phone, Arabic from right to left."""
    violations: dict[str, list[str]] = {}
    for scheme, width, language in (("light", 1280, "en"), ("dark", 375, "ar")):
        screen = new_screen(
            color_scheme=scheme, viewport={"width": width, "height": 800}, locale=language, reduced_motion="reduce"
        )
        screen.enter("#/live")
        violations[f"{scheme} idle"] = screen.violations(axe)
        button = screen.page.locator("main button")
        button.first.click()
        expect(button).to_have_count(2)
        screen.until("document.querySelector('[role=timer]').textContent >= '0:01'")
        violations[f"{scheme} recording"] = screen.violations(axe)
        button.first.click()
        violations[f"{scheme} paused"] = screen.violations(axe)
        assert screen.page.evaluate("document.documentElement.scrollWidth") <= width
        button.last.click()
        screen.until("location.hash.startsWith('#/transcript/')")
        screen.page.context.close()
    assert {state: faults for state, faults in violations.items() if faults} == {}


def test_keys_are_enough(screen: Screen) -> None:
    """The focus stays on the button that starts, pauses and resumes; at the end it is on the transcript's title."""
    screen.enter("#/live")
    keyboard, focus = screen.page.keyboard, screen.page.locator(":focus")
    screen.page.get_by_label("Identify speakers").focus()
    keyboard.press("Tab")
    for name in ("Start recording", "Pause", "Resume"):
        expect(focus).to_have_text(name)
        keyboard.press("Enter")
    expect(focus).to_have_text("Pause")
    keyboard.press("Tab")
    expect(focus).to_have_text("Stop")
    keyboard.press("Enter")
    screen.until("location.hash.startsWith('#/transcript/')")
    expect(screen.page.get_by_role("heading", level=1)).to_be_focused()
