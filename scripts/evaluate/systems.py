"""What is measured: Parley in this process or over HTTP, and what else somebody would take.

Every system gets the same WAV and has to find out the language itself. One that is not installed says so.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil

from scripts.bench.client import Client
from scripts.bench.scoring import rttm_turns
from scripts.evaluate.sources import decode
from scripts.weights.fixtures import default_model_dir
from shared.config import Settings
from shared.transcript import SpeakerTurn, Stretch, Word
from tasks.diarization.loading import load_stock, prepare_import

BATCH_SIZE = 8


class NotInstalled(Exception):
    """The system cannot run here; the message is one line for a person."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a system says about a recording; None for what it does not tell."""

    words: tuple[Word, ...] | None
    turns: tuple[SpeakerTurn, ...] | None = None
    dropped: tuple[Stretch, ...] = ()
    language: str = ""


@dataclass(frozen=True, slots=True)
class Setup:
    """How the systems are to run. `url` and `key` are of a Parley that runs already."""

    model: str = "base"
    threads: int = 1
    url: str = ""
    key: str = ""
    model_dir: Path = field(default_factory=default_model_dir)


Hear = Callable[[Path], Answer]
"""Takes a 16 kHz mono 16-bit WAV."""


@contextmanager
def local(setup: Setup) -> Iterator[Hear]:
    """Parley's stages one after another in this process, without servers."""
    from tasks.asr.decoding import TranscribeOptions
    from tasks.engines import loading
    from tasks.pcm import HEADER_BYTES, SAMPLE_BYTES, file_reader
    from tasks.stages.diarize import DiarizeOptions, diarize
    from tasks.stages.merge import merge
    from tasks.stages.transcribe import transcribe

    # Settings ask for addresses of servers, which no stage uses.
    unused = {"database_url": "postgresql+psycopg://x@localhost/x", "redis_url": "redis://localhost:1/0"}
    config = Settings.model_validate({**unused, "model_dir": setup.model_dir, "cpu_threads": setup.threads})
    recogniser = loading.recogniser(config, setup.model)
    pipeline = loading.diarization(config)
    _limit_torch(setup.threads)

    def hear(path: Path) -> Answer:
        read = file_reader(path)
        duration = (path.stat().st_size - HEADER_BYTES) / SAMPLE_BYTES / 16_000
        transcription = transcribe(read, duration, TranscribeOptions(setup.model), recogniser, _ignore)
        voices = diarize(read(0.0, duration), DiarizeOptions(), pipeline, _ignore)
        transcript = merge([transcription], voices)
        words = tuple(word for segment in transcript.segments for word in segment.words)
        dropped = transcript.quality.dropped if transcript.quality else ()
        return Answer(words, transcript.turns, dropped, transcript.language)

    yield hear


@contextmanager
def parley(setup: Setup) -> Iterator[Hear]:
    """Parley over HTTP: the one at `url`, else a stack that is started for it."""
    with ExitStack() as stack:
        url, key = setup.url, setup.key
        if not url:
            from scripts.local.stack import Stack

            home = stack.enter_context(tempfile.TemporaryDirectory(prefix="parley-evaluate-"))
            environ = {**os.environ, "CPU_THREADS": str(setup.threads), "MODEL_DIR": str(setup.model_dir.absolute())}
            started = stack.enter_context(Stack(Path(home), environ=environ))
            url, key = started.url, started.api_key
        client = Client(url, key)

        def hear(path: Path) -> Answer:
            task = client.submit(path, model=setup.model, diarization="true", timestamp_granularity="word")
            client.wait(task)
            return _of_result(client.result(task), client.rttm(task))

        yield hear


@contextmanager
def bare_batched(setup: Setup) -> Iterator[Hear]:
    """faster-whisper's BatchedInferencePipeline."""
    from faster_whisper import BatchedInferencePipeline

    pipeline = BatchedInferencePipeline(_faster_whisper(setup))
    yield lambda path: _of_faster_whisper(pipeline.transcribe(str(path), batch_size=BATCH_SIZE, word_timestamps=True))


