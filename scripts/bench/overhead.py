"""`python -m scripts.bench.overhead`: what Parley costs beside the models (goals P1 and P5).

P1  wall time from the upload to the transcript / bare faster-whisper on the same file with the same options, both warm,
    in turn (A B A B ...), the median of the pairs' ratios. The words of the two are compared as well.
P5  a job whose audio is converted already and whose models take no time / a bare Celery chain of as many empty tasks on
    the same broker, again in turn.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import jiwer
import numpy as np
from celery import Celery, chain

from scripts.bench.client import Client
from scripts.bench.recordings import speech, write_unique
from scripts.local.stack import Stack

P1_GOALS = {10: 1.25, 60: 1.05, 1800: 1.02}
P5_GOAL = 3.0
STEPS = 3  # transcribe, merge, store: what is left of a job when its audio is known


def pairs(count: int, parley: Callable[[int], float], bare: Callable[[int], float]) -> list[tuple[float, float]]:
    """One warm-up of each, then `count` pairs of seconds."""
    parley(-1), bare(-1)
    return [(parley(number), bare(number)) for number in range(count)]


def report(name: str, measured: list[tuple[float, float]], goal: float, note: str = "") -> None:
    ratios = sorted(a / b for a, b in measured)
    parley, bare = (statistics.median(side) for side in zip(*measured, strict=True))
    middle = statistics.median(ratios)
    verdict = "met" if middle <= goal else "MISSED"
    print(
        f"{name:<22} {parley:8.3f} s {bare:8.3f} s   {middle:5.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})"
        f"   goal {goal:.2f} {verdict}  {note}",
        flush=True,
    )


def recognition(lengths: list[int], model: str, count: int, threads: int) -> None:
    """P1 for each length."""
    from faster_whisper import BatchedInferencePipeline, WhisperModel

    folder = Path(os.environ.get("MODEL_DIR", "models")) / "whisper" / model
    bare_model = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=threads)
    bare_pipeline = BatchedInferencePipeline(bare_model)
    environ = dict(os.environ) | {"CPU_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
    with tempfile.TemporaryDirectory() as home, Stack(Path(home), environ=environ) as stack:
        client = Client(stack.url, stack.api_key)
        for seconds in lengths:
            samples = speech(seconds)
            texts: dict[str, str] = {}

            def parley(number: int, samples: np.ndarray = samples, texts: dict[str, str] = texts) -> float:
                recording = write_unique(samples, Path(home) / "ours.wav", number % 2**31)
                begun = time.perf_counter()
                task_id = client.submit(recording, model=model, language="en")
                client.wait(task_id)
                texts["ours"] = client.result(task_id)["full_text"]
                return time.perf_counter() - begun

            def bare(number: int, samples: np.ndarray = samples, texts: dict[str, str] = texts) -> float:
                recording = write_unique(samples, Path(home) / "bare.wav", number % 2**31)
                begun = time.perf_counter()
                segments, _ = bare_pipeline.transcribe(
                    str(recording), language="en", batch_size=8, word_timestamps=True, beam_size=5
                )
                texts["bare"] = " ".join(segment.text for segment in segments)
                return time.perf_counter() - begun

            measured = pairs(count, parley, bare)
            clean = jiwer.Compose([jiwer.ToLowerCase(), jiwer.RemovePunctuation(), jiwer.RemoveMultipleSpaces()])
            apart = jiwer.wer(clean(texts["bare"]), clean(texts["ours"]))
            report(f"P1 {seconds} s {model}", measured, P1_GOALS.get(seconds, 1.25), f"words apart {apart:.1%}")


def pipeline(count: int) -> None:
    """P5."""
    with tempfile.TemporaryDirectory() as home:
        environ = dict(os.environ) | {"ENGINE": "sleeper", "SLEEPER_SECONDS": "0"}
        with Stack(Path(home), environ=environ) as stack:
            client = Client(stack.url, stack.api_key, poll_s=0.01)
            recording = write_unique(speech(1), Path(home) / "short.wav", 0)
            client.wait(client.submit(recording))
            broker = stack.env["REDIS_URL"]
            bare_app = Celery("bare", broker=broker, backend=broker)
            worker = bare_worker(home, broker)
            try:

                def parley(number: int) -> float:
                    begun = time.perf_counter()
                    client.wait(client.submit(recording, prompt=f"run {number}"))
                    return time.perf_counter() - begun

                def bare(_: int) -> float:
                    steps = [bare_app.signature("bare.nothing", queue="bare", immutable=True) for _ in range(STEPS)]
                    begun = time.perf_counter()
                    chain(*steps).apply_async().get(timeout=30, interval=0.005)
                    return time.perf_counter() - begun

                report("P5 empty pipeline", pairs(count, parley, bare), P5_GOAL)
            finally:
                worker.terminate()
                worker.wait(timeout=20)


def bare_worker(home: str, broker: str) -> subprocess.Popen[bytes]:
    """A Celery worker with one task that does nothing, as plain as Celery makes it."""
    module = Path(home) / "bare.py"
    module.write_text(
        "import os\nfrom celery import Celery\n"
        "app = Celery('bare', broker=os.environ['BROKER'], backend=os.environ['BROKER'])\n"
        "app.conf.worker_prefetch_multiplier = 1\n"
        "@app.task(name='bare.nothing')\ndef nothing():\n    return None\n"
    )
    return subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", "bare", "worker", "-Q", "bare", "-c", "2", "-l", "WARNING"],
        cwd=home,
        env=dict(os.environ) | {"BROKER": broker, "PYTHONPATH": home},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--pairs", type=int, default=7, help="pairs per row (default 7)")
    arguments.add_argument("--lengths", default="10,60", help="seconds of audio (default 10,60; 1800 has a goal too)")
    arguments.add_argument("--model", default="base", help="Whisper model (default base)")
    arguments.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="threads of both models")
    options = arguments.parse_args()
    print(f"{'':<22} {'Parley':>10} {'bare':>10}   ratio (min-max)")
    pipeline(options.pairs)
    recognition([int(length) for length in options.lengths.split(",")], options.model, options.pairs, options.threads)
    print(f"{options.threads} threads, {options.pairs} pairs, medians")


if __name__ == "__main__":
    main()
