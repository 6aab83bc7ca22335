"""How long the page takes on this machine, by its own clock.

python -m scripts.page.budgets      # a gateway of its own, a thousand recordings, Chromium: a minute
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import httpx
from playwright.sync_api import Page, expect

from scripts.local.apps import API
from scripts.local.stack import Stack
from scripts.page.stand import browser, enter, stand

ROWS = 1000
PART = 100
LARGEST_PAINT = """() => new Promise((resolve) => {
    const tell = (entries) => resolve(entries.getEntries().at(-1).startTime);
    new PerformanceObserver(tell).observe({ type: "largest-contentful-paint", buffered: true });
})"""
LONGEST_TASK = """async (count) => {
    const list = document.querySelector(".rows");
    let longest = 0;
    new PerformanceObserver((entries) => {
        for (const { duration } of entries.getEntries()) longest = Math.max(longest, duration);
    }).observe({ type: "longtask" });
    while (list.children.length < count) {
        scrollTo(0, document.body.scrollHeight);
        await new Promise((resolve) => setTimeout(resolve, 100));
    }
    return longest;
}"""


def submit(stack: Stack) -> None:
    """A thousand recordings that wait."""
    headers = {"Authorization": f"Bearer {stack.api_key}"}
    with httpx.Client(base_url=stack.url, headers=headers, timeout=120) as http:
        for start in range(0, ROWS, PART):
            items = [{"url": f"https://media.example/{number}.mp3"} for number in range(start, start + PART)]
            http.post("/transcribe/batch", json={"items": items}).raise_for_status()


def measure(page: Page, stack: Stack) -> list[tuple[str, float, float]]:
    """What, how many milliseconds it took, and how many it may take."""
    enter(page, stack)
    rows = page.locator("[data-task]")
    expect(rows).to_have_count(PART)
    page.reload()
    expect(rows).to_have_count(PART)
    painted: float = page.evaluate(LARGEST_PAINT)
    longest: float = page.evaluate(LONGEST_TASK, ROWS)
    return [
        ("largest paint of the list, loaded again", painted, 1000),
        (f"longest wait while {ROWS} rows come, {PART} at a time", longest, 300),
    ]


def main() -> int:
    """1 where a budget is exceeded."""
    with tempfile.TemporaryDirectory() as folder, stand(Path(folder) / "home", (API,)) as stack, browser() as chromium:
        submit(stack)
        figures = measure(chromium.new_page(), stack)
    for what, spent, most in figures:
        print(f"{what:<60} {spent:6.0f} ms of {most:.0f}")
    return int(any(spent > most for _, spent, most in figures))


if __name__ == "__main__":
    sys.exit(main())
