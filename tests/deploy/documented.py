"""Commands that the documents tell to type, taken out of them so that tests run the same."""

from __future__ import annotations

import re
from pathlib import Path

DEPLOY = Path(__file__).parents[2] / "docs/deploy.md"
COMPOSE = re.compile(r"docker compose (?:exec|run --rm)(?: -T)? ([\w-]+) (.*)")


def section(document: Path, title: str) -> str:
    """What stands below the heading `title`, up to the next one of its level or above."""
    match = re.search(rf"^(#+) {re.escape(title)}\n(.*?)(?=^#{{1,2}} |\Z)", document.read_text(), re.M | re.S)
    assert match, f"{document.name} has no section {title}"
    return match[2]


def blocks(text: str) -> list[list[str]]:
    """The code blocks of a text, each as its lines."""
    return [block.strip().splitlines() for block in re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S)]


def spans(text: str, word: str) -> list[str]:
    """Code within the lines of a text that has `word` in it."""
    return [span for span in re.findall(r"`([^`\n]+)`", text) if word in span]


def ways_out() -> dict[str, bool]:
    """Whether a service has a way out of its network, as the table of deploy.md says it."""
    rows = re.findall(r"^\| ([a-z, -]+) \| [^|]+ \| ([^|]+) \|$", section(DEPLOY, "What runs"), re.M)
    return {name: "yes" in way for names, way in rows for name in names.split(", ") if names != "service"}


def inside(command: str) -> tuple[str, str]:
    """A command of compose as the name of its service and what is run there, redirections included."""
    match = COMPOSE.fullmatch(command)
    assert match, command
    return match[1], match[2]
