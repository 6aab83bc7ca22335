"""One channel of a part of a recording: the speech in it, its language, and what is said."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from math import inf

from shared.transcript import Caveat, Finished, Progress, Segment, Shard, Stretch, Transcription
from tasks.asr import checks, quality
from tasks.asr.checks import overlap
from tasks.asr.decoding import TranscribeOptions, decode
from tasks.asr.language import VOTE_S, Excerpt, Language, detect_language
from tasks.asr.mixed.decoding import MixedDecoder
from tasks.asr.mixed.passages import Mixture, find_passages, recount
from tasks.asr.packing import Packing, windows
from tasks.asr.segments import Segmenter, Utterance
from tasks.asr.shard_join import within
from tasks.asr.vad import Read, Span, find_speech, pad
from tasks.engines.recogniser import Recogniser
from tasks.engines.step_down import StepDown

WINDOW_S = 600.0
"""Seconds of audio held at once: 38 MB of samples. A window ends in a pause; every ten minutes that costs nothing."""

SCAN_SHARE = 0.02
"""Part of the progress that finding speech takes: 0.04 s of 2 s for 30 s of audio with base on one core."""


@dataclass(frozen=True, slots=True)
class Part:
    """What one channel of a part of the recording holds: `speech` as it was found, `packings` as it is decoded.

    Of the `whole` that is heard only `core` is answered for; the rest is what another shard is to be joined by.
    """

    core: Span
    whole: Span
    read: Read
    speech: tuple[Span, ...]
    packings: list[Packing]

    @property
    def speech_seconds(self) -> float:
        return overlap(self.core, self.speech)

    @property
    def bounds(self) -> Span:
        """`core` where more is heard, else without a bound."""
        return Span(
            self.core.start if self.whole.start < self.core.start else -inf,
            self.core.end if self.core.end < self.whole.end else inf,
        )

    def answers_for(self, start: float | None, end: float | None) -> bool:
        """Whether what happens then is this part's to tell: its middle is in `core`, or it has no time."""
        return start is None or end is None or self.bounds.start <= (start + end) / 2 < self.bounds.end


@dataclass(frozen=True, slots=True)
class PartTranscription:
    """What was recognised in a part. `dropped` are stretches of speech without words, which hold `dropped_seconds`."""

    segments: tuple[Segment, ...]
    warnings: tuple[Caveat, ...]
    dropped_seconds: float
    dropped: tuple[Stretch, ...]


def listen(read: Read, shard: Shard, window_s: float, progress: Progress) -> Part:
    """Find the speech in all that the shard hears."""
    core, whole = Span(shard.start, shard.end), Span(shard.heard_from, shard.heard_to)
    speech = find_speech(read, whole, window_s, progress)
    return Part(core, whole, read, speech, [Packing(spans) for spans in windows(pad(speech, whole), window_s)])


def find_languages(
    parts: Sequence[Part],
    decided: Language | None,
    options: TranscribeOptions,
    recogniser: Recogniser,
    between: Callable[[], None],
) -> tuple[Language, list[Mixture | None]]:
    """The language of all parts together, at least one of which holds speech; the passages of each that has several.

    With one `decided` for all shards it is that one, else it is voted on, or the one spoken longest where all of a
    mixed recording was looked at.
    """
    language = decided or _vote(parts, options.languages, recogniser, between)
    mixtures = [
        find_passages(part.packings, part.read, language, recogniser, between, options.languages) for part in parts
    ]
    mixed = [mixture for mixture in mixtures if mixture]
    if mixed and not decided:
        unmixed = [part for part, mixture in zip(parts, mixtures, strict=True) if not mixture]
        rest_s = sum(packing.duration for part in unmixed for packing in part.packings)
        language = recount(language, mixed, rest_s)
    caveats = [caveat for mixture in mixed for caveat in mixture.caveats]
    return replace(language, caveats=(*language.caveats, *caveats)), mixtures


def _vote(
    parts: Sequence[Part], allowed: Collection[str], recogniser: Recogniser, between: Callable[[], None]
) -> Language:
    chunks = [
        Excerpt(chunk, part.read) for part in parts for packing in part.packings for chunk in packing.chunks(VOTE_S)
    ]
    # a card that is left is left for what follows, too, which is what its caveat should tell
    step_down = StepDown("Speech recognition", 1, recogniser.to_cpu)
    chunks.sort(key=lambda chunk: chunk.speech.spans[0])
    return detect_language(chunks, recogniser, between, step_down, allowed)


def nothing_said(language: Language | None, place: Shard, options: TranscribeOptions) -> Transcription:
    """The answer for a part without speech."""
    language = language or Language("", 0.0)
    caveat = checks.no_speech()
    return Transcription(
        language.code, language.probability, place.end - place.start, options.model, (), (caveat,), shard=place
    )


def recognise(
    part: Part,
    options: TranscribeOptions,
    recogniser: Recogniser,
    progress: Progress,
    finished: Finished,
    mixture: Mixture | None = None,
) -> PartTranscription:
    """Decode all the speech of a part, in the language of the options. The segments are of all that is heard.

    Passages of a `mixture` that are in another language are decoded in theirs.
    """
    utterances: list[Utterance] = []
    segmenter = Segmenter(part.whole.start, part.whole.end)
    step_down = StepDown("Speech recognition", _at_once(part, options), recogniser.to_cpu)
    mixed = MixedDecoder(part.read, options, recogniser, step_down)
    spoken = (
        mixed.decode(mixture, progress)
        if mixture
        else decode(part.read, part.packings, options, recogniser, progress, step_down)
    )
    for utterance in spoken:
        utterances.append(utterance)
        finished(within(segmenter.add(utterance), part.bounds))
    finished(within(segmenter.close(), part.bounds))
    segments = tuple(segmenter.segments)
    dropped = [
        (stretch, seconds)
        for stretch, seconds in quality.dropped(segments, part.speech, part.whole)
        if part.answers_for(stretch.start, stretch.end)
    ]
    warnings = [
        *checks.loops(segments),
        *checks.compressible(utterances),
        *checks.on_silence(segments, part.speech),
        *checks.unlikely(utterances),
        *checks.echoes(utterances, part.speech, " ".join(filter(None, (options.prompt, options.hotwords)))),
        *quality.dropped_speech(stretch for stretch, _ in dropped),
        *step_down.caveats(),
        *mixed.caveats,
    ]
    if not segments:
        warnings.append(checks.no_speech())
    return PartTranscription(
        segments,
        tuple(warning for warning in warnings if part.answers_for(warning.start, warning.end)),
        sum(seconds for _, seconds in dropped),
        tuple(stretch for stretch, _ in dropped),
    )


def _at_once(part: Part, options: TranscribeOptions) -> int:
    """Effective batch size. Only going below this saves memory."""
    if options.one_by_one:
        return 1
    return min(options.batch_size, max((len(packing.chunks()) for packing in part.packings), default=1))