@contextmanager
def bare_sequential(setup: Setup) -> Iterator[Hear]:
    """faster-whisper's WhisperModel, with voice activity detection as its README advises."""
    model = _faster_whisper(setup)
    yield lambda path: _of_faster_whisper(model.transcribe(str(path), vad_filter=True, word_timestamps=True))


@contextmanager
def whisperx(setup: Setup) -> Iterator[Hear]:
    """whisperX without its alignment, whose models are on a hub; words get the times of their segment's share."""
    _require("whisperx")
    prepare_import()
    import whisperx as package

    folder = str(setup.model_dir / "whisper" / setup.model)
    model = package.load_model(folder, "cpu", compute_type="int8", threads=setup.threads)

    def hear(path: Path) -> Answer:
        result = model.transcribe(decode(path), batch_size=BATCH_SIZE)
        words = [word for segment in result["segments"] for word in _spread(segment)]
        return Answer(tuple(words), language=str(result["language"]))

    yield hear


@contextmanager
def pyannote(setup: Setup) -> Iterator[Hear]:
    """pyannote's own pipeline on the same weights: only turns."""
    pipeline = load_stock(setup.model_dir / "diarization", token=None)
    _limit_torch(setup.threads)

    def hear(path: Path) -> Answer:
        import torch

        from tasks.pcm import HEADER_BYTES, SAMPLE_BYTES, file_reader

        duration = (path.stat().st_size - HEADER_BYTES) / SAMPLE_BYTES / 16_000
        waveform = torch.from_numpy(file_reader(path)(0.0, duration))[None]
        output = pipeline({"waveform": waveform, "sample_rate": 16_000})
        tracks = output.speaker_diarization.itertracks(yield_label=True)
        return Answer(None, tuple(SpeakerTurn(turn.start, turn.end, str(label)) for turn, _, label in tracks))

    yield hear


SYSTEMS = {
    "local": local,
    "parley": parley,
    "bare-batched": bare_batched,
    "bare-sequential": bare_sequential,
    "whisperx": whisperx,
    "pyannote": pyannote,
}


def timed(hear: Hear, path: Path) -> tuple[Answer, float, float]:
    """The answer, the seconds it took, and the CPU seconds of this process and its children meanwhile."""
    cpu, wall = _cpu_seconds(), time.perf_counter()
    answer = hear(path)
    return answer, time.perf_counter() - wall, _cpu_seconds() - cpu


def _cpu_seconds() -> float:
    total = 0.0
    here = psutil.Process()
    for process in (here, *here.children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        total += times.user + times.system
    return total


def _require(package: str) -> None:
    if find_spec(package) is None:
        raise NotInstalled(f"{package} is not installed")


def _limit_torch(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)


def _faster_whisper(setup: Setup) -> Any:
    from faster_whisper import WhisperModel

    folder = setup.model_dir / "whisper" / setup.model
    return WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=setup.threads)


def _of_faster_whisper(result: tuple[Any, Any]) -> Answer:
    segments, info = result
    words = tuple(
        Word(float(word.start), float(word.end), word.word, float(word.probability))
        for segment in segments
        for word in segment.words or ()
    )
    return Answer(words, language=info.language)


def _of_result(body: dict[str, Any], rttm: str) -> Answer:
    """The answer in a body of GET /result, and the turns."""
    words = tuple(
        Word(word["start"], word["end"], word["word"], word["confidence"], segment.get("speaker"))
        for segment in body["segments"]
        for word in segment["words"]
    )
    quality = body.get("quality") or {"dropped": []}
    dropped = tuple(Stretch(stretch["start"], stretch["end"]) for stretch in quality["dropped"])
    return Answer(words, tuple(rttm_turns(rttm)), dropped, body["language"])


def _spread(segment: dict[str, Any]) -> Iterator[Word]:
    """The words of a segment without times of its own, one as long as another."""
    words = segment["text"].split()
    step = (segment["end"] - segment["start"]) / max(1, len(words))
    for place, word in enumerate(words):
        start = segment["start"] + place * step
        yield Word(start, start + step, word, 1.0)


def _ignore(_share: float) -> None:
    """Nobody watches the progress."""
