"""How far a transcript is from what was said.

Words are compared after Whisper's normalizers (Radford et al. 2022, appendix C), so that case, punctuation and "20" for
"twenty" are no errors; Chinese and Japanese by characters. Speakers are matched one to one with the fewest errors.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import median
from typing import Any

import numpy as np

from scripts.bench.scoring import plain_words
from scripts.evaluate.corpus import Recording
from shared.transcript import SpeakerTurn, Stretch, Word

BY_CHARACTER = {"ja", "zh", "yue", "th", "lo", "my"}
"""Languages that are written without spaces."""

LOSS_SLACK_S = 0.5
"""Word times are this far off, so that a loss counts as flagged that lies this near to a flagged stretch."""

COLLAR_S = 0.25
"""Left out on each side of every turn's start and end in the lenient rate, as NIST's md-eval does."""


@dataclass(frozen=True, slots=True)
class WordErrors:
    """How many words were added, left out and changed, of so many in the reference."""

    reference: int = 0
    insertions: int = 0
    deletions: int = 0
    substitutions: int = 0

    def __add__(self, other: WordErrors) -> WordErrors:
        return WordErrors(
            self.reference + other.reference,
            self.insertions + other.insertions,
            self.deletions + other.deletions,
            self.substitutions + other.substitutions,
        )

    @property
    def rate(self) -> float:
        """Per word of the reference."""
        return (self.insertions + self.deletions + self.substitutions) / max(1, self.reference)


@dataclass(frozen=True, slots=True)
class SpeakerErrors:
    """Seconds of speech that was missed, invented or given to somebody else, of so many in the reference."""

    reference: float = 0.0
    missed: float = 0.0
    false: float = 0.0
    confused: float = 0.0

    def __add__(self, other: SpeakerErrors) -> SpeakerErrors:
        return SpeakerErrors(
            self.reference + other.reference,
            self.missed + other.missed,
            self.false + other.false,
            self.confused + other.confused,
        )

    @property
    def rate(self) -> float:
        """Per second of the reference."""
        return (self.missed + self.false + self.confused) / max(1e-9, self.reference)


@dataclass(frozen=True, slots=True)
class Losses:
    """Words that were left out: within stretches that the transcript itself marks as lost, and the others."""

    flagged: int = 0
    unflagged: int = 0


@dataclass(frozen=True, slots=True)
class Scores:
    """What can be measured on one recording; None where the reference or the system does not tell.

    words, losses : of the text
    cp_words : words with their speakers, each speaker's text against that of the one who matches (cpWER)
    turns, turns_lenient : who speaks when, without and with a collar (DER)
    speakers : how many there are, how many were told apart
    start_errors, end_errors : seconds by which words begin and end too early or late
    """

    words: WordErrors | None = None
    losses: Losses | None = None
    cp_words: WordErrors | None = None
    turns: SpeakerErrors | None = None
    turns_lenient: SpeakerErrors | None = None
    speakers: tuple[int, int] | None = None
    start_errors: tuple[float, ...] = ()
    end_errors: tuple[float, ...] = ()


def scores(
    recording: Recording,
    words: Sequence[Word] | None,
    turns: Sequence[SpeakerTurn] | None,
    dropped: Sequence[Stretch] = (),
) -> Scores:
    """Everything that the recording's reference allows to measure of these words and turns."""
    errors = lost = with_speakers = strict = lenient = count = None
    starts: list[float] = []
    ends: list[float] = []
    if recording.text is not None and words is not None:
        errors = word_errors(recording.text, _text(words), recording.language)
        lost = losses(recording.text, words, dropped)
        starts, ends = time_errors(recording, words)
        if recording.utterances is not None and turns is not None:
            with_speakers = cp_word_errors(
                [(utterance.speaker, utterance.text) for utterance in recording.utterances],
                [(word.speaker or "", word.text) for word in words],
                recording.language,
            )
    if recording.turns is not None and turns is not None:
        strict = speaker_errors(recording.turns, turns, recording.duration)
        lenient = speaker_errors(recording.turns, turns, recording.duration, COLLAR_S)
        count = (recording.speakers or 0, len({turn.speaker for turn in turns}))
    return Scores(errors, lost, with_speakers, strict, lenient, count, tuple(starts), tuple(ends))


def normal_words(text: str, language: str) -> list[str]:
    """The words that are compared: Whisper's normalizer for English or for the rest."""
    return str(_normalizer(language)(text)).split()


@cache
def _normalizer(language: str) -> Any:
    from whisper_normalizer.basic import BasicTextNormalizer
    from whisper_normalizer.english import EnglishTextNormalizer

    return EnglishTextNormalizer() if language == "en" else BasicTextNormalizer(split_letters=language in BY_CHARACTER)


def word_errors(reference: str, hypothesis: str, language: str) -> WordErrors:
    """The least edits that make one text of the other."""
    return _edits(normal_words(reference, language), normal_words(hypothesis, language))


