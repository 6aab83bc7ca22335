"""The stack that most tests of failure share: the kernel's real defaults, models that sleep four seconds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scripts.local.apps import API, BEAT, worker
from tests.faults.rig import Rig, start


@pytest.fixture(scope="session")
def shared_rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Two workers for speech recognition, so that one can take over from the other."""
    workers = (worker("io", "io,cpu", 2, 1), worker("asr", "asr", 1, 1), worker("asr-2", "asr", 1, 1))
    with start(tmp_path_factory.mktemp("faults"), (API, *workers, BEAT), sleeper_seconds=4) as rig:
        yield rig


@pytest.fixture
def rig(shared_rig: Rig) -> Iterator[Rig]:
    """The shared stack; when the test is over the history of all tasks is checked."""
    yield shared_rig
    shared_rig.check_history()
