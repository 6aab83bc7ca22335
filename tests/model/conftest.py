"""The models that are tested, loaded once."""

from __future__ import annotations

import os

import pytest

from scripts.weights.fixtures import default_model_dir
from shared.config import Settings
from tasks.engines import loading
from tasks.engines.faster_whisper import FasterWhisper

THREADS = int(os.environ.get("CPU_THREADS", "1"))
"""With CT2_FORCE_CPU_ISA (GENERIC, AVX, AVX2, AVX512) and CT2_USE_MKL=0 this tries how other processors round."""


@pytest.fixture(scope="module")
def config() -> Settings:
    urls = {"database_url": "postgresql+psycopg://x@localhost/x", "redis_url": "redis://localhost:1/0"}
    return Settings.model_validate({**urls, "model_dir": default_model_dir(), "device": "cpu", "cpu_threads": THREADS})


@pytest.fixture(scope="module")
def base(config: Settings) -> FasterWhisper:
    return loading.whisper(config, "base")


@pytest.fixture(scope="module")
def tiny(config: Settings) -> FasterWhisper:
    return loading.whisper(config, "tiny.en")
