"""`python -m scripts.bench.card.probes NAME ...`: one check in a process of its own, its findings as JSON on stdout.

Each goes the product's own way: its loading, its stages, its steps down.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scripts.bench.card.usage import card_mb, peak
from scripts.bench.recordings import speech
from shared.config import Settings
from shared.transcript import SAMPLE_RATE, Transcription

MODEL = "tiny.en"
CARD_S, CPU_S = 600.0, 60.0
WARM_UP_S = 60.0
EXPECTED = "you were there"
"""Said in the sample."""

CROWDED_S = 300.0
"""Ten pieces of recognition: enough for a batch, and short for a CPU that has to take over."""

LEFT_MB = (0, 64, 128, 256, 512, 1024, 2048)
"""How much of the card is left to the work, more each time, until it is enough."""

ALL = 10**9


@dataclass
class Finding:
    """A row of the table. `rate` are seconds of audio a second, `memory_mb` at the most while it worked."""

    rate: float | None = None
    memory_mb: float | None = None
    note: str = ""


def settings(device: str, folder: Path, **more: Any) -> Settings:
    """Those of a worker without servers."""
    nowhere = {"database_url": "postgresql+psycopg://127.0.0.1:1/none", "redis_url": "redis://127.0.0.1:1/0"}
    models = {"model_dir": folder, "whisper_model": MODEL, "whisper_models": MODEL}
    return Settings.model_validate({**nowhere, **models, "device": device, **more})


def samples(seconds: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    return speech(seconds).astype(np.float32) / np.float32(2**15)


def recognised(config: Settings, seconds: float, batch: int) -> Transcription:
    """By the stage that a worker runs, with the model that it would load now."""
    from tasks.asr.decoding import TranscribeOptions
    from tasks.engines import loading
    from tasks.stages.transcribe import transcribe

    sound = samples(seconds)

    def read(start: float, end: float) -> Any:
        return sound[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)]

    options = TranscribeOptions(MODEL, language="en", batch_size=batch)
    return transcribe(read, seconds, options, loading.recogniser(config, MODEL), lambda _share: None)


def words(transcription: Transcription) -> str:
    text = " ".join(segment.text for segment in transcription.segments)
    assert EXPECTED in text, f"wrong words: {text[:200]!r}"
    return f"{len(text.split())} words"


def recognition(device: str, folder: Path, compute_type: str, batch: str) -> Finding:
    """Speed and memory of one number type and batch."""
    seconds = CPU_S if device == "cpu" else CARD_S
    before = 0.0 if device == "cpu" else card_mb()
    config = settings(device, folder, compute_type=compute_type)
    with peak(device, before) as most:
        recognised(config, WARM_UP_S, int(batch))
        began = time.perf_counter()
        result = recognised(config, seconds, int(batch))
        took = time.perf_counter() - began
    return Finding(seconds / took, most.mb, "; ".join((words(result), *codes(result.warnings))))


def codes(warnings: Any) -> list[str]:
    """Those that tell of memory."""
    return [one.code for one in warnings if one.code in ("smaller_batches", "moved_to_cpu")]


def diarization(device: str, folder: Path) -> Finding:
    """Speed and memory, by both clusterings."""
    from tasks.engines import loading
    from tasks.stages.diarize import DiarizeOptions, diarize

    seconds = CPU_S if device == "cpu" else CARD_S
    before = 0.0 if device == "cpu" else card_mb()
    sound, rates, notes = samples(seconds), [], []
    with peak(device, before) as most:
        for clustering in ("windows", "pyannote"):
            pipeline = loading.diarization(settings(device, folder, diarization_clustering=clustering))
            diarize(sound[: round(WARM_UP_S * SAMPLE_RATE)], DiarizeOptions(), pipeline, lambda _share: None)
            began = time.perf_counter()
            result = diarize(sound, DiarizeOptions(), pipeline, lambda _share: None)
            rates.append(seconds / (time.perf_counter() - began))
            voices = len({turn.speaker for turn in result.turns})
            assert voices == 2, f"{voices} speakers instead of 2"
            notes += [f"{clustering} {rates[-1]:.0f}/s", *codes(result.warnings)]
    return Finding(rates[0], most.mb, "; ".join(notes))


def nvml(device: str, folder: Path) -> Finding:
    """What a worker's /metrics tells of the cards."""
    from tasks.engines.cards import free_bytes
    from tasks.worker.metrics import Cards

    values = {
        (sample.name, sample.labels["gpu"]): sample.value for family in Cards().collect() for sample in family.samples
    }
    gpus = sorted({gpu for _, gpu in values})
    assert gpus, "NVML lists no card"
    notes = [
        f"{gpu}: {card_name(int(gpu))}, {values['parley_gpu_memory_total_bytes', gpu] / 1e9:.0f} GB, "
        f"{(free_bytes(int(gpu)) or 0) / 1e9:.0f} GB free, "
        + ("use is told" if ("parley_gpu_utilization_ratio", gpu) in values else "use is not told")
        for gpu in gpus
    ]
    return Finding(note="; ".join(notes))


