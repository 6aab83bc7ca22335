"""What can be read, and on which screens: contrast in light and dark, and words longer than a phone is wide."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.recordings import Recordings
from tests.browser.screen import Screen

TEXT, SHAPE = 4.5, 3.0
"""The least contrast of text, and of what shows where a field is (WCAG 2.2, 1.4.3 and 1.4.11)."""

PHONE = {"viewport": {"width": 375, "height": 740}}
WORD = "a" * 300

COLOURS = """(node, [pseudo, property]) => {
    const layers = [getComputedStyle(node, pseudo || null)[property]];
    for (let one = property === "color" ? node : node.parentElement; one; one = one.parentElement)
        layers.push(getComputedStyle(one).backgroundColor);
    const probe = document.createElement("i");
    document.body.append(probe);
    probe.style.color = "Canvas";
    layers.push(getComputedStyle(probe).color);
    probe.remove();
    return layers;
}"""
"""A colour and those behind it, from the front to the page's own."""


def rgba(colour: str) -> tuple[float, float, float, float]:
    numbers = [float(one) for one in re.findall(r"[\d.]+", colour)]
    red, green, blue = (one * (255 if colour.startswith("color(") else 1) for one in numbers[:3])
    return red, green, blue, numbers[3] if len(numbers) > 3 else 1.0


def luminance(colour: tuple[float, ...]) -> float:
    parts = [one / 255 for one in colour]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def flattened(layers: list[str]) -> tuple[float, ...]:
    """The colour that is seen where these lie on each other, the first in front."""
    seen: tuple[float, ...] = (0, 0, 0)
    for layer in reversed(layers):
        *front, alpha = rgba(layer)
        seen = tuple(alpha * one + (1 - alpha) * other for one, other in zip(front, seen, strict=True))
    return seen


def contrast(place: Locator, pseudo: str = "", shape: str = "color") -> float:
    """Of a place's text, or of its edge with what is around it."""
    layers: list[str] = place.evaluate(COLOURS, [pseudo, shape])
    front, behind = luminance(flattened(layers)), luminance(flattened(layers[1:]))
    return (max(front, behind) + 0.05) / (min(front, behind) + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_can_be_read(new_screen: Callable[..., Screen], recordings: Recordings, scheme: str) -> None:
    """Errors, hints, facts and what stands in empty fields have a contrast of 4.5, edges of fields one of 3."""
    recordings.finished("a.wav", "First of A.", "Second of A.")
    screen = new_screen(color_scheme=scheme)
    screen.enter()
    screen.open("a.wav", "First of A.")
    with screen.broken_saves():
        screen.correct(0, "Mine.")
        expect(screen.button("Try again")).to_be_visible()
    screen.page.evaluate("document.getElementById('message').className = 'error'")
    seen: dict[str, Any] = {}
    for place in ("#notices .error span", "#message", "#facts", "#hint .muted", "#history .muted", ".turn .muted"):
        seen[place] = contrast(screen.page.locator(place).first)
    for place in ("#key", "#url", "#speakers", "#words"):
        seen[f"{place} placeholder"] = contrast(screen.page.locator(place), "::placeholder")
    assert min(seen.values()) >= TEXT, seen
    edges = {
        place: contrast(screen.page.locator(place), shape="borderTopColor") for place in ("#key", "#url", "#model")
    }
    assert min(edges.values()) >= SHAPE, edges


def test_a_word_without_end_leaves_a_phone_as_wide_as_it_is(
    new_screen: Callable[..., Screen], recordings: Recordings, recording: Path
) -> None:
    """Words, file names and names of speakers of 300 characters break, in every place where they are shown."""
    task = recordings.finished(f"{WORD[:200]}.wav", WORD, "Second of A.", speakers=("spk_1", "spk_2"))
    recordings.correct(task, speakers={"spk_1": WORD[:100]})
    screen = new_screen(**PHONE)
    screen.enter()
    screen.open(f"{WORD[:200]}.wav", WORD)
    recordings.correct(task, segments=[{"id": 1, "text": f"theirs{WORD}"}])
    screen.correct(1, f"mine{WORD}")
    expect(screen.button("Keep yours")).to_be_visible()
    claim = recordings.begin(screen.send(recording.rename(recording.with_name(f"b{WORD[:200]}.wav"))))
    recordings.hear(claim, WORD)
    expect(screen.button("Show text so far")).to_be_visible()
    assert screen.page.evaluate("document.documentElement.scrollWidth") <= PHONE["viewport"]["width"]
    assert screen.page.evaluate("document.querySelector('.news').scrollWidth") <= PHONE["viewport"]["width"]
    recordings.end(claim, WORD)
    expect(screen.button("Open transcript")).to_be_visible()
    assert screen.page.evaluate("document.documentElement.scrollWidth") <= PHONE["viewport"]["width"]


def test_all_of_a_page_can_be_scrolled_out_from_behind_what_it_says(
    new_screen: Callable[..., Screen], recordings: Recordings
) -> None:
    """With many lines over its lower edge, the last line of the page can still be reached."""
    recordings.finished("a.wav", *(f"Sentence {number}." for number in range(12)))
    screen = new_screen(**PHONE)
    screen.enter()
    screen.open("a.wav", "Sentence 0.")
    with screen.broken_saves():
        for number in range(6):
            screen.correct(number, f"Mine {number}.")
        expect(screen.button("Try again")).to_have_count(6)
    screen.page.evaluate("scrollTo(0, document.body.scrollHeight)")
    last = screen.box(screen.page.locator("#history li").last)
    news = screen.box(screen.page.locator(".news"))
    assert last["y"] + last["height"] <= news["y"]
    assert news["height"] <= PHONE["viewport"]["height"] / 2
