"""Loading the real models."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from shared.abilities import abilities
from shared.config import Settings
from tasks.engines import loading

ROOT = Path(__file__).parents[2]


def test_a_model_is_loaded_once_and_few_are_kept(config: Settings) -> None:
    """The same model is the same object; with two kept, a third load lets the oldest go."""
    tiny = loading.whisper(config, "tiny.en")
    assert loading.whisper(config, "tiny.en") is tiny
    for threads in (1, 2, 3):
        loading.whisper(config.model_copy(update={"cpu_threads": threads}), "tiny.en")
    assert loading.whisper(config, "tiny.en") is not tiny


def test_a_model_knows_the_languages_that_it_has_a_token_for(config: Settings) -> None:
    """As the gateway tells by the name: base came before Cantonese."""
    for name in ("base", "tiny.en"):
        assert loading.whisper(config, name).languages == abilities(name).languages


def test_recognition_never_imports_torch() -> None:
    """A process that loads a Whisper model and recognises speech has no torch in memory."""
    program = (
        "import sys, numpy as np\n"
        "from tasks.engines import loading\n"
        "from tasks.stages.transcribe import transcribe\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('torch', 'pyannote')])"
    )
    process = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert (process.returncode, process.stdout.strip()) == (0, "[]")


def test_the_diarization_pipeline_is_loaded_once(config: Settings) -> None:
    """The same settings give the same pipeline; another clustering gives another."""
    pipeline = loading.diarization(config)
    assert loading.diarization(config) is pipeline
    assert loading.diarization(config.model_copy(update={"diarization_clustering": "pyannote"})) is not pipeline
