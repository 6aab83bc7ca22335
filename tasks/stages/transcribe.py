"""Speech recognition: 16 kHz audio in, words with times and confidences out.

The recording is gone through twice: once by the voice activity detector (0.2 % of the audio's duration on one core),
then, silence left out, by Whisper (Radford et al. 2022, https://arxiv.org/abs/2212.04356) as faster-whisper runs it.
Both work in windows, so memory does not grow with the recording.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import inf

from faster_whisper import WhisperModel

from shared.transcript import Caveat, Finished, Progress, Segment, Shard, Stretch, Transcription
from tasks.stages import quality, speech_checks
from tasks.stages.decoding import TranscribeOptions, decode
from tasks.stages.footing import Footing
from tasks.stages.joining import within
from tasks.stages.speech import Read, Span, find_speech, pad
from tasks.stages.speech_checks import overlap
from tasks.stages.speech_language import VOTE_S, Excerpt, Language, check_language, detect_language
from tasks.stages.speech_packing import Packing, windows
from tasks.stages.speech_segments import Segmenter, Utterance
from tasks.whisper import leave_card

WINDOW_S = 600.0
"""Seconds of audio held at once: 38 MB of samples. The accurate mode needs 550 MB more while it makes the spectrogram,
in one go; batches make theirs 30 s at a time. A window ends in a pause, and every ten minutes that costs nothing."""

SCAN_SHARE = 0.02
"""Part of the progress that finding speech takes: 0.04 s of 2 s for 30 s of audio with base on one core."""


def transcribe(
    read: Read,
    duration: float,
    options: TranscribeOptions,
    model: WhisperModel,
    progress: Progress,
    *,
    finished: Finished = lambda _: None,
    offset: float = 0.0,
    window_s: float = WINDOW_S,
    shard: Shard | None = None,
    decided: Language | None = None,
) -> Transcription:
    """Recognise the speech in the `duration` seconds of a recording that begin at `offset`, or in a `shard` of it.

    read : gives the samples between two times of the recording, asked for at most `window_s` seconds at once
    decided : the language of the whole recording, where that was found out before; the options' goes first
    progress : called after every decoded segment with a share that never goes back; what it raises gets out at once
    finished : called with segments of the result as soon as they are certain

    All times of the result are of the recording, in order and within the part; `duration` is that of the part. With
    nothing said, the result has no segments, the warning `no_speech` and, unless a language was given, the language
    "". Other warnings: `repetition_loop`, `text_on_silence`, `dropped_speech`, `language_uncertain`.

    Raises InvalidRequest when the model cannot do what is asked, TranscriptionError when the engine fails, OutOfMemory
    when there is no memory even for one piece at once on the CPU. What was done for want of memory is a warning.
    """
    code = check_language(options.language, options.task, options.model, model)
    language = Language(code, 1.0) if code else decided
    place = shard or Shard(offset, offset + duration, offset, offset + duration)
    part = listen(read, place, window_s, lambda share: progress(SCAN_SHARE * share))
    if not part.packings:
        progress(1.0)
        return nothing_said(language, place, options)
    language = language or vote([part], model, lambda: progress(SCAN_SHARE))
    said = recognise(
        part,
        replace(options, language=language.code),
        model,
        lambda share: progress(SCAN_SHARE + (1 - SCAN_SHARE) * share),
        finished,
    )
    progress(1.0)
    return Transcription(
        language.code,
        language.probability,
        part.own.duration,
        options.model,
        said.segments,
        speech_checks.joined([*language.caveats, *speech_checks.language_doubt(language), *said.warnings]),
        part.speech_seconds,
        said.dropped_seconds,
        said.dropped,
        shard=place,
    )


@dataclass(frozen=True, slots=True)
class Part:
    """What one channel of a part of the recording holds: `speech` as it was found, `packings` as it is decoded.

    Of the `whole` that is heard only `own` is answered for; the rest is what another shard is to be joined by.
    """

    own: Span
    whole: Span
    read: Read
    speech: tuple[Span, ...]
    packings: list[Packing]

    @property
    def speech_seconds(self) -> float:
        return overlap(self.own, self.speech)

    @property
    def bounds(self) -> Span:
        """`own` where more is heard, else without a bound."""
        return Span(
            self.own.start if self.whole.start < self.own.start else -inf,
            self.own.end if self.own.end < self.whole.end else inf,
        )

    def answers_for(self, start: float | None, end: float | None) -> bool:
        """Whether what happens then is this part's to tell: its middle is `own`, or it has no time."""
        return start is None or end is None or self.bounds.start <= (start + end) / 2 < self.bounds.end