def card_name(number: int) -> str:
    import pynvml  # type: ignore[import-untyped]

    pynvml.nvmlInit()
    name = pynvml.nvmlDeviceGetName(pynvml.nvmlDeviceGetHandleByIndex(number))
    driver = pynvml.nvmlSystemGetDriverVersion()
    pynvml.nvmlShutdown()
    return " driver ".join(one.decode() if isinstance(one, bytes) else str(one) for one in (name, driver))


@contextmanager
def ballast() -> Iterator[Callable[[int], int]]:
    """A function that leaves so many megabytes of the card free, and says how many are."""
    line = (sys.executable, "-m", "scripts.bench.card.ballast")
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        asks, answers = process.stdin, process.stdout

        def leave(mb: int) -> int:
            asks.write(f"{mb}\n")
            asks.flush()
            word, _, free = answers.readline().partition(" ")
            assert word == "ready", "the process that was to fill the card has failed"
            return int(free)

        try:
            yield leave
        finally:
            with suppress(BrokenPipeError):
                asks.close()


def step_down(device: str, folder: Path) -> Finding:
    """Recognition on a card with little room, each time more, until there is enough of it."""
    from tasks.engines import loading

    config = settings(device, folder, compute_type="float16")

    def ready() -> str:
        """With its model on the card, also after it had to leave."""
        where = loading.recogniser(config, MODEL).device
        recognised(config, WARM_UP_S, 1)
        return where

    def work() -> list[str]:
        result = recognised(config, CROWDED_S, 32)
        words(result)
        return codes(result.warnings)

    return _crowded(ready, work)


def diarization_step_down(device: str, folder: Path) -> Finding:
    """Diarization, the same way."""
    from tasks.engines import loading, memory
    from tasks.stages.diarize import DiarizeOptions, diarize

    config, sound = settings(device, folder), samples(CROWDED_S)

    def ready() -> str:
        where = str(loading.diarization(config).device.type)
        memory.give_back()  # torch would go on with what it kept from before
        return where

    def work() -> list[str]:
        return codes(diarize(sound, DiarizeOptions(), loading.diarization(config), lambda _share: None).warnings)

    return _crowded(ready, work)


def _crowded(ready: Callable[[], str], work: Callable[[], list[str]]) -> Finding:
    """What `work` steps down to with more and more of the card left. `ready` makes the model ready while the whole card
    is free, and says where it is; it has to come back each time that it had to leave."""
    notes, moves = list[str](), 0
    with ballast() as leave:
        for mb in LEFT_MB:
            leave(ALL)
            where = ready()
            assert where == "cuda", f"the card has room again, and the model is on {where}"
            free = leave(mb)
            steps = work()
            moves += "moved_to_cpu" in steps
            notes.append(f"{free} MB left: {' and '.join(steps) or 'enough'}")
            if not steps:
                break
        leave(ALL)
        assert ready() == "cuda", "the card has room again, and the model is not on it"
    assert len(notes) > 1, f"no step down, {notes[0]}"
    back = f"back on the card {moves} of {moves} times" if moves else "never had to leave the card"
    return Finding(note="; ".join((*notes, back)))


def one_each(device: str, folder: Path) -> Finding:
    """A process for each card, side by side; the rate is that of all."""
    import pynvml

    pynvml.nvmlInit()
    count = pynvml.nvmlDeviceGetCount()
    pynvml.nvmlShutdown()
    processes = max(2, count)
    listed = ",".join(str(number) for number in range(count))
    line = (sys.executable, "-m", "scripts.bench.card.probes", "member", device, str(folder), listed)
    members = [
        subprocess.Popen((*line, str(number), str(processes)), stdout=subprocess.PIPE, text=True)
        for number in range(processes)
    ]
    outputs = [member.communicate()[0] for member in members]
    assert all(member.returncode == 0 for member in members), "a process failed; what it said is above"
    findings = [Finding(**json.loads(text.splitlines()[-1])) for text in outputs]
    rate = sum(finding.rate or 0.0 for finding in findings)
    return Finding(rate, note=f"{processes} processes on {count} cards: {', '.join(one.note for one in findings)}")


def member(device: str, folder: Path, listed: str, number: str, processes: str) -> Finding:
    """One of them, which takes its share of the cards as a process of a worker's pool does."""
    from tasks.engines import cards

    share = cards.take(listed, int(number), int(processes))
    config = settings(device, folder, compute_type="float16", cuda_visible_devices=listed)
    recognised(config, WARM_UP_S, 8)
    began = time.perf_counter()
    words(recognised(config, CARD_S, 8))
    return Finding(CARD_S / (time.perf_counter() - began), note=f"card {','.join(share)}")


PROBES: dict[str, Callable[..., Finding]] = {
    probe.__name__: probe
    for probe in (nvml, recognition, diarization, step_down, diarization_step_down, one_each, member)
}


def main() -> None:
    name, device, folder, *arguments = sys.argv[1:]
    print(json.dumps(asdict(PROBES[name](device, Path(folder), *arguments))), flush=True)


if __name__ == "__main__":
    main()
