"""What does the work of the two stages that run models, chosen in one place by `ENGINE`.

A process imports what it does its work with, no more: speech recognition where `asr` is served, torch where `diarize`
is, and neither in the main process of a worker, nor where recordings are fetched, decoded and stored.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from shared.config import Settings
from shared.options import JobOptions
from shared.transcript import Diarization, Finished, Progress, Shard, Transcription
from tasks.asr.vad import Read
from tasks.engines import loading, sleeper

if TYPE_CHECKING:
    from tasks.asr.language import Language
    from tasks.engines.recogniser import Recogniser

AgreeOnLanguage = Callable[[tuple[str, float] | None], tuple[str, float] | None]
"""Takes a language and its probability, or None; gives those of all shards, None while nobody has found one."""


@dataclass(frozen=True, slots=True)
class Recognition:
    """A recording, or one `shard` of it, that is to be recognised.

    duration : seconds of the whole recording
    reads : a function per channel that gives samples of the whole recording
    fingerprint : differs from one recording, model or option to the next
    """

    fingerprint: str
    duration: float
    reads: Sequence[Read]
    shard: Shard | None
    options: JobOptions
    agree_on_language: AgreeOnLanguage
    progress: Progress
    finished: Finished


class Engine(Protocol):
    """What a worker does its stages with."""

    @property
    def has_models(self) -> bool:
        """Whether it takes memory, and perhaps a card."""

    def device(self) -> str:
        """What speech recognition runs on, as `cpu`."""

    def diarization_device(self) -> str:
        """What diarization runs on."""

    def load(self, queues: Collection[str]) -> None:
        """Have ready what stages of these queues need. Raises ModelUnavailable, ModelTooLarge."""

    def transcribe(self, work: Recognition) -> Transcription:
        """What is said."""

    def diarize(
        self, sound: Callable[[], Any], duration: float, options: JobOptions, progress: Progress
    ) -> Diarization:
        """Who speaks when. `sound` gives the samples of the recording, at 16 kHz."""


def engine(config: Settings) -> Engine:
    """The engine that `ENGINE` names."""
    return Sleeper(config) if config.engine == "sleeper" else Models(config)


@dataclass(frozen=True, slots=True)
class Models:
    """Speech recognition by the engine of the model that is asked for, and pyannote's diarization."""

    config: Settings
    has_models: bool = True

    def device(self) -> str:
        return loading.device(self.config)

    def diarization_device(self) -> str:
        return loading.diarization_device(self.config)

    def load(self, queues: Collection[str]) -> None:
        if "asr" in queues:
            import_module("tasks.asr.channels")  # with all of recognition, so that the first task does not wait for it
            loading.recogniser(self.config, "auto")
        if "diarize" in queues:
            loading.diarization(self.config)

    def transcribe(self, work: Recognition) -> Transcription:
        from tasks.asr.channels import transcribe_channels
        from tasks.asr.decoding import TranscribeOptions
        from tasks.stages.transcribe import transcribe

        name = loading.model_name(self.config, work.options.model)
        options = TranscribeOptions(
            model=name,
            language=work.options.language,
            task=work.options.task,
            prompt=work.options.prompt,
            hotwords=work.options.hotwords,
            temperature=work.options.temperature,
            batch_size=self.config.asr_batch_size,
            languages=work.options.possible_languages,
        )
        recogniser = loading.recogniser(self.config, name)
        decided = _language_of_all(work, recogniser) if work.shard and not options.language else None
        more: dict[str, Any] = {"finished": work.finished, "shard": work.shard, "decided": decided}
        if work.options.channels == "split":
            return transcribe_channels(work.reads, work.duration, options, recogniser, work.progress, **more)
        return transcribe(work.reads[0], work.duration, options, recogniser, work.progress, **more)

    def diarize(
        self, sound: Callable[[], Any], duration: float, options: JobOptions, progress: Progress
    ) -> Diarization:
        from tasks.stages.diarize import DiarizeOptions, diarize

        speakers = DiarizeOptions(options.num_speakers, options.min_speakers, options.max_speakers)
        return diarize(sound(), speakers, loading.diarization(self.config), progress)


@dataclass(frozen=True, slots=True)
class Sleeper:
    """Stand-ins that sleep: the pipeline under load without the models' cost."""

    config: Settings
    has_models: bool = False

    def device(self) -> str:
        return "sleeper"

    def diarization_device(self) -> str:
        return "sleeper"

    def load(self, queues: Collection[str]) -> None:
        pass

    def transcribe(self, work: Recognition) -> Transcription:
        part = work.shard or Shard(0.0, work.duration, 0.0, work.duration)
        transcription = sleeper.transcribe(work.fingerprint, part, self.config.sleeper_seconds, work.progress)
        work.finished(transcription.segments)
        return transcription

    def diarize(
        self, sound: Callable[[], Any], duration: float, options: JobOptions, progress: Progress
    ) -> Diarization:
        return sleeper.diarize(duration, self.config.sleeper_seconds, progress)


def _language_of_all(work: Recognition, recogniser: Recogniser) -> Language | None:
    """The language that all shards are recognised in, found by the first worker that has one; None in silence."""
    from tasks.asr.language import Language
    from tasks.asr.long_language import decide_language

    agreed, detection = work.agree_on_language(None), None
    if agreed is None and (
        detection := decide_language(
            work.reads, work.duration, recogniser, lambda: work.progress(0.0), work.options.possible_languages
        )
    ):
        agreed = work.agree_on_language((detection.code, detection.probability))
    return Language(*agreed, caveats=detection.caveats if detection else ()) if agreed else None
