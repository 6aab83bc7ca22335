"""docs/errors.md and shared/errors.py say the same."""

from __future__ import annotations

import re
from pathlib import Path

from shared.errors import ParleyError, catalogue

DOC = Path(__file__).parents[3] / "docs" / "errors.md"


def row(kind: type[ParleyError]) -> tuple[str, str, str, str]:
    meaning = " ".join((kind.__doc__ or "").split())
    return kind.code, str(kind.status), "yes" if kind.retryable else "no", meaning


def test_every_error_is_documented_as_it_is() -> None:
    """The table has each code once, in the order of the source, with its status, its retries and its meaning."""
    cells = [
        re.split(r"\s*\|\s*", line.strip("| \n")) for line in DOC.read_text().splitlines() if line.startswith("| `")
    ]
    documented = [(code.strip("`"), status, retried, meaning) for code, status, retried, meaning in cells]
    assert documented == [row(kind) for kind in catalogue().values()]


def test_codes_are_stable_names() -> None:
    """A code is a lower-case name that belongs to one class, and a status is one that HTTP gives to failures."""
    kinds = ParleyError.__subclasses__()
    assert len(catalogue()) == len(kinds)
    for kind in kinds:
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", kind.code)
        assert 400 <= kind.status < 600
        assert kind.__doc__
