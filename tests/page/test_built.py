"""What is committed of the page is what its source makes, and its source is sound."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.page import check
from tests.programs import program


@pytest.fixture(scope="module", autouse=True)
def packages() -> None:
    """Of the lock, so that everybody builds with the same."""
    program("npm")
    check.install()


def test_components_and_units() -> None:
    """Types hold in strict mode, without a warning, and the unit tests pass."""
    check.check_sources()


def test_types_are_those_of_the_api(tmp_path: Path) -> None:
    """A changed call is a changed type in the page."""
    check.check_types(tmp_path)


def test_built_files_are_those_of_the_source(tmp_path: Path) -> None:
    """Nobody who runs Parley needs Node, and nobody has to believe what a committed file does."""
    check.check_built(tmp_path / "built")
