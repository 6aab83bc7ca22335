"""Two stacks that tests of failure share: one with the kernel's real defaults, one with short leases."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scripts.local.apps import API, BEAT, worker
from tests.faults.rig import Rig, start

TARGET_S = 4
"""A recording of more than that is cut into shards."""

SLEEP_S = 3
"""Over each shard."""


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
    try:
        shared_rig.check_history()
    except BaseException:
        shared_rig.tasks.clear()  # what one test has left behind is not held against the next
        raise


@pytest.fixture(scope="session")
def brisk_rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """The same workers with leases of 10 s, for what is true whatever the length of a lease."""
    workers = (worker("io", "io,cpu", 2, 1), worker("asr", "asr", 1, 1), worker("asr-2", "asr", 1, 1))
    settings = {"sleeper_seconds": SLEEP_S, "shard_target_s": TARGET_S, "lease_s": 10, "heartbeat_s": 0.5}
    settings |= {"sweep_interval_s": 1, "ring_again_s": 2}
    with start(tmp_path_factory.mktemp("brisk"), (API, *workers, BEAT), **settings) as rig:
        yield rig
