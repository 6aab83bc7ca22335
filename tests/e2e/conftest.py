"""The whole stack with real models, as `make run` starts it, and a caller who holds its first key."""

from __future__ import annotations

import os
from collections.abc import Iterator

import httpx
import pytest

from scripts.local.stack import Stack
from tests.conftest import MODELS

THREADS = {"OBJECT_STORE": "", "MODEL_DIR": str(MODELS), "CPU_THREADS": "1", "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Servers, gateway, workers, beat and Flower."""
    with Stack(tmp_path_factory.mktemp("stack"), environ=dict(os.environ) | THREADS) as running:
        yield running


@pytest.fixture(scope="session")
def http(stack: Stack) -> Iterator[httpx.Client]:
    """A client with the first key."""
    with httpx.Client(base_url=stack.url, headers={"Authorization": f"Bearer {stack.api_key}"}, timeout=60) as client:
        yield client
