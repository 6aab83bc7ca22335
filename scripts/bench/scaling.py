"""`python -m scripts.bench.scaling`: a queue of files, and one long file in shards, on one worker and on two (goal P6).

Two stacks, one with a single-threaded worker for speech recognition and one with two of them, get the same recordings
in turn (A B A B ...); the ratio is that of the wall times from the first upload to the last end. `bare` is what the
machine itself gives: faster-whisper alone over such recordings, in one process and in two, when the stacks are gone.

Amdahl's bound is 1 / (s + (1 - s) / 2), with s the share of the time with one worker in which that worker recognised
nothing. What is lost below it is contention: `slower` says how much longer recognition takes with the other beside it.
`--sleeper` replaces the model by a pause: what is lost then is lost by the queue, whatever the number of cores.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import jiwer
from sqlalchemy import select

from scripts.bench.client import Client
from scripts.bench.ratios import Goal, time_limit
from scripts.bench.recordings import speech, write_unique
from scripts.bench.soak.truth import Truth, bare_environment
from scripts.local.apps import API, App, worker
from scripts.local.stack import Stack
from shared.models import Stage
from shared.states import StageState

LIMIT_S = 900
GOALS = {"queue": Goal(1.85, is_floor=True), "long": Goal(1.75, is_floor=True)}
WARM_UP_S = 5
START_TIMEOUT_S = 120.0
_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Run:
    """One side's run: seconds on the wall, seconds that workers held recognition, and the words of every recording."""

    wall_s: float
    held_s: float
    texts: tuple[str, ...]


class Side:
    """A stack with so many workers for speech recognition."""

    def __init__(self, stack: Stack, workers: int) -> None:
        self._client, self._truth, self._workers = Client(stack.url, stack.api_key), Truth(stack), workers

    def run(self, recordings: Sequence[Path], **options: str) -> Run:
        """Submit all at once, wait for all."""
        start = time.perf_counter()
        ids = [self._client.submit(recording, language="en", **options) for recording in recordings]
        for task_id in ids:
            self._client.wait(task_id)
        wall_s = time.perf_counter() - start
        durations = [(row.finished_at - row.started_at).total_seconds() for row in self._recognised(ids)]  # type: ignore[operator]
        return Run(wall_s, sum(durations), tuple(self._client.result(task_id)["full_text"] for task_id in ids))

    def warm_up(self, folder: Path, **options: str) -> None:
        """Let every worker load the model. Raises RuntimeError when not all of them have taken something."""
        workers: set[str | None] = set()
        end = time.monotonic() + START_TIMEOUT_S
        while len(workers) < self._workers:
            if time.monotonic() > end:
                raise RuntimeError(f"{len(workers)} of {self._workers} workers took a recording")
            ids = [
                self._client.submit(one, language="en", **options)
                for one in unique(folder, WARM_UP_S, 2 * self._workers)
            ]
            for task_id in ids:
                self._client.wait(task_id)
            workers |= {row.worker for row in self._recognised(ids)}

    def _recognised(self, ids: Sequence[str]) -> list[Stage]:
        """The stages that recognised speech, one per shard."""
        of_these = Stage.job_id.in_([uuid.UUID(task_id) for task_id in ids])
        query = select(Stage).where(of_these, Stage.name == "transcribe", Stage.state == StageState.DONE)
        return [row.Stage for row in self._truth.rows(query) if row.Stage.started_at and row.Stage.finished_at]


def unique(folder: Path, seconds: float, count: int) -> list[Path]:
    """Recordings that nobody has sent before."""
    samples, numbers = speech(seconds), itertools.islice(_numbers, count)
    return [write_unique(samples, folder / f"{number}.wav", number) for number in numbers]


@contextmanager
def side(home: Path, workers: int, settings: Mapping[str, str]) -> Iterator[Side]:
    """A stack with so many single-threaded workers for speech recognition."""
    variables = {"CPU_THREADS": "1", "OMP_NUM_THREADS": "1", **settings}
    apps: list[App] = [API, worker("io", "io,cpu", concurrency=2, threads=1)]
    apps += [worker(f"asr-{number}", "asr", concurrency=1, threads=1) for number in range(workers)]
    with Stack(home, apps=apps, environ=bare_environment() | variables) as stack:
        yield Side(stack, workers)


def bare(model: Path, recordings: Sequence[Path], processes: int) -> float:
    """Seconds in which so many processes of faster-whisper alone, one thread each, recognise all; models are loaded."""
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(processes + 1)
    shares = [[str(one) for one in recordings[number::processes]] for number in range(processes)]
    children = [context.Process(target=_recognise, args=(str(model), share, start)) for share in shares]
    for child in children:
        child.start()
    start.wait(START_TIMEOUT_S)
    started_at = time.perf_counter()
    for child in children:
        child.join()
    if any(child.exitcode for child in children):
        raise RuntimeError("faster-whisper failed")
    return time.perf_counter() - started_at


