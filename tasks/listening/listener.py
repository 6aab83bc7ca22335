"""One live session's recogniser: samples in, events out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from shared.errors import OutOfMemory, ParleyError, TranscriptionError
from shared.live_events import Final, LiveEvent, LiveWord, Partial, SpeechStarted, SpeechStopped
from shared.transcript import SAMPLE_RATE
from tasks.asr.vad import MIN_FAINT_S, Span
from tasks.engines.faster_whisper import FasterWhisper
from tasks.engines.recogniser import Samples
from tasks.engines.speech_errors import engine_errors
from tasks.engines.step_down import StepDown
from tasks.listening.bounds import LEAD_S, TAIL_S, Begin, End, UtteranceBounds, frames
from tasks.listening.decoder import Decoder
from tasks.listening.detector import FRAME, FRAME_S, SpeechDetector
from tasks.listening.finals import Finals, FinalText
from tasks.listening.options import ListenOptions
from tasks.listening.partials import Partials
from tasks.listening.speakers import Speakers, Voice, embed
from tasks.listening.tape import Tape
from tasks.listening.words import DraftWord, changed

T = TypeVar("T")

BLOCK = SAMPLE_RATE
"""Samples that are looked at before older ones are dropped."""

QUIET_S = 10.0
"""After so much silence, listening begins anew at a time that is kept for `resume_s`."""

SURELY_QUIET_S = 1.0
OVERLAP_S = 0.5
"""It has lasted for the one and begins anew the other earlier, so that no soft beginning of a word is lost."""

LONGEST_WAIT_S = 60.0
"""Without an utterance, in noise that is never quiet for long, no more than so much is kept."""

LONGEST_AHEAD_S = 10.0
"""The final of a longer utterance is not made before its end is sure: it would cost too much to make it in vain."""


class Listener:
    """Hears one session. It begins anew behind each final, so that what it says does not depend on anything before:
    another one that is given `start_s=resume_s`, `utterance`, `language` and `voices` of this one, and the samples from
    there, has the same finals.

    language : that of the session, as far as it is known
    resume_s : where another one may begin, in seconds of the session. It is the end of the last final, or later
    utterance : the number of the utterance that is heard or that comes next
    steps : counts on while it works, with each frame and each answer of a model
    voices : what speakers are known by, where they are to be told apart
    final_model_error : why the larger model is asked no more
    speaker_error : why speakers are told apart no more
    passes, missed : partials that were made, and those that were due and not made because too much came at once
    """

    def __init__(
        self,
        recogniser: FasterWhisper,
        options: ListenOptions | None = None,
        *,
        start_s: float = 0.0,
        utterance: int = 0,
        language: str | None = None,
        voices: bytes | None = None,
        on_answer: Callable[[], None] | None = None,
    ) -> None:
        """`on_answer` is called with each answer of a model that recognises speech, and before it is asked."""
        options = options or ListenOptions()
        self._on_answer = on_answer
        self._decoder = Decoder(recogniser, options.hotwords, self._count_step)
        self._step_down = StepDown("Speech recognition", 1, recogniser.to_cpu)
        self._finals = Finals(self._decoder, options)
        self._larger: Finals | None = None
        self.final_model_error: ParleyError | None = None
        if options.final_model:
            decoder = Decoder(options.final_model, options.hotwords, self._count_step)
            self._larger, self._turn = Finals(decoder, options), options.final_turn
            self._larger_step_down = StepDown("Speech recognition", 1, options.final_model.to_cpu)
        self._embedding, self._voices = options.speaker_embedding, voices
        self._speakers = Speakers(options.most_speakers, voices) if self._embedding else None
        self.speaker_error: ParleyError | None = None
        self._every = round(options.partial_every_s * SAMPLE_RATE)
        self.language = options.language or language
        self.utterance = utterance
        self.steps = self.passes = self.missed = 0
        self._origin = round(start_s * SAMPLE_RATE)
        self._tape = Tape()
        self._carried: list[DraftWord] = []
        self._draft_text = ("", "")
        self._partial_end = self._next_pass = 0
        self._begin_anew(0)

    @property
    def resume_s(self) -> float:
        return self._origin / SAMPLE_RATE

    @property
    def voices(self) -> bytes | None:
        return self._speakers.state if self._speakers else self._voices

    @property
    def is_speaking(self) -> bool:
        """Whether an utterance goes on."""
        return self._bounds.start is not None

    def feed(self, samples: Samples) -> list[LiveEvent]:
        """What the next samples tell: mono, 16 kHz, in [-1, 1], shape (n,). However many they are, there is one
        partial at most: whoever is late shows the present.

        Raises `TranscriptionError` or `OutOfMemory` when an engine fails; the Listener is of no use afterwards.
        """
        events: list[LiveEvent] = []
        for first in range(0, len(samples), BLOCK):
            self._tape.add(np.asarray(samples[first : first + BLOCK], np.float32))
            events += self._follow()
        return events if self._hear_ahead() else [*events, *self._partial(len(samples))]

    def finish(self) -> list[LiveEvent]:
        """What is left to say when no more samples come, or when the next are to begin anew. Raises as `feed`."""
        end = self._bounds.end()
        return [] if end is None else list(self._end(end))

    def _count_step(self) -> None:
        self.steps += 1
        if self._on_answer:
            self._on_answer()

    def _begin_anew(self, place: int) -> None:
        """Forget the samples before `place`, and all that was made of any."""
        self._tape.drop(place)
        self._origin += place
        self._detector, self._bounds = SpeechDetector(), UtteranceBounds()
        self._partials: Partials | None = None
        self._ahead: tuple[_Utterance, FinalText, Voice | None] | None = None

    def _follow(self) -> Iterator[LiveEvent]:
        """Look at all frames that are complete."""
        while (at := self._bounds.count * FRAME) + FRAME <= len(self._tape):
            self.steps += 1
            with engine_errors("voice activity detection"):
                probability = self._detector.probability(self._tape.cut(at, at + FRAME))
            mark = self._bounds.add(probability)
            if isinstance(mark, Begin):
                yield self._begin(mark)
            elif isinstance(mark, End):
                yield from self._end(mark)
            elif self._bounds.quiet >= frames(SURELY_QUIET_S) and self._bounds.count >= frames(QUIET_S):
                self._begin_anew((self._bounds.count - frames(OVERLAP_S)) * FRAME)
            elif self._bounds.start is None and self._bounds.count >= frames(LONGEST_WAIT_S):
                # what is older can be part of no utterance any more
                self._begin_anew((self._bounds.count - frames(MIN_FAINT_S + LEAD_S + OVERLAP_S)) * FRAME)

    def _begin(self, mark: Begin) -> SpeechStarted:
        start = self._time(mark.at)
        self._partials = Partials(self._decoder, start, self.language, self._carried)
        self._carried, self._draft_text = [], ("", "")
        self._partial_end, self._next_pass = mark.at * FRAME, self._bounds.count * FRAME + self._every
        return SpeechStarted(self.utterance, start)

    def _end(self, mark: End) -> Iterator[LiveEvent]:
        """The final; the next utterance begins behind it at the earliest."""
        first, behind = self._bounds.start or 0, mark.at * FRAME
        start, end = self._time(first), self._time(mark.at)
        committed: list[str] = []
        if partials := self._partials:
            if mark.is_cut:
                self._carried = _somewhere(self._step_down, lambda: partials.carried(end))
            committed = [word.text for word in partials.draft.committed]
        yield SpeechStopped(self.utterance, end)
        final, voice = self._final(mark.at)
        if final.is_sure:
            self.language = final.language
        spoken = self._bounds.speech(mark.at)
        words = _placed(final, start, end, self._time(spoken[0][0]) - start if spoken else 0.0)
        replaced = changed(committed, [word.text for word in words])
        yield Final(
            self.utterance,
            start,
            end,
            final.text,
            words,
            final.language,
            replaced,
            self._speakers.assign(voice) if self._speakers and voice else None,
            is_cut=mark.is_cut,
            model=final.model,
        )
        self.utterance += 1
        self._begin_anew(behind)

    def _final(self, behind: int) -> tuple[FinalText, Voice | None]:
        """What the utterance says that ends before this frame, and whose voice it may be."""
        first = self._bounds.start or 0
        speech = [Span((a - first) * FRAME_S, (b - first) * FRAME_S) for a, b in self._bounds.speech(behind)]
        utterance = _Utterance(first, behind, self.language, tuple(speech))
        if self._ahead and self._ahead[0] == utterance:
            return self._ahead[1:]
        samples = self._tape.cut(first * FRAME, behind * FRAME)
        self._count_step()
        text = self._recognise(samples, speech)
        voice = self._hear_voice(samples, speech) if text.words else None
        self._ahead = utterance, text, voice
        return text, voice

    def _hear_voice(self, samples: Samples, speech: Sequence[Span]) -> Voice | None:
        """None where speakers are not told apart, and from the first failure on."""
        if self._embedding is None or self.speaker_error:
            return None
        try:
            with engine_errors("telling speakers apart"):
                return embed(self._embedding, samples, speech)
        except (OutOfMemory, TranscriptionError) as error:
            self.speaker_error = error
            return None
        finally:
            self.steps += 1

    def _hear_ahead(self) -> bool:
        """Make the final where the utterance seems to end, so that it is there when that is sure. Whether it did.
        A larger model would cost too much."""
        bounds = self._bounds
        end = bounds.end()
        if self._larger or end is None or end.at <= bounds.last_speech + frames(TAIL_S):
            return False
        is_long = (end.at - (bounds.start or 0)) * FRAME_S > LONGEST_AHEAD_S
        if is_long or (self._ahead and self._ahead[0].behind == end.at):
            return False
        self._final(end.at)
        return True

    def _recognise(self, samples: Samples, speech: Sequence[Span]) -> FinalText:
        """By the larger model, if there is one that knows the language, has time and does not fail; else by that of the
        partials."""
        if larger := self._larger:
            try:
                with engine_errors("speech recognition"):
                    is_known = larger.knows(self.language, self._finals.languages)
                with self._turn.take() if is_known else nullcontext(False) as has_turn:
                    if has_turn:
                        return _somewhere(self._larger_step_down, lambda: larger.hear(samples, self.language, speech))
            except (OutOfMemory, TranscriptionError) as error:
                self._larger, self.final_model_error = None, error
        return _somewhere(self._step_down, lambda: self._finals.hear(samples, self.language, speech))

    def _partial(self, fed: int) -> Iterator[Partial]:
        """A pass, where it is time for one and anything was said since the last; `fed` samples have come together."""
        partials, now = self._partials, len(self._tape)
        if partials is None or now < self._next_pass or (self._bounds.last_speech + 1) * FRAME <= self._partial_end:
            return
        self._count_step()
        self.passes += 1
        self.missed += min(now - self._next_pass, fed) // self._every
        self._partial_end, self._next_pass = now, now + self._every
        samples = self._tape.cut(round(partials.start * SAMPLE_RATE) - self._origin, now)
        if _somewhere(self._step_down, lambda: partials.hear(samples)) and partials.draft.text != self._draft_text:
            self._draft_text = partials.draft.text
            start = self._time(self._bounds.start or 0)
            yield Partial(self.utterance, start, *self._draft_text, partials.language)

    def _time(self, frame: int) -> float:
        return (self._origin + frame * FRAME) / SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class _Utterance:
    """All that a final depends on: frames of the utterance, the language, and where somebody speaks in it."""

    first: int
    behind: int
    language: str | None
    speech: tuple[Span, ...]


def _somewhere(step_down: StepDown, work: Callable[[], T]) -> T:
    """What `work` gives, on the CPU if it has no memory on a card."""
    with engine_errors("speech recognition"):
        while True:
            try:
                return work()
            except Exception as error:  # noqa: BLE001 - whatever is not for want of memory is raised again
                step_down.take(error)


def _placed(final: FinalText, start: float, end: float, onset: float) -> tuple[LiveWord, ...]:
    """The words in the times of the session, in order. The first begins with the speech, `onset` seconds behind the
    start, if the decoder put it into the silence before."""
    words: list[LiveWord] = []
    for word in final.words:
        earliest = words[-1].end if words else start + min(onset, word.end)
        begins = min(max(start + word.start, earliest), end)
        ends = min(max(begins, start + word.end), end)
        words.append(LiveWord(word.text.strip(), round(begins, 3), round(ends, 3), word.confidence))
    return tuple(words)
