"""Speech recognition: 16 kHz audio in, words with times and confidences out.

The recording is gone through twice: once by the voice activity detector (0.2 % of the audio's duration on one core),
then, silence left out, by Whisper (Radford et al. 2022, https://arxiv.org/abs/2212.04356) as faster-whisper runs it.
Both work in windows, so memory does not grow with the recording.
"""

from __future__ import annotations

from dataclasses import replace

from shared.transcript import Finished, Progress, Shard, Transcription
from tasks.asr import checks
from tasks.asr.decoding import TranscribeOptions
from tasks.asr.language import Language, check_language
from tasks.asr.part import SCAN_SHARE, WINDOW_S, find_languages, listen, nothing_said, recognise
from tasks.asr.vad import Read
from tasks.engines.recogniser import Recogniser


def transcribe(
    read: Read,
    duration: float,
    options: TranscribeOptions,
    recogniser: Recogniser,
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
    "". Other warnings: `repetition_loop`, `text_on_silence`, `dropped_speech`, `language_uncertain`, `languages_mixed`.

    Raises InvalidRequest when the model cannot do what is asked, TranscriptionError when the engine fails, OutOfMemory
    when there is no memory even for one piece at once on the CPU. What was done for want of memory is a warning.
    """
    code = check_language(options.language, options.task, options.model, recogniser)
    preset = Language(code, 1.0) if code else decided
    place = shard or Shard(offset, offset + duration, offset, offset + duration)
    part = listen(read, place, window_s, lambda share: progress(SCAN_SHARE * share))
    if not part.packings:
        progress(1.0)
        return nothing_said(preset, place, options)
    language, mixture = preset, None
    if language is None or not code:
        language, (mixture,) = find_languages([part], decided, options, recogniser, lambda: progress(SCAN_SHARE))
    transcription = recognise(
        part,
        replace(options, language=language.code),
        recogniser,
        lambda share: progress(SCAN_SHARE + (1 - SCAN_SHARE) * share),
        finished,
        mixture,
    )
    progress(1.0)
    return Transcription(
        language.code,
        language.probability,
        part.core.duration,
        options.model,
        transcription.segments,
        checks.joined([*language.caveats, *checks.language_doubt(language), *transcription.warnings]),
        part.speech_seconds,
        transcription.dropped_seconds,
        transcription.dropped,
        shard=place,
    )
