"""An engine for these tests, or one line that says why there is none; REQUIRE_CONTAINERS=1 makes that a failure."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.deployment import Deployment, sample, start
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


@pytest.fixture(scope="session")
def whole(engine: Engine) -> Deployment:
    """The default profile, from empty volumes; all of its containers were healthy once."""
    return start(engine)


@pytest.fixture
def deployment(whole: Deployment) -> Deployment:
    """The same, and everything is well now, whatever the test before has done."""
    whole.wait_healthy()
    return whole


@pytest.fixture(scope="session")
def call(engine: Engine) -> Path:
    """The recording of `make demo`: two people on the telephone."""
    return sample(engine.folder.path)


@pytest.fixture(scope="session")
def engine_folder(engine: Engine) -> Path:
    """Where the engine's machine sees files of the tests."""
    return engine.folder.path
