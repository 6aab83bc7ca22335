"""The small weights for the bench of a card: small, and as good as the others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.bench.card.probes import diarization, recognised, recognition, settings
from scripts.bench.card.weights import MOST_BYTES, pack
from tasks.engines import loading
from tests.conftest import MODELS

SECONDS = 30.0


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("card")
    assert pack(MODELS, folder) <= MOST_BYTES
    yield folder
    loading.let_go()


def text(folder: Path) -> list[str]:
    config = settings("cpu", folder, cpu_threads=1)
    return [segment.text for segment in recognised(config, SECONDS, 8).segments]


def test_the_words_are_the_same(packed: Path) -> None:
    """tiny.en recognises the sample call with the packed weights as it does with those that were fetched, as int8."""
    assert text(packed) == text(MODELS)


def test_the_checks_pass_on_a_cpu(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recognition and diarization of half a minute find their words and their two speakers with the packed weights."""
    monkeypatch.setattr("scripts.bench.card.probes.CPU_S", SECONDS)
    monkeypatch.setattr("scripts.bench.card.probes.WARM_UP_S", SECONDS)
    for finding in (recognition("cpu", packed, "int8", "8"), diarization("cpu", packed)):
        assert finding.rate and finding.rate > 0
        assert finding.memory_mb and finding.memory_mb > 0
