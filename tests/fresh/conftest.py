"""Fresh machines, or one line that says why there are none; REQUIRE_FRESH=1 makes that a failure."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.engine.folder import WorkFolder
from tests.fresh.machine import SUITES, FreshMachine, fresh, obstacle


@pytest.fixture(scope="session")
def folder() -> WorkFolder:
    """Where roots and downloads are kept between runs."""
    place = WorkFolder.of_environment()
    if reason := obstacle(place):
        assert os.environ.get("REQUIRE_FRESH") != "1", reason
        pytest.skip(f"no fresh machine here: {reason}")
    return place


@pytest.fixture(scope="module", params=SUITES)
def machine(request: pytest.FixtureRequest, folder: WorkFolder) -> Iterator[FreshMachine]:
    """One after another, each without an ordinary user."""
    with fresh(folder, request.param) as guest:
        yield guest
