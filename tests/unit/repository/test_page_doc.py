"""docs/page.md and README show the page as it is: by tests that there are, and by pictures that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs/page.md").read_text())
MOST_BYTES = 150_000


def test_each_cell_of_parley_names_a_test() -> None:
    """In the table beside the peers the last column has a name in every row."""
    section = (ROOT / "docs/page.md").read_text().split("## Beside others\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")][2:]
    assert len(rows) > 10
    assert [row for row in rows if "::test_" not in row.split("|")[-2]] == []


@pytest.mark.parametrize(("path", "name"), NAMED, ids=[name for _, name in NAMED])
def test_the_named_test_is_there(path: str, name: str) -> None:
    assert f"\ndef {name}(" in (ROOT / path).read_text()


def test_the_pictures_are_there_and_small() -> None:
    """Each picture is shown by one of the documents, and is less than 150 kB."""
    pictures = {path.name for path in (ROOT / "docs/pictures").iterdir()}
    names = re.findall(r"\((?:docs/)?pictures/([\w.-]+)\)", (ROOT / "README.md").read_text())
    names += re.findall(r"\(pictures/([\w.-]+)\)", (ROOT / "docs/page.md").read_text())
    assert len(pictures) == 4 and set(names) == pictures
    assert all(path.stat().st_size <= MOST_BYTES for path in (ROOT / "docs/pictures").iterdir())
