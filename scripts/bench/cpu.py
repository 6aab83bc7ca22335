"""`python -m scripts.bench.cpu`: one table for this processor, within five minutes: what the models do here.

Recognition by each installed one of tiny.en and base as int8 and as float32, and diarization, with one thread and with
all. Each row is a process of its own that goes the product's own way over real speech, first over 30 s to warm up, then
over as much as takes a few seconds. It needs no network; what is left when the time is over is said to have not run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from scripts.bench.recordings import speech
from scripts.local.apps import ROOT
from scripts.recognisers import cores
from shared.config import Settings
from shared.transcript import SAMPLE_RATE

LIMIT_S = 290.0
"""Of all rows together: five minutes less the start of Python."""

LEAST_S = 45.0
"""What each row may take in any case, while there is time."""

MODELS, TYPES = ("tiny.en", "base"), ("int8", "float32")
PIECE_S, LONGEST_S, AIM_S = 30.0, 240.0, 6.0
"""Seconds of audio at the least and at the most, and of work that a measurement should take."""

EXPECTED = "you were there"
"""Said in the sample."""


def rows(folder: Path) -> list[tuple[str, str, int]]:
    """What is done, by which model or clustering, with how many threads; the commonest first."""
    threads = (cores(), 1) if cores() > 1 else (1,)
    installed = [model for model in MODELS if (folder / "whisper" / model).is_dir()]
    kinds = [("int8", model) for model in reversed(installed)] + [("diarization", "windows")]
    kinds += [("float32", model) for model in reversed(installed)]
    return [(kind, model, count) for kind, model in kinds for count in threads]


def main() -> int:
    """Print the table; the number of rows that failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    models = Path(os.environ.get("MODEL_DIR", "models"))
    parser.add_argument("--models", type=Path, default=models, help="folder of the weights (default %(default)s)")
    parser.add_argument("--limit", type=float, default=LIMIT_S, help="seconds for all of it (default %(default)s)")
    parser.add_argument("--row", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    folder = options.models.absolute()
    if options.row:
        kind, model, threads = options.row
        print(json.dumps(measured(folder, kind, model, int(threads))), flush=True)
        return 0
    end, failed = time.monotonic() + options.limit, 0
    versions = [f"{name} {version(name)}" for name in ("ctranslate2", "faster-whisper", "torch", "pyannote.audio")]
    print(f"{time.strftime('%Y-%m-%d')}, {processor()}, {cores()} cores, {platform.machine()}")
    print(f"{', '.join(versions)}, Python {platform.python_version()}\n")
    print(f"{'what':<24}{'threads':>8}{'audio s/s':>11}{'MB':>7}")
    planned = rows(folder)
    for number, (kind, model, threads) in enumerate(planned):
        rest_s = end - time.monotonic()
        figures = outcome(folder, kind, model, threads, min(rest_s, max(LEAST_S, rest_s / (len(planned) - number))))
        name = f"{model} {kind}" if kind in TYPES else kind
        if isinstance(figures, str):
            failed += 1
            print(f"{name:<24}{threads:>8}  {figures}", flush=True)
        else:
            print(f"{name:<24}{threads:>8}{figures['rate']:>11.1f}{figures['mb']:>7.0f}", flush=True)
    return failed


def outcome(folder: Path, kind: str, model: str, threads: int, limit_s: float) -> dict[str, float] | str:
    """What a row has measured, or why it has not."""
    if limit_s <= 0:
        return "not run: the time is over"
    line = (sys.executable, "-m", "scripts.bench.cpu", "--models", str(folder), "--row", kind, model, str(threads))
    counts = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    environ = os.environ | counts | {"HF_HUB_OFFLINE": "1"}
    try:
        run = subprocess.run(line, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=limit_s, check=False)
    except subprocess.TimeoutExpired:
        return f"not done within {limit_s:.0f} s"
    if run.returncode == 0:
        figures: dict[str, float] = json.loads(run.stdout.splitlines()[-1])
        return figures
    messages = [text for text in run.stderr.splitlines() if text.strip()]
    return f"FAILED: {messages[-1].strip() if messages else f'exit status {run.returncode}'}"


def measured(folder: Path, kind: str, model: str, threads: int) -> dict[str, float]:
    """Seconds of audio a second, and megabytes at the most. Raises AssertionError when the answer is wrong."""
    from scripts.bench.card.usage import peak

    nowhere = {"database_url": "postgresql+psycopg://127.0.0.1:1/none", "redis_url": "redis://127.0.0.1:1/0"}
    overrides = {"model_dir": folder, "device": "cpu", "cpu_threads": threads}
    if kind in TYPES:
        overrides |= {"compute_type": kind, "whisper_model": model, "whisper_models": model}
    config = Settings.model_validate(nowhere | overrides)
    with peak("cpu") as most:
        work = recognition(config, model) if kind in TYPES else diarization(config)
        began = time.perf_counter()
        work(PIECE_S)
        took = time.perf_counter() - began
        seconds = min(LONGEST_S, max(1.0, AIM_S // took) * PIECE_S)
        began = time.perf_counter()
        work(seconds)
        took = time.perf_counter() - began
    return {"rate": seconds / took, "mb": most.mb}


def recognition(config: Settings, model: str) -> Callable[[float], None]:
    from tasks.asr.decoding import TranscribeOptions
    from tasks.engines import loading
    from tasks.stages.transcribe import transcribe

    recogniser = loading.recogniser(config, model)

    def work(seconds: float) -> None:
        sound = samples(seconds)

        def read(start: float, end: float) -> Any:
            return sound[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)]

        options = TranscribeOptions(model, language="en", batch_size=config.asr_batch_size)
        result = transcribe(read, seconds, options, recogniser, lambda _share: None)
        text = " ".join(segment.text for segment in result.segments)
        assert EXPECTED in text, f"wrong words: {text[:200]!r}"

    return work


def diarization(config: Settings) -> Callable[[float], None]:
    from tasks.engines import loading
    from tasks.stages.diarize import DiarizeOptions, diarize

    pipeline = loading.diarization(config)

    def work(seconds: float) -> None:
        result = diarize(samples(seconds), DiarizeOptions(), pipeline, lambda _share: None)
        voices = len({turn.speaker for turn in result.turns})
        assert voices == 2, f"{voices} speakers instead of 2"

    return work


def samples(seconds: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    return speech(seconds).astype(np.float32) / np.float32(2**15)


def processor() -> str:
    """Its name, as the kernel has it; boards tell theirs by their device tree."""
    board = Path("/proc/device-tree/model")
    if board.exists():
        return board.read_text().rstrip("\0")
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "a processor without a name"


if __name__ == "__main__":
    sys.exit(main())
