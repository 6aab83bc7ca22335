"""`python -m scripts.evaluate.throughput`: a mixed corpus on Parley / on another program (goal P2).

Readings, dialogues, music, noise and several languages of `make evaluate` are sent at once to a stack as `make run`
starts it, and given at once to `whisper-ctranslate2 --batched`, a command around faster-whisper that loads its
model once for all files. Both find out languages themselves, tell the times of words and use all cores. They take
turns; the words that each gets wrong stand beside.

The other program is installed from the package index into a folder of its own.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from scripts.bench.client import Client
from scripts.bench.ratios import Goal, ratios, rounds, row, time_limit
from scripts.bench.recordings import write_unique
from scripts.bench.soak.truth import bare_environment
from scripts.evaluate.corpus import Recording, recordings
from scripts.evaluate.measures import WordErrors, word_errors
from scripts.evaluate.sources import CACHE
from scripts.local.stack import Stack
from scripts.weights.fixtures import default_model_dir
from tasks.pcm import HEADER_BYTES

LIMIT_S = 900
GOAL = Goal(1.3, is_floor=True)
PEER = "whisper-ctranslate2==0.5.8"
_numbers = itertools.count()

Hear = Callable[[Sequence[Path]], list[str]]
"""The texts of all recordings."""


def parley(stack: Stack, model: str) -> Hear:
    client = Client(stack.url, stack.api_key)

    def hear(files: Sequence[Path]) -> list[str]:
        tasks = [client.submit(file, model=model) for file in files]
        for task_id in tasks:
            client.wait(task_id)
        return [str(client.result(task_id)["full_text"]) for task_id in tasks]

    return hear


def peer(model: Path, threads: int) -> Hear:
    """The command, installed on first use."""
    folder = CACHE / "peers" / PEER
    command = (folder / "bin" / "whisper-ctranslate2").absolute()
    if not command.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([folder / "bin" / "pip", "install", "--quiet", PEER], check=True)

    def hear(files: Sequence[Path]) -> list[str]:
        with tempfile.TemporaryDirectory() as out:
            options = (
                "--batched",
                "True",
                "--word_timestamps",
                "True",
                "--output_format",
                "json",
                "--verbose",
                "False",
            )
            place = ("--model_directory", str(model), "--device", "cpu", "--compute_type", "int8", "--output_dir", out)
            subprocess.run(
                [command, *files, *options, *place, "--threads", str(threads), "--local_files_only", "True"],
                check=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=LIMIT_S,
            )
            return [json.loads((Path(out) / f"{file.stem}.json").read_text())["text"] for file in files]

    return hear


def mixed(count: int) -> list[Recording]:
    """So many recordings with known words, of every group in turn, of at most three minutes."""
    report: list[str] = []
    groups: dict[str, list[Recording]] = {}
    for recording in recordings(report):
        if recording.text and recording.duration <= 180:
            groups.setdefault(recording.group, []).append(recording)
    print(*report, sep="\n", file=sys.stderr)
    in_turn = itertools.chain.from_iterable(itertools.zip_longest(*groups.values()))
    return list(itertools.islice(filter(None, in_turn), count))


def copies(corpus: Sequence[Recording], folder: Path) -> list[Path]:
    """Recordings that nobody has sent before."""
    files = []
    for recording in corpus:
        samples = np.frombuffer(recording.audio.read_bytes()[HEADER_BYTES:], np.int16)
        number = next(_numbers)
        files.append(write_unique(samples, folder / f"{number}.wav", number))
    return files


def errors(corpus: Sequence[Recording], texts: Sequence[str]) -> WordErrors:
    """Of all recordings together."""
    scores = (word_errors(one.text or "", text, one.language) for one, text in zip(corpus, texts, strict=True))
    return sum(scores, WordErrors())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=3, help="pairs per row (default %(default)s)")
    parser.add_argument("--files", type=int, default=24, help="recordings (default %(default)s)")
    parser.add_argument("--model", default="base", help="Whisper model (default %(default)s)")
    parser.add_argument("--limit", type=float, default=LIMIT_S, help="seconds for all of it (default %(default)s)")
    options = parser.parse_args()
    corpus, threads = mixed(options.files), len(os.sched_getaffinity(0))
    seconds = sum(recording.duration for recording in corpus)
    models = default_model_dir().absolute()
    environ = bare_environment() | {"MODEL_DIR": str(models), "WHISPER_MODEL": options.model}
    environ.pop("OMP_NUM_THREADS", None)
    other = peer(models / "whisper" / options.model, threads)
    with (
        time_limit(options.limit) as deadline,
        tempfile.TemporaryDirectory() as home,
        Stack(Path(home), environ=environ) as stack,
    ):
        print(f"{options.model}, int8, {threads} cores, {len(corpus)} recordings of {seconds:.0f} s, no speakers")
        hears = {"Parley": parley(stack, options.model), PEER: other}
        wrong: dict[str, WordErrors] = {}

        def side(name: str) -> float:
            files = copies(corpus, stack.home.path)
            start = time.perf_counter()
            texts = hears[name](files)
            wall_s = time.perf_counter() - start
            wrong[name] = errors(corpus, texts)
            return seconds / wall_s

        measured = rounds({name: partial(side, name) for name in hears}, options.pairs, deadline)
        for name, values in measured.items():
            print(row(f"{name}, times real time", values, note=f"words wrong {wrong[name].rate:.1%}"))
        print(row("P2 Parley / the other", ratios(measured["Parley"], measured[PEER]), GOAL), flush=True)


if __name__ == "__main__":
    main()
