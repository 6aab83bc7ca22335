"""docs/clients.md is what the tests of clients know, and each of these can be traced to its source."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from scripts.bootstrap import included
from scripts.supply.lock import LOCKS, parse
from tests.clients import lock, page
from tests.clients.answers import KINDS
from tests.clients.written import Client, clients

ROOT = Path(__file__).parents[3]


def test_the_page_is_what_the_tests_try() -> None:
    """A client, request or version that changes shows on the page."""
    text = page.PAGE.read_text()
    assert text == page.with_table(text), "run: python -m tests.clients.page"


def test_the_page_can_be_found() -> None:
    """README.md and docs/contracts.md lead to it."""
    assert "(docs/clients.md)" in (ROOT / "README.md").read_text()
    assert "(clients.md)" in (ROOT / "docs" / "contracts.md").read_text()


@pytest.mark.parametrize("client", clients(), ids=lambda client: client.name)
def test_a_client_is_described_in_full(client: Client) -> None:
    """A version, at most three lines of set-up, and either its own code or requests with a place in its source."""
    assert client.version and 1 <= len(client.setup) <= 3
    assert bool(client.package) != bool(client.requests)
    if client.package:
        assert client.works
        return
    assert re.fullmatch(r"[\w.-]+/[\w.-]+|(npm|pypi):\S+", client.repository)
    assert ":" in client.repository or re.fullmatch(r"[0-9a-f]{12}", client.commit)
    for request in client.requests:
        assert request.reads and request.file
        kinds = {kind.removesuffix(" or null") for kind in request.reads.values() if not kind.startswith("=")}
        assert kinds <= KINDS.keys()
        # what is refused is refused by name
        assert request.status == 200 or any("param" in path for path in request.reads)


def test_packages_are_pinned_by_their_locks() -> None:
    """Each has the version of its input, and a hash; none of Python's repeats what the dev locks have."""
    dependencies = json.loads((lock.PACKAGES / "package.json").read_text())["dependencies"]
    locked = json.loads((lock.PACKAGES / "package-lock.json").read_text())["packages"]
    assert locked.pop("")["dependencies"] == dependencies
    assert {name: locked[f"node_modules/{name}"]["version"] for name in dependencies} == dependencies
    assert [name for name, entry in locked.items() if not entry.get("integrity", "").startswith("sha512-")] == []
    entries = {entry.name: entry for entry in parse(lock.LOCK.read_text())}
    for line in lock.INPUT.read_text().splitlines():
        name, _, version = line.partition("==")
        assert entries[name].version == version
    assert all(entry.hashes for entry in entries.values())
    texts = [(LOCKS / f"{name}.txt").read_text() for name in included("dev") if (LOCKS / f"{name}.txt").exists()]
    dev = {(entry.name, entry.version) for text in texts for entry in parse(text)}
    assert dev & {(entry.name, entry.version) for entry in entries.values()} == set()
