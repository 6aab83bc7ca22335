"""Our diarization against stock pyannote: the same files, weights, threads and process, in interleaved pairs.

    python -m scripts.bench.diarization [--pairs 3] [--threads 1] [--limit 600] [call.wav ...]

Each file is 16 kHz mono 16-bit WAV with its reference beside it (call.rttm); without files it is pyannote's own sample.
Goal P9: our seconds / stock seconds <= 0.06 (median over pairs), with stock's clustering an error rate within 0.3
points of stock.
"""

from __future__ import annotations

import argparse
import time
import wave
from pathlib import Path
from typing import Any

import numpy as np

from scripts.bench.ratios import Deadline, Goal, ratios, rounds, row, time_limit
from scripts.bench.scoring import diarization_error_rate, read_rttm
from shared.transcript import SAMPLE_RATE
from tasks.diarization.loading import load_stock
from tasks.stages.diarize import DiarizeOptions, diarize

LIMIT_S = 600
GOAL = Goal(0.06)
POINTS_GOAL = Goal(0.3)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("files", nargs="*", type=Path)
    arguments.add_argument("--pairs", type=int, default=3, help="runs of each pipeline on each file")
    arguments.add_argument("--threads", type=int, default=1, help="torch threads for both")
    arguments.add_argument("--models", type=Path, default=Path("models"), help="MODEL_DIR")
    arguments.add_argument("--device", default="cpu", help="cpu or cuda")
    arguments.add_argument("--limit", type=float, default=LIMIT_S, help="seconds for all of it (default %(default)s)")
    options = arguments.parse_args()

    stock = load_stock(options.models / "diarization", token=None)
    import pyannote.audio
    import torch

    from tasks.diarization.pipeline import Diarizer

    torch.set_num_threads(options.threads)
    stock.to(torch.device(options.device))
    pipelines = {"stock": stock, "pyannote": Diarizer(stock, "pyannote"), "windows": Diarizer(stock, "windows")}
    for name in ("pyannote", "windows"):
        pipelines[name].to(torch.device(options.device))
        pipelines[name].warm_up()
    stock._embedding.min_num_samples  # noqa: B018  a cached property that the first run would pay for

    print(f"{stock.klustering}, {options.device}, {options.threads} thread(s), {options.pairs} pair(s)")
    with time_limit(options.limit) as deadline:
        for file in options.files or [Path(pyannote.audio.__file__).parent / "sample" / "sample.wav"]:
            compare(file, pipelines, options.pairs, deadline)


def compare(file: Path, pipelines: dict[str, Any], pairs: int, deadline: Deadline) -> None:
    """The rows of one file: seconds of each with its error rate, and the ratios to stock."""
    with wave.open(str(file)) as audio:
        if (audio.getframerate(), audio.getnchannels(), audio.getsampwidth()) != (SAMPLE_RATE, 1, 2):
            raise SystemExit(f"{file} is not 16 kHz mono 16-bit")
        samples = np.frombuffer(audio.readframes(audio.getnframes()), np.int16)
    waveform = samples.astype(np.float32) / np.float32(2**15)
    reference, error_rates = read_rttm(file.with_suffix(".rttm")), dict[str, float]()

    def side(name: str) -> float:
        started = time.perf_counter()
        result = diarize(waveform, DiarizeOptions(), pipelines[name], lambda _share: None)
        took = time.perf_counter() - started
        error_rates[name] = 100 * diarization_error_rate(reference, result.turns)
        return took

    measured = rounds({name: lambda name=name: side(name) for name in pipelines}, pairs, deadline)  # type: ignore[misc]
    print(f"{file.name}, {len(waveform) / SAMPLE_RATE:.0f} s of audio")
    for name, values in measured.items():
        print(row(f"{name}, seconds", values, note=f"DER {error_rates[name]:.2f} %"))
    for name, goal in (("windows", GOAL), ("pyannote", None)):
        print(row(f"P9 {name} / stock", ratios(measured[name], measured["stock"]), goal))
    apart = abs(error_rates["pyannote"] - error_rates["stock"])
    print(row("P9 DER of pyannote's clustering, points from stock", [apart], POINTS_GOAL), flush=True)


if __name__ == "__main__":
    main()