def cp_word_errors(
    reference: Iterable[tuple[str, str]], hypothesis: Iterable[tuple[str, str]], language: str
) -> WordErrors:
    """Concatenated minimum-permutation word errors (Watanabe et al. 2020, CHiME-6). Both are (speaker, text) in order.

    The words of a speaker whom nobody matches are all insertions or deletions.
    """
    from scipy.optimize import linear_sum_assignment

    truth, guess = _by_speaker(reference, language), _by_speaker(hypothesis, language)
    size = max(len(truth), len(guess))
    truth += [[]] * (size - len(truth))
    guess += [[]] * (size - len(guess))
    table = [[_edits(one, other) for other in guess] for one in truth]
    costs = np.array([[cell.insertions + cell.deletions + cell.substitutions for cell in row] for row in table])
    if not size:
        return WordErrors()
    rows, columns = linear_sum_assignment(costs)
    return sum((table[row][column] for row, column in zip(rows, columns, strict=True)), WordErrors())


def speaker_errors(
    reference: Iterable[SpeakerTurn], hypothesis: Iterable[SpeakerTurn], duration: float, collar: float = 0.0
) -> SpeakerErrors:
    """Seconds of the recording's `duration`, overlapping speech included; `collar` is left out on each side."""
    from pyannote.core import Annotation, Segment, Timeline
    from pyannote.metrics.diarization import DiarizationErrorRate

    sides = []
    for turns in (reference, hypothesis):
        annotation = Annotation()
        for track, turn in enumerate(turns):
            annotation[Segment(turn.start, turn.end), track] = turn.speaker
        sides.append(annotation)
    rate = DiarizationErrorRate(collar=2 * collar)  # pyannote's collar is both sides together
    parts = rate(*sides, uem=Timeline([Segment(0, duration)]), detailed=True)
    return SpeakerErrors(
        float(parts["total"]), float(parts["missed detection"]), float(parts["false alarm"]), float(parts["confusion"])
    )


def losses(reference: str, words: Sequence[Word], dropped: Sequence[Stretch]) -> Losses:
    """Words left out, by whether the place where they are missing lies in or beside a stretch of `dropped`."""
    tokens, times = _timed(words)
    flagged = unflagged = 0
    for chunk in _chunks(plain_words(reference), tokens):
        if chunk.type != "delete":
            continue
        before = times[chunk.hyp_start_idx - 1].end if chunk.hyp_start_idx else 0.0
        after = times[chunk.hyp_start_idx].start if chunk.hyp_start_idx < len(times) else float("inf")
        count = chunk.ref_end_idx - chunk.ref_start_idx
        if any(stretch.start < after + LOSS_SLACK_S and stretch.end > before - LOSS_SLACK_S for stretch in dropped):
            flagged += count
        else:
            unflagged += count
    return Losses(flagged, unflagged)


def time_errors(recording: Recording, words: Sequence[Word]) -> tuple[list[float], list[float]]:
    """Seconds by which starts and ends are off, of the words that are right.

    Without the time of each word the first and the last of an utterance tell: there its own bounds are known.
    """
    starts: dict[int, float] = {}
    ends: dict[int, float] = {}
    reference: list[str] = []
    if recording.words is not None:
        spans = [(word.start, word.end, word.text) for word in recording.words]
    else:
        spans = [(each.start, each.end, each.text) for each in recording.utterances or ()]
    for start, end, text in spans:
        tokens = plain_words(text)
        if tokens:
            starts[len(reference)] = start
            reference += tokens
            ends[len(reference) - 1] = end
    tokens, times = _timed(words)
    start_errors, end_errors = [], []
    for chunk in _chunks(reference, tokens) if spans else ():
        if chunk.type != "equal":
            continue
        for ref_index, hyp_index in zip(
            range(chunk.ref_start_idx, chunk.ref_end_idx), range(chunk.hyp_start_idx, chunk.hyp_end_idx), strict=True
        ):
            if ref_index in starts:
                start_errors.append(abs(times[hyp_index].start - starts[ref_index]))
            if ref_index in ends:
                end_errors.append(abs(times[hyp_index].end - ends[ref_index]))
    return start_errors, end_errors


def middle(values: Sequence[float]) -> float | None:
    """The median, None of nothing."""
    return median(values) if values else None


def _text(words: Iterable[Word]) -> str:
    return " ".join(word.text.strip() for word in words)


def _timed(words: Sequence[Word]) -> tuple[list[str], list[Word]]:
    """Plain tokens and for each the word that it is of."""
    pairs = [(token, word) for word in words for token in plain_words(word.text)]
    return [token for token, _ in pairs], [word for _, word in pairs]


def _chunks(reference: list[str], hypothesis: list[str]) -> list[Any]:
    """jiwer's alignment of two lists of words."""
    import jiwer

    if not reference:
        return []
    return list(jiwer.process_words(" ".join(reference), " ".join(hypothesis)).alignments[0])


def _edits(reference: list[str], hypothesis: list[str]) -> WordErrors:
    from rapidfuzz.distance import Levenshtein

    counts: dict[str, int] = defaultdict(int)
    for operation in Levenshtein.editops(reference, hypothesis):
        counts[operation.tag] += 1
    return WordErrors(len(reference), counts["insert"], counts["delete"], counts["replace"])


def _by_speaker(lines: Iterable[tuple[str, str]], language: str) -> list[list[str]]:
    texts: dict[str, list[str]] = defaultdict(list)
    for speaker, text in lines:
        texts[speaker].append(text.strip())
    return [normal_words(" ".join(parts), language) for parts in texts.values()]
