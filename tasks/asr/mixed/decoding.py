"""Decoding a recording of several languages: each passage in its own, where that is likelier than the main one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from shared.transcript import Caveat, Progress
from tasks.asr.decoding import TranscribeOptions, decode
from tasks.asr.language import CLEAR, VOTE_S
from tasks.asr.mixed.passages import Mixture, Passage
from tasks.asr.packing import Packing
from tasks.asr.segments import Utterance
from tasks.asr.vad import Read
from tasks.engines.recogniser import Recogniser
from tasks.engines.step_down import StepDown

MIN_PASSAGE_S = VOTE_S
"""Speech from which on a passage is recognised in its own language. A shorter one, a quotation, is only told of."""

MIN_TOLD_S = 4.0
"""Speech from which on a passage is told of."""


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Speech that is decoded in one go; `utterances` where that was done already."""

    speech: Packing
    utterances: tuple[Utterance, ...] | None = None


class MixedDecoder:
    """As `decode`, and `caveats` tell afterwards where another language was heard.

    A passage in another language than that of the options is decoded in both, and counts where its own is likelier.
    Where none does in a window, that is decoded as if nobody had looked.
    """

    def __init__(self, read: Read, options: TranscribeOptions, recogniser: Recogniser, step_down: StepDown) -> None:
        self.caveats: list[Caveat] = []
        self._read, self._options, self._recogniser = read, options, recogniser
        self._step_down = step_down

    def decode(self, mixture: Mixture, progress: Progress) -> Iterator[Utterance]:
        """What is said in the passages, window after window."""
        lengths = [sum(passage.speech.duration for passage in window) for window in mixture.windows]
        before = 0.0
        for window, length in zip(mixture.windows, lengths, strict=True):

            def report(share: float, before: float = before, length: float = length) -> None:
                progress(min(1.0, (before + share * length) / sum(lengths)))

            yield from self._window(window, length, report)
            before += length

    def _window(self, passages: Sequence[Passage], length: float, progress: Progress) -> Iterator[Utterance]:
        main = self._options.language or ""
        others = sum(passage.speech.duration for passage in passages if _counts(passage, main))
        progress_s = 0.0
        stretches: list[_Stretch] = []
        for passage in passages:
            utterances = None
            if _counts(passage, main):
                seconds = passage.speech.duration

                def report(share: float, progress_s: float = progress_s, seconds: float = seconds) -> None:
                    progress((progress_s + share * seconds) / length)

                utterances = self._in_its_language(passage, report)
                progress_s += seconds
            if utterances is None and stretches and stretches[-1].utterances is None:
                stretches[-1] = _Stretch(Packing((*stretches[-1].speech.spans, *passage.speech.spans)))
            else:
                stretches.append(_Stretch(passage.speech, utterances))
        rest = sum(stretch.speech.duration for stretch in stretches if stretch.utterances is None)
        decoded = 0.0
        for stretch in stretches:
            if stretch.utterances is not None:
                yield from stretch.utterances
                continue

            def follow(share: float, decoded: float = decoded, seconds: float = stretch.speech.duration) -> None:
                looked = others / length
                progress(min(1.0, looked + (1 - looked) * (decoded + share * seconds) / rest))

            yield from self._decode(stretch.speech, main, follow)
            decoded += stretch.speech.duration

    def _in_its_language(self, passage: Passage, progress: Progress) -> tuple[Utterance, ...] | None:
        """What is said in the passage; None where its language is unlikely, or it is too short to matter."""
        main = self._options.language or ""
        # repairs make sense of any language: they are for the one that is chosen
        in_main = tuple(self._decode(passage.speech, main, lambda share: progress(share / 3), repairs=False))
        in_own = tuple(
            self._decode(passage.speech, passage.language, lambda share: progress((1 + share) / 3), repairs=False)
        )
        if _likelihood(in_own) <= _likelihood(in_main):
            return None
        is_long = passage.speech.duration >= MIN_PASSAGE_S
        remark = (
            f"was recognised as {passage.language!r}" if is_long else f"is too short: it was recognised as {main!r}"
        )
        message = f"{passage.language!r} is spoken here, and {main!r} in most of the recording. It {remark}."
        spans = passage.speech.spans
        self.caveats.append(Caveat("languages_mixed", message, spans[0].start, spans[-1].end))
        if not is_long:
            return None
        return tuple(self._decode(passage.speech, passage.language, lambda share: progress((2 + share) / 3)))

    def _decode(
        self, speech: Packing, language: str, progress: Progress, *, repairs: bool = True
    ) -> Iterator[Utterance]:
        options = replace(self._options, language=language)
        return decode(self._read, [speech], options, self._recogniser, progress, self._step_down, repairs=repairs)


def _counts(passage: Passage, main: str) -> bool:
    return passage.language != main and passage.probability >= CLEAR and passage.speech.duration >= MIN_TOLD_S


def _likelihood(utterances: Sequence[Utterance]) -> float:
    """Mean log probability of what was decoded; nothing is the least likely."""
    letters = sum(len(utterance.text) for utterance in utterances)
    return sum(u.avg_logprob * len(u.text) for u in utterances) / letters if letters else float("-inf")
