"""What all tests share: real servers in a folder of their own, and settings that point at them."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as effort

from scripts.local.stack import Stack
from shared.callers import keys
from shared.config import Settings, settings
from shared.db import forget_engine, session
from shared.storage import Storage, storage

# A busy machine is no failure. Here, because a test has the settings of the moment in which its module is read.
effort.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
effort.load_profile("untimed")

MODELS = Path(__file__).parent.parent / "models"

# a suite that was started in the background ignores Ctrl-C, and so would every program that it starts
signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MODEL_DIR", str(MODELS))
os.environ.setdefault("LIMITS_TIMEOUT_S", "20")  # on a busy machine Valkey may be late: a late count is no count
os.environ.setdefault("OBJECT_STORE", "s3")  # as in compose and Kubernetes; tests of `make run` have none


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """PostgreSQL, Valkey and SeaweedFS, migrated; none of Parley's own processes."""
    with Stack(tmp_path_factory.mktemp("servers"), apps=()) as running:
        yield running


@pytest.fixture(scope="session")
def environment(servers: Stack) -> Iterator[Settings]:
    """This process's settings point at `servers`."""
    before = dict(os.environ)
    os.environ.update(servers.env)
    settings.cache_clear()
    yield settings()
    forget_engine()
    storage.cache_clear()
    settings.cache_clear()
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def bucket(environment: Settings) -> Storage:
    """The bucket of `servers`."""
    return storage()


@pytest.fixture
def owner(environment: Settings) -> uuid.UUID:
    """A fresh API key's id, so that tests never meet each other's jobs."""
    with session() as opened:
        row, _ = keys.create(opened, "test")
        return row.id
