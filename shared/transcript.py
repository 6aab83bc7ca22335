"""What the stages hand to each other. All times are seconds from the start of the recording.

Every class is frozen and plain, so a value can be hashed, compared and stored as JSON
(`to_json` / `from_json`) without losing anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import TypeAdapter

SAMPLE_RATE = 16_000
"""Samples per second of the audio that the stages after convert read: signed 16 bit, mono unless channels are split."""

Progress = Callable[[float], None]
"""Called by a stage with the share of its work done, 0..1. It may raise `Interrupted` to stop the stage."""


@dataclass(frozen=True, slots=True)
class Word:
    """One spoken word. `text` carries the model's own leading space; `confidence` is 0..1."""

    start: float
    end: float
    text: str
    confidence: float
    speaker: str | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of speech by at most one speaker. `words` is empty only when the model gave none."""

    id: int
    start: float
    end: float
    text: str
    confidence: float
    speaker: str | None = None
    words: tuple[Word, ...] = ()


Finished = Callable[[Sequence[Segment]], None]
"""Called by a stage with segments that nothing will change any more, in order, each once."""


@dataclass(frozen=True, slots=True)
class SpeakerTurn:
    """One speaker talking without a break."""

    start: float
    end: float
    speaker: str


@dataclass(frozen=True, slots=True)
class Speaker:
    """A voice of the finished transcript and how long it talks, in seconds. `name` is what a correction calls it."""

    id: str
    seconds: float
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Caveat:
    """Something a reader should know before trusting the text. `code` is stable; times may be absent."""

    code: str
    message: str
    start: float | None = None
    end: float | None = None


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the recording."""

    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Quality:
    """How far the text can be trusted. Nothing of it was checked by ear: all comes from the models themselves.

    speech_seconds : in which voice activity detection hears somebody; with several channels, on each of them
    dropped : stretches of speech for which there are no words; `dropped_seconds` is the speech in them
    loops : stretches in which the recogniser repeats itself
    damaged : stretches of which sound is missing in the recording
    low_confidence : stretches whose words have a mean confidence below a half
    overlap_seconds : in which several speakers talk at once; None where speakers are not told apart
    uncertain_words : words with a confidence below a half, out of `words`
    mean_confidence : of all words; None without words
    """

    speech_seconds: float
    dropped_seconds: float
    dropped: tuple[Stretch, ...]
    loops: tuple[Stretch, ...]
    low_confidence: tuple[Stretch, ...]
    overlap_seconds: float | None
    words: int
    uncertain_words: int
    mean_confidence: float | None
    damaged: tuple[Stretch, ...] = ()


@dataclass(frozen=True, slots=True)
class Shard:
    """A part of a long recording that is recognised on its own.

    It answers for what is said from `start` to `end`, where the next one begins, and hears `heard_from`..`heard_to`:
    more than that only where its bounds do not lie in silence.
    """

    start: float
    end: float
    heard_from: float
    heard_to: float


@dataclass(frozen=True, slots=True)
class Conversion:
    """What convert found out while it decoded: the length counted in samples, never taken from a header.

    `shards` are the parts in which a long recording is recognised, in order and without gaps; none for a short one.
    `warnings` are about the sound: what of it is missing, or was not as it should be.
    """

    duration: float
    skipped_packets: int = 0
    container: str = ""
    codec: str = ""
    channels: int = 1
    shards: tuple[Shard, ...] = ()
    warnings: tuple[Caveat, ...] = ()


@dataclass(frozen=True, slots=True)
class Transcription:
    """What speech recognition says about a recording or one shard of it, before anyone knows who spoke.

    `duration`, the warnings and the figures are of the part from `shard.start` to `shard.end`; the segments are of all
    that was heard, so that where shards overlap both have the same words.

    Where each channel was recognised on its own, segments have the channel as their speaker and `turns` are what voice
    activity detection hears on each; segments of two speakers may overlap then.
    """

    language: str
    language_probability: float
    duration: float
    model: str
    segments: tuple[Segment, ...]
    warnings: tuple[Caveat, ...] = ()
    speech_seconds: float = 0.0
    dropped_seconds: float = 0.0
    dropped: tuple[Stretch, ...] = ()
    turns: tuple[SpeakerTurn, ...] | None = None
    shard: Shard | None = None


@dataclass(frozen=True, slots=True)
class Diarization:
    """Who spoke when. `turns` may overlap; `exclusive` never does and decides who said a word."""

    turns: tuple[SpeakerTurn, ...]
    exclusive: tuple[SpeakerTurn, ...]
    warnings: tuple[Caveat, ...] = ()


@dataclass(frozen=True, slots=True)
class Transcript:
    """The finished answer: words, segments and speakers of one recording. Old ones have no `quality`.

    script : that its Chinese text was put into; None where none was asked for, or nothing is Chinese
    """

    language: str
    language_probability: float
    duration: float
    model: str
    segments: tuple[Segment, ...]
    speakers: tuple[Speaker, ...] = ()
    turns: tuple[SpeakerTurn, ...] = ()
    warnings: tuple[Caveat, ...] = field(default=())
    quality: Quality | None = None
    script: str | None = None

    @property
    def text(self) -> str:
        """The words in order, one line of text."""
        return " ".join(s.text.strip() for s in self.segments if s.text.strip())


T = TypeVar("T")
_adapters: dict[type[Any], TypeAdapter[Any]] = {}


def _adapter(kind: type[T]) -> TypeAdapter[T]:
    if kind not in _adapters:
        _adapters[kind] = TypeAdapter(kind)
    return _adapters[kind]


def to_json(value: Any) -> bytes:
    """JSON bytes of any class above."""
    return _adapter(type(value)).dump_json(value)


def from_json(kind: type[T], data: bytes) -> T:
    """The value that `to_json` wrote. Raises pydantic.ValidationError when `data` is something else."""
    return _adapter(kind).validate_json(data)
