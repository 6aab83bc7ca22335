"""Our diarization against stock pyannote: the same files, weights, threads and process, in interleaved pairs.

    python -m scripts.bench.diarization [--pairs 3] [--threads 1] [call.wav ...]

Each file is 16 kHz mono 16-bit WAV with its reference beside it (call.rttm); without files it is pyannote's own sample.
Goal P9: our seconds / stock seconds <= 0.06 (median over pairs), with stock's clustering an error rate within 0.3
points of stock.
"""

from __future__ import annotations

import argparse
import statistics
import time
import wave
from pathlib import Path
from typing import Any

import numpy as np

from scripts.bench.scoring import diarization_error_rate, read_rttm
from shared.transcript import SAMPLE_RATE
from tasks.diarization.loading import load_stock
from tasks.stages.diarize import DiarizeOptions, diarize

GOAL_RATIO = 0.06
GOAL_POINTS = 0.3


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("files", nargs="*", type=Path)
    arguments.add_argument("--pairs", type=int, default=3, help="runs of each pipeline on each file")
    arguments.add_argument("--threads", type=int, default=1, help="torch threads for both")
    arguments.add_argument("--models", type=Path, default=Path("models"), help="MODEL_DIR")
    arguments.add_argument("--device", default="cpu", help="cpu or cuda")
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
    for file in options.files or [Path(pyannote.audio.__file__).parent / "sample" / "sample.wav"]:
        compare(file, pipelines, options.pairs)


def compare(file: Path, pipelines: dict[str, Any], pairs: int) -> None:
    """Print each pair as it is done, then medians against the goal."""
    with wave.open(str(file)) as audio:
        if (audio.getframerate(), audio.getnchannels(), audio.getsampwidth()) != (SAMPLE_RATE, 1, 2):
            raise SystemExit(f"{file} is not 16 kHz mono 16-bit")
        samples = np.frombuffer(audio.readframes(audio.getnframes()), np.int16)
    waveform = samples.astype(np.float32) / np.float32(2**15)
    duration = len(waveform) / SAMPLE_RATE
    reference = read_rttm(file.with_suffix(".rttm"))

    seconds: dict[str, list[float]] = {name: [] for name in pipelines}
    error_rates: dict[str, float] = {}
    for pair in range(pairs):
        order = list(pipelines) if pair % 2 == 0 else list(reversed(pipelines))
        for name in order:
            started = time.perf_counter()
            result = diarize(waveform, DiarizeOptions(), pipelines[name], lambda _share: None)
            seconds[name].append(time.perf_counter() - started)
            error_rates[name] = 100 * diarization_error_rate(reference, result.turns)
        print(f"  pair {pair + 1}: " + ", ".join(f"{name} {seconds[name][-1]:.2f} s" for name in pipelines), flush=True)

    print(f"{file.name}, {duration:.0f} s of audio, medians of {pairs}")
    print(f"  {'':8} {'seconds':>8} {'RTF':>7} {'/ stock':>8} {'DER %':>7}")
    ratios = {name: statistics.median(map(_ratio, seconds[name], seconds["stock"])) for name in pipelines}
    for name in pipelines:
        median = statistics.median(seconds[name])
        print(f"  {name:8} {median:8.2f} {median / duration:7.3f} {ratios[name]:8.3f} {error_rates[name]:7.2f}")
    apart = abs(error_rates["pyannote"] - error_rates["stock"])
    met = ratios["windows"] <= GOAL_RATIO and apart <= GOAL_POINTS
    print(
        f"  goal P9: windows / stock <= {GOAL_RATIO} and DER of pyannote's clustering within {GOAL_POINTS} points: "
        f"{ratios['windows']:.3f} and {apart:.2f}: {'met' if met else 'NOT met'}"
    )


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator


if __name__ == "__main__":
    main()
