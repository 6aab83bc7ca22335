"""`python -m scripts.bench.speakers`: a job with words and speakers / the longer one of the two alone (goal P8).

Words alone are a job without speakers, speakers alone are told apart in this process; each model has half of the cores
as its threads, so that the two of a job run side by side. All three run in turn.
"""

from __future__ import annotations

import argparse
import itertools
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from scripts.bench.client import Client
from scripts.bench.ratios import Goal, rounds, row, time_limit
from scripts.bench.recordings import speech, write_unique
from scripts.bench.soak.truth import bare_environment
from scripts.local.apps import API, worker
from scripts.local.stack import Stack
from scripts.recognisers import cores
from scripts.weights.fixtures import default_model_dir
from shared.config import Settings
from tasks.engines import loading
from tasks.stages.diarize import DiarizeOptions, diarize

LIMIT_S = 600
GOAL = Goal(1.10)


def alone(seconds: float, folder: Path, threads: int) -> Callable[[], object]:
    """Speakers of so much speech, told apart in this process."""
    nowhere = {"database_url": "postgresql+psycopg://127.0.0.1:1/none", "redis_url": "redis://127.0.0.1:1/0"}
    torch.set_num_threads(threads)
    pipeline = loading.diarization(Settings.model_validate(nowhere | {"model_dir": folder, "device": "cpu"}))
    sound = speech(seconds).astype(np.float32) / np.float32(2**15)
    return lambda: diarize(sound, DiarizeOptions(), pipeline, lambda _share: None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120, help="of the recording (default %(default)s)")
    parser.add_argument("--pairs", type=int, default=5, help="rounds (default %(default)s)")
    parser.add_argument("--model", default="base", help="Whisper model (default %(default)s)")
    parser.add_argument("--limit", type=float, default=LIMIT_S, help="seconds for all of it (default %(default)s)")
    options = parser.parse_args()
    threads, folder = max(1, cores() // 2), default_model_dir()
    models = [worker(name, name, 1, threads) for name in ("asr", "diarize")]
    environ = bare_environment() | {"WHISPER_MODEL": options.model, "MODEL_DIR": str(folder.absolute())}
    for name in ("OMP_NUM_THREADS", "CPU_THREADS"):
        environ.pop(name, None)
        os.environ.pop(name, None)
    with (
        time_limit(options.limit) as deadline,
        tempfile.TemporaryDirectory() as home,
        Stack(Path(home) / "stack", apps=(API, worker("io", "io,cpu", 2, 1), *models), environ=environ) as stack,
    ):
        client, numbers, samples = Client(stack.url, stack.api_key), itertools.count(), speech(options.seconds)

        def job(diarization: str) -> None:
            recording = write_unique(samples, Path(home) / "a.wav", next(numbers))
            client.wait(client.submit(recording, model=options.model, language="en", diarization=diarization))

        acts: dict[str, Callable[[], object]] = {
            "words and speakers": lambda: job("true"),
            "words": lambda: job("false"),
            "speakers": alone(options.seconds, folder, threads),
        }

        def seconds(name: str) -> float:
            start = time.perf_counter()
            acts[name]()
            return time.perf_counter() - start

        measured = rounds({name: lambda name=name: seconds(name) for name in acts}, options.pairs, deadline)  # type: ignore[misc]
    for name, values in measured.items():
        print(row(f"{options.seconds:g} s, {name}, seconds, {threads} threads each", values))
    both, words, voices = measured.values()
    figures = [one / max(rest) for one, *rest in zip(both, words, voices, strict=True)]
    print(row("P8 words and speakers / the longer one alone", figures, GOAL))


if __name__ == "__main__":
    main()
