"""How it looks and reads: axe-core, light and dark, phones, keyboards, languages from right to left."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from shared.callers import keys
from shared.db import session
from tests.page.recordings import Recordings
from tests.page.screen import Screen
from tests.page.shell.test_list import failed

SIZES = {"phone": (375, 740), "tablet": (820, 1180), "desk": (1440, 900)}
PLACES = ("", "#/recordings?q=nobody", "#/send", "#/usage", "#/receipts", "#/admin/webhooks", "#/admin/deliveries")
OPERATORS = ("#/admin/queue", "#/admin/keys", "#/admin/usage")

MARKUP = "<img src=x onerror=alert(1)></script><script>alert(2)</script>"
NAMES = ("a'b\"c&amp;<b>.wav", "__proto__", "متن \u202egnp.wav", "録音 🎙.wav", f"{MARKUP}.wav", "w" * 200 + ".wav")


@pytest.fixture
def operator() -> str:
    """A key that may do everything."""
    with session() as work:
        return keys.create(work, "operator", ("transcribe", "admin"))[1]


@pytest.mark.parametrize(("scheme", "sizes"), [("light", tuple(SIZES)), ("dark", ("desk",))])
def test_no_screen_has_a_fault_that_axe_finds(
    new_screen: Callable[..., Screen],
    recordings: Recordings,
    operator: str,
    axe: str,
    scheme: str,
    sizes: tuple[str, ...],
) -> None:
    """On a phone, a tablet and a desk, signed in and not, with rows of every kind. Colours are the same on each."""
    recordings.finished("a.wav", "First of A.", "Nobody said that.")
    failed(recordings)
    recordings.caller.http.post("/transcribe", files={"file": ("call.wav", b"y" * 99)})
    recordings.caller.http.post("/webhooks/endpoints", json={"url": "https://hooks.example/parley"})
    violations: dict[str, list[str]] = {}
    for size in sizes:
        width, height = SIZES[size]
        screen = new_screen(color_scheme=scheme, viewport={"width": width, "height": height}, reduced_motion="reduce")
        screen.go("")
        violations[f"{size} signed out"] = screen.violations(axe)
        screen.enter()
        for place in PLACES:
            screen.load(place)
            if place == "#/send":
                screen.page.get_by_text("More options").click()
            violations[f"{size} {place}"] = screen.violations(axe)
        screen.enter(key=operator)
        for place in OPERATORS:
            screen.load(place)
            violations[f"{size} {place}"] = screen.violations(axe)
        screen.page.context.close()
    faults = {where: faults for where, faults in violations.items() if faults}
    assert faults == {}, json.dumps(faults, indent=1)


def test_odd_names_are_shown_as_they_are(new_screen: Callable[..., Screen], recordings: Recordings) -> None:
    """Markup runs nowhere, and a word without end leaves a phone as wide as it is (faults 24 and 25)."""
    for name in NAMES:
        recordings.finished(name, MARKUP)
    names = [item["filename"] for item in recordings.caller.http.get("/history").json()["items"]]
    screen = new_screen(viewport={"width": 375, "height": 740})
    screen.enter()
    for name in names:
        link = screen.page.get_by_role("link", name=" ".join(name.split()), exact=True)
        expect(link).to_be_visible()
        expect(link).to_have_attribute("dir", "auto")
    for place in ("", "#/recordings?q=img", "#/send", "#/usage", "#/receipts", "#/admin/webhooks"):
        screen.load(place)
        assert screen.page.evaluate("document.documentElement.scrollWidth") <= 375, place
    assert screen.dialogs == []


def test_all_can_be_done_with_keys_alone(screen: Screen, recordings: Recordings) -> None:
    """The first stop skips what is on every screen, a new screen has the focus, and so has who was asked before."""
    recordings.finished("a.wav", "First of A.")
    screen.enter()
    expect(screen.row("a.wav")).to_be_visible()
    keyboard = screen.page.keyboard
    keyboard.press("Tab")
    expect(screen.page.get_by_role("link", name="Skip to content")).to_be_focused()
    keyboard.press("Enter")
    expect(screen.page.get_by_role("main")).to_be_focused()
    screen.page.get_by_role("link", name="Usage").press("Enter")
    expect(screen.page.get_by_role("heading", level=1)).to_be_focused()
    expect(screen.page).to_have_title("Usage · Parley")
    screen.page.go_back()
    expect(screen.page).to_have_title("Recordings · Parley")
    expect(screen.page.get_by_role("heading", name="Recordings", level=1)).to_be_focused()
    delete = screen.button("Delete a.wav")
    delete.press("Enter")
    expect(screen.page.get_by_role("dialog")).to_contain_text("Delete “a.wav”?")
    keyboard.press("Escape")
    expect(delete).to_be_focused()


def test_the_page_speaks_other_languages(screen: Screen, recordings: Recordings) -> None:
    """What was chosen holds after a reload; Arabic is written from right to left, and the page with it."""
    recordings.finished("a.wav", "First of A.")
    screen.enter()
    for language, direction, title in (("de", "ltr", "Aufnahmen"), ("ar", "rtl", "التسجيلات")):
        screen.open_settings()
        screen.page.locator("#settings select").first.select_option(language)
        heading = screen.page.get_by_role("heading", level=1)
        expect(heading).to_have_text(title)
        screen.page.reload()
        expect(heading).to_have_text(title)
        html = screen.page.locator("html")
        expect(html).to_have_attribute("lang", language)
        expect(html).to_have_attribute("dir", direction)
    name, state = screen.row("a.wav").get_by_role("link"), screen.row("a.wav").locator(".badge")
    assert screen.box(name.first)["x"] > screen.box(state)["x"]


def test_the_browser_says_which_language(new_screen: Callable[..., Screen]) -> None:
    """As long as nobody has chosen another."""
    screen = new_screen(locale="fr-CA")
    screen.go("")
    expect(screen.page.get_by_role("heading", level=1)).to_have_text("Se connecter à Parley")
    expect(screen.page.locator("html")).to_have_attribute("lang", "fr")


def test_light_and_dark_can_be_chosen(screen: Screen) -> None:
    """Against what the system says, and for good."""
    screen.enter()
    colour = "getComputedStyle(document.body).backgroundColor"
    before = screen.page.evaluate(colour)
    screen.open_settings()
    screen.page.get_by_label("Appearance").select_option("Dark")
    screen.until(f"{colour} !== '{before}'")
    screen.page.reload()
    expect(screen.page.get_by_role("heading", level=1)).to_be_visible()
    screen.until(f"{colour} !== '{before}'")