@dataclass(frozen=True, slots=True)
class Said:
    """What was recognised in a part. `dropped` are stretches of speech without words, which hold `dropped_seconds`."""

    segments: tuple[Segment, ...]
    warnings: tuple[Caveat, ...]
    dropped_seconds: float
    dropped: tuple[Stretch, ...]


def listen(read: Read, shard: Shard, window_s: float, progress: Progress) -> Part:
    """Find the speech in all that the shard hears."""
    own, whole = Span(shard.start, shard.end), Span(shard.heard_from, shard.heard_to)
    speech = find_speech(read, whole, window_s, progress)
    return Part(own, whole, read, speech, [Packing(spans) for spans in windows(pad(speech, whole), window_s)])


def vote(parts: Sequence[Part], model: WhisperModel, between: Callable[[], None]) -> Language:
    """The language of all parts together, at least one of which holds speech."""
    chunks = [
        Excerpt(chunk, part.read) for part in parts for packing in part.packings for chunk in packing.chunks(VOTE_S)
    ]
    # a card that is left is left for what follows, too, which is what its caveat should tell
    footing = Footing("Speech recognition", 1, partial(leave_card, model))
    return detect_language(sorted(chunks, key=lambda chunk: chunk.speech.spans[0]), model, between, footing)


def nothing_said(language: Language | None, place: Shard, options: TranscribeOptions) -> Transcription:
    """The answer for a part without speech."""
    language = language or Language("", 0.0)
    caveat = speech_checks.no_speech()
    return Transcription(
        language.code, language.probability, place.end - place.start, options.model, (), (caveat,), shard=place
    )


def recognise(
    part: Part, options: TranscribeOptions, model: WhisperModel, progress: Progress, finished: Finished
) -> Said:
    """Decode all the speech of a part, in the language of the options. The segments are of all that is heard."""
    said: list[Utterance] = []
    segmenter = Segmenter(part.whole.start, part.whole.end)
    footing = Footing("Speech recognition", _at_once(part, options), partial(leave_card, model))
    for utterance in decode(part.read, part.packings, options, model, progress, footing):
        said.append(utterance)
        finished(within(segmenter.add(utterance), part.bounds))
    finished(within(segmenter.close(), part.bounds))
    segments = tuple(segmenter.segments)
    dropped = [
        (stretch, seconds)
        for stretch, seconds in quality.dropped(segments, part.speech, part.whole)
        if part.answers_for(stretch.start, stretch.end)
    ]
    warnings = [
        *speech_checks.loops(segments),
        *speech_checks.compressible(said),
        *speech_checks.on_silence(segments, part.speech),
        *speech_checks.unlikely(said),
        *quality.dropped_speech(stretch for stretch, _ in dropped),
        *footing.caveats(),
    ]
    if not segments:
        warnings.append(speech_checks.no_speech())
    return Said(
        segments,
        tuple(warning for warning in warnings if part.answers_for(warning.start, warning.end)),
        sum(seconds for _, seconds in dropped),
        tuple(stretch for stretch, _ in dropped),
    )


def _at_once(part: Part, options: TranscribeOptions) -> int:
    """Pieces that are really decoded together: less than that helps where memory is short, a smaller batch may not."""
    if options.sequential:
        return 1
    return min(options.batch_size, max((len(packing.chunks()) for packing in part.packings), default=1))
