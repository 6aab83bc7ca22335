"""What each kind of process imports, and above all what it does not: models cost those who run none of them nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
RECOGNITION = {"av", "ctranslate2", "faster_whisper", "onnx_asr", "onnxruntime", "tokenizers"}
MODELS = RECOGNITION | {"numpy", "opencc", "pyannote", "scipy", "torch"}
TRAINING = {"lightning", "matplotlib", "networkx", "optuna", "pandas", "pytorch_metric_learning", "sklearn"}
TRAINING |= {"torch_audiomentations", "torchmetrics"}
DATABASE = {"boto3", "psycopg", "sqlalchemy"}

WORKER = "from tasks.app import app; app.loader.import_default_modules()"
BEAT = """
import os, sys
from celery import signals
from celery.bin import celery
def leave(**_):
    tell()
    os._exit(0)
signals.beat_init.connect(leave, weak=False)
sys.argv = ["celery", "-q", "-A", "tasks.app", "beat", "-s", SCHEDULE, "--pidfile="]
celery.main()
"""

CASES = {
    "a worker's main process": (WORKER, MODELS | {"alembic"}),
    "fetching a recording": (f"{WORKER}; from tasks import fetch; fetch.ways(settings(), None)", MODELS),
    "planning a short recording": (f"{WORKER}; from tasks.asr.shard_plan import plan; plan([], 60, 600)", MODELS),
    "merging words and speakers": (
        f"{WORKER}\nfrom tasks.stages.merge import merge\nfrom shared.transcript import *\n"
        "word = Word(0.0, 0.5, ' Hello.', 0.9)\n"
        "segments = (Segment(0, 0.0, 0.5, word.text, 0.9, None, (word,)),)\n"
        "turns = (SpeakerTurn(0.0, 0.6, 'A'),)\n"
        "done = merge([Transcription('en', 0.9, 1.0, 'base', segments)], Diarization(turns, turns))\n"
        "assert done.segments[0].speaker == 'spk_1'",
        MODELS,
    ),
    "asking what is loaded": (
        "from tasks.engines import loading; assert loading.loaded(settings()) == []; loading.let_go()",
        MODELS,
    ),
    "getting ready to recognise": (
        "from tasks.engine import engine; import tasks.asr.channels; assert engine(settings()).device() == 'cpu'",
        {"torch", "pyannote"},
    ),
    "getting ready to tell speakers apart": (
        "from tasks.engine import engine; from tasks.diarization.loading import import_pyannote; import_pyannote()\n"
        "import tasks.diarization.pipeline, tasks.stages.diarize, tasks.pcm\n"
        "assert engine(settings()).diarization_device() == 'cpu'",
        {"av", "ctranslate2", "faster_whisper", "onnxruntime"} | TRAINING,
    ),
    "the gateway": ("import api.main; api.main.create_app()", MODELS | {"alembic"}),
    "the demo": ("import scripts.demo", MODELS | {"alembic", "boto3", "botocore", "sqlalchemy"}),
    "the supervisor of `make run`": (
        "import scripts.local.__main__",
        MODELS | {"alembic", "boto3", "botocore", "sqlalchemy"},
    ),
    "the first of several gateway processes": ("import api.server", MODELS | DATABASE | {"fastapi", "uvicorn"}),
}


def imported(program: str, folder: Path) -> set[str]:
    """The packages that a process of its own has imported when it has run the program."""
    file = folder / "modules"
    prelude = (
        "import json, sys\nfrom pathlib import Path\nfrom shared.config import settings\n"
        f"tell = lambda: Path({str(file)!r}).write_text(json.dumps([name.partition('.')[0] for name in sys.modules]))\n"
    )
    process = subprocess.run(
        (sys.executable, "-c", f"{prelude}{program}\ntell()"),
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "DATABASE_URL": "postgresql+psycopg://127.0.0.1:1/none",
            "REDIS_URL": "redis://127.0.0.1:1/0",
            "DEVICE": "cpu",
            "OMP_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert process.returncode == 0, process.stderr
    return set(json.loads(file.read_text()))


@pytest.mark.parametrize("case", CASES)
def test_it_does_without(case: str, tmp_path: Path) -> None:
    """The process has none of the packages that only others need."""
    program, others = CASES[case]
    assert imported(program, tmp_path) & others == set()


def test_recognition_brings_its_engine(tmp_path: Path) -> None:
    """The search above would find the packages: a process that loads recognition has them."""
    assert {"av", "ctranslate2", "faster_whisper", "numpy"} <= imported("import tasks.engines.faster_whisper", tmp_path)


def test_pyannote_brings_what_it_trains_with(tmp_path: Path) -> None:
    """The search would find that, too: whoever imports pyannote without our loader has it."""
    program = "from tasks.diarization.loading import prepare_import; prepare_import(); import pyannote.audio.pipelines"
    assert TRAINING - imported(program, tmp_path) == {"pytorch_metric_learning"}


def test_beat_has_no_task(tmp_path: Path) -> None:
    """Celery's clock, up to its first tick, has neither tasks nor the database."""
    modules = imported(BEAT.replace("SCHEDULE", repr(str(tmp_path / "schedule"))), tmp_path)
    assert "celery" in modules
    assert modules & (MODELS | DATABASE | {"alembic"}) == set()