def _recognise(model: str, recordings: list[str], start: "multiprocessing.synchronize.Barrier") -> None:  # noqa: UP037
    from faster_whisper import BatchedInferencePipeline, WhisperModel

    pipeline = BatchedInferencePipeline(WhisperModel(model, device="cpu", compute_type="int8", cpu_threads=1))
    start.wait(START_TIMEOUT_S)
    for recording in recordings:
        segments, _ = pipeline.transcribe(recording, language="en", batch_size=8, word_timestamps=True, beam_size=5)
        list(segments)


def amdahl(one: Run, workers: int = 2) -> float:
    """The bound on the ratio, from the share of the time in which the one worker recognised nothing."""
    serial = max(0.0, 1 - one.held_s / one.wall_s)
    return 1 / (serial + (1 - serial) / workers)


def report(name: str, pairs: Sequence[tuple[Run, Run]], goal: Goal) -> bool:
    """Print a row; whether the goal is met."""
    ratios = sorted(one.wall_s / two.wall_s for one, two in pairs)
    ones, twos = zip(*pairs, strict=True)
    ratio, bound = statistics.median(ratios), statistics.median(amdahl(one) for one in ones)
    slower = statistics.median(two.held_s / one.held_s for one, two in pairs)
    apart = jiwer.wer([text for one in ones for text in one.texts], [text for two in twos for text in two.texts])
    print(
        f"{name:<18}{_median(ones):8.2f} s{_median(twos):8.2f} s{ratio:7.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})"
        f"   Amdahl {bound:.2f}   slower {slower:.2f}   words apart {apart:.1%}"
        f"   goal {goal} {goal.verdict(ratios)}",
        flush=True,
    )
    return goal.verdict(ratios) == "met"


def _median(runs: Sequence[Run]) -> float:
    return statistics.median(run.wall_s for run in runs)


def report_bare(pairs: Sequence[tuple[float, float]]) -> None:
    ratios = sorted(one / two for one, two in pairs)
    ones, twos = (statistics.median(walls) for walls in zip(*pairs, strict=True))
    print(
        f"{'bare':<18}{ones:8.2f} s{twos:8.2f} s{statistics.median(ratios):7.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})",
        flush=True,
    )


def main() -> int:
    """Print a row for each of the two; status 1 when a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=3, help="pairs per row (default %(default)s)")
    parser.add_argument("--files", type=int, default=12, help="files of the queue (default 12; 0 = no such row)")
    parser.add_argument("--seconds", type=float, default=60, help="length of each (default 60)")
    parser.add_argument("--long", type=float, default=1200, help="of the long file (default %(default)s; 0 = no row)")
    parser.add_argument("--shard", type=float, default=150, help="SHARD_TARGET_S (default %(default)s)")
    parser.add_argument("--model", default="tiny.en", help="Whisper model (default %(default)s)")
    parser.add_argument("--sleeper", type=float, default=0, help="pause so many seconds in place of the model")
    parser.add_argument("--limit", type=float, default=LIMIT_S, help="seconds for all of it (default %(default)s)")
    options = parser.parse_args()
    settings = {"SHARD_TARGET_S": str(options.shard)}
    if options.sleeper:
        settings |= {"ENGINE": "sleeper", "SLEEPER_SECONDS": str(options.sleeper)}
    print(f"{'':<18}{'one':>10}{'two':>10}  ratio (min-max)   {options.pairs} pairs, {options.model}, 1 thread each")
    met: list[bool] = []
    model = Path(os.environ.get("MODEL_DIR", "models")) / "whisper" / options.model
    with (
        time_limit(options.limit) as deadline,
        tempfile.TemporaryDirectory(prefix="parley-scaling-") as name,
    ):
        home = Path(name)
        with side(home / "one", 1, settings) as one, side(home / "two", 2, settings) as two:
            for warmed in (one, two):
                warmed.warm_up(home, model=options.model)
            rows = [("queue", options.files, options.seconds), ("long", 1, options.long)]
            for kind, files, seconds in rows:
                if not files or not seconds:
                    continue
                pairs: list[tuple[Run, Run]] = []
                while len(pairs) < options.pairs and deadline.has(sum(run.wall_s for run in pairs[-1]) if pairs else 0):
                    recordings = unique(home, seconds, files)
                    pairs.append((one.run(recordings, model=options.model), two.run(recordings, model=options.model)))
                met.append(bool(pairs) and report(f"{kind} {files} x {seconds:g} s", pairs, GOALS[kind]))
        if options.files and not options.sleeper and deadline.has(0):
            recordings = unique(home, options.seconds, options.files)
            report_bare([(bare(model, recordings, 1), bare(model, recordings, 2)) for _ in range(options.pairs)])
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
