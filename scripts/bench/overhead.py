"""`python -m scripts.bench.overhead`: from the upload to the transcript / bare faster-whisper (goal P1).

Both are warm and have the same recording, options and threads, and run in turn; the end is told by `/status?wait=`. The
words of the two are compared as well. The processor time is that of all of the stack's programs, models included.
"""

from __future__ import annotations

import argparse
import itertools
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import jiwer

from scripts.bench.client import Client
from scripts.bench.processor import Meter, programs
from scripts.bench.ratios import Deadline, Goal, ratios, rounds, row, time_limit
from scripts.bench.recordings import speech, write_unique
from scripts.bench.scoring import plain_words
from scripts.bench.soak.truth import bare_environment
from scripts.local.apps import API, worker
from scripts.local.stack import Stack
from shared.transcript import SAMPLE_RATE

LIMIT_S = 600
GOALS = {3: Goal(0.5), 10: Goal(0.7), 60: Goal(1.04), 600: Goal(1.01)}
"""By seconds of audio. Short recordings can take less than bare faster-whisper, which always pads to 30 s."""

SILENCE_S = 7
"""The sample call begins with so much; three seconds of it would be no recording to recognise."""

Hear = Callable[[Path], str]


def whisper(model: str, threads: int) -> Hear:
    """faster-whisper alone, with what a task of ours asks for when it names only its language."""
    from faster_whisper import BatchedInferencePipeline, WhisperModel

    folder = Path(os.environ.get("MODEL_DIR", "models")) / "whisper" / model
    loaded = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=threads)
    pipeline = BatchedInferencePipeline(loaded)

    def hear(recording: Path) -> str:
        segments, _ = pipeline.transcribe(
            str(recording), language="en", batch_size=8, word_timestamps=True, beam_size=5
        )
        return " ".join(segment.text for segment in segments)

    return hear


def parley(stack: Stack, model: str) -> Hear:
    client = Client(stack.url, stack.api_key)

    def hear(recording: Path) -> str:
        task_id = client.submit(recording, model=model, language="en")
        client.wait(task_id)
        return str(client.result(task_id)["full_text"])

    return hear


def compare(seconds: int, stack: Stack, hears: dict[str, Hear], pairs: int, deadline: Deadline) -> None:
    """The rows of one length."""
    samples, numbers, texts = speech(SILENCE_S + seconds)[-seconds * SAMPLE_RATE :], itertools.count(), dict[str, str]()
    meter = Meter(programs(stack))

    def side(name: str) -> float:
        # another recording each time, or its answer would be known
        recording = write_unique(samples, stack.home.path / f"{seconds}.wav", next(numbers))

        def measure() -> float:
            start = time.perf_counter()
            texts[name] = hears[name](recording)
            return time.perf_counter() - start

        return meter(measure) if name == "Parley" else measure()

    sides = {name: lambda name=name: side(name) for name in hears}
    measured = rounds(sides, pairs, deadline)
    for name, values in measured.items():
        print(row(f"{seconds} s, {name}, seconds", values, note=str(meter) if name == "Parley" else ""))
    parley, bare = (" ".join(plain_words(texts[name])) for name in ("Parley", "bare"))
    note = f"words apart {jiwer.wer(bare, parley):.1%}"
    figures = ratios(measured["Parley"], measured["bare"])
    print(row(f"P1 {seconds} s, Parley / bare", figures, GOALS.get(seconds), note), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=7, help="pairs per row (default %(default)s)")
    parser.add_argument("--lengths", default="3,10,60", help="seconds of audio (default %(default)s; 600 has a goal)")
    parser.add_argument("--model", default="base", help="Whisper model (default %(default)s)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="threads of both models")
    parser.add_argument("--limit", type=float, default=LIMIT_S, help="seconds for all of it (default %(default)s)")
    options = parser.parse_args()
    # the worker has as many threads as the other side, and no model of diarization lies beside it
    apps = (API, worker("io", "io,cpu", 2, 1), worker("asr", "asr", 1, options.threads))
    environ = bare_environment() | {"WHISPER_MODEL": options.model}
    environ |= {name: os.environ[name] for name in ("MODEL_DIR",) if name in os.environ}
    for name in ("OMP_NUM_THREADS", "CPU_THREADS"):
        environ.pop(name, None)
    with (
        time_limit(options.limit) as deadline,
        tempfile.TemporaryDirectory() as home,
        Stack(Path(home), apps=apps, environ=environ) as stack,
    ):
        print(f"{options.model}, int8, {options.threads} threads, at most {options.pairs} pairs")
        hears = {"Parley": parley(stack, options.model), "bare": whisper(options.model, options.threads)}
        for length in options.lengths.split(","):
            compare(int(length), stack, hears, options.pairs, deadline)


if __name__ == "__main__":
    main()
