"""An engine for these tests, or one line that says why there is none; REQUIRE_CONTAINERS=1 makes that a failure."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.engine.engine import Engine, running
from tests.engine.folder import WorkFolder
from tests.engine.probe import obstacle


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """An engine without containers."""
    folder = WorkFolder.of_environment()
    if reason := obstacle(folder):
        assert os.environ.get("REQUIRE_CONTAINERS") != "1", reason
        pytest.skip(f"no container engine here: {reason}")
    with running(folder) as started:
        yield started
