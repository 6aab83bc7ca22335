"""How good a transcript is: word error rate, diarization error rate, words with the right speaker.

For tests and benches; jiwer and pyannote.metrics are imported when a score is asked for.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from shared.transcript import SpeakerTurn, Word


def word_error_rate(reference: str, hypothesis: str) -> float:
    """Substitutions, deletions and insertions per reference word, letter case and punctuation aside."""
    import jiwer

    return float(jiwer.wer(" ".join(plain_words(reference)), " ".join(plain_words(hypothesis))))


def diarization_error_rate(reference: Iterable[SpeakerTurn], hypothesis: Iterable[SpeakerTurn]) -> float:
    """Missed, false and confused speech per second of reference speech.

    The strict form: no collar, overlapping speech counts, the best matching of speakers.
    Source: pyannote.metrics, DiarizationErrorRate.
    """
    from pyannote.core import Timeline
    from pyannote.metrics.diarization import DiarizationErrorRate

    truth, guess = _annotation(reference), _annotation(hypothesis)
    extent = Timeline([*truth.get_timeline(), *guess.get_timeline()]).extent()
    return float(DiarizationErrorRate()(truth, guess, uem=Timeline([extent])))


def speaker_accuracy(reference: Iterable[SpeakerTurn], words: Sequence[Word]) -> float:
    """Share of the words whose speaker is the one who talks at the middle of the word in the reference.

    Speakers are matched one to one so that the share is highest. Words spoken while the reference has nobody are left
    out; 0 when no word is left.
    """
    turns = list(reference)
    overlaps: dict[tuple[str, str], int] = defaultdict(int)
    counted = 0
    for word in words:
        middle = (word.start + word.end) / 2
        present = {turn.speaker for turn in turns if turn.start <= middle < turn.end}
        counted += bool(present)
        for speaker in present:
            overlaps[speaker, word.speaker or ""] += 1
    return _best_matching(overlaps) / counted if counted else 0.0


def read_rttm(path: Path) -> list[SpeakerTurn]:
    """Turns of a NIST RTTM file."""
    return rttm_turns(path.read_text())


def rttm_turns(text: str) -> list[SpeakerTurn]:
    """Turns of the text of such a file (`SPEAKER file channel start duration <NA> <NA> speaker <NA> <NA>`)."""
    rows = (line.split() for line in text.splitlines() if line.startswith("SPEAKER"))
    return [SpeakerTurn(float(row[3]), float(row[3]) + float(row[4]), row[7]) for row in rows]


def read_stm(path: Path) -> list[tuple[SpeakerTurn, str]]:
    """Turns and their text of a NIST STM file (`file channel speaker start end text`)."""
    lines = (line for line in path.read_text().splitlines() if line.strip() and not line.startswith(";;"))
    rows = (line.split(maxsplit=5) for line in lines)
    return [(SpeakerTurn(float(row[3]), float(row[4]), row[2]), row[5] if len(row) > 5 else "") for row in rows]


def plain_words(text: str) -> list[str]:
    """Lower-case words without punctuation; apostrophes inside words stay, typographic ones made plain."""
    return re.findall(r"[^\W_]+(?:'[^\W_]+)*", text.lower().replace("\u2019", "'"))


def _annotation(turns: Iterable[SpeakerTurn]) -> Any:
    from pyannote.core import Annotation, Segment

    annotation = Annotation()
    for track, turn in enumerate(turns):
        annotation[Segment(turn.start, turn.end), track] = turn.speaker
    return annotation


def _best_matching(overlaps: dict[tuple[str, str], int]) -> int:
    """The most words that one-to-one matched speakers can share. `overlaps`: words by (reference, given) speaker."""
    import numpy as np
    from scipy.optimize import linear_sum_assignment

    references = sorted({reference for reference, _ in overlaps})
    speakers = sorted({speaker for _, speaker in overlaps if speaker})
    if not references or not speakers:
        return 0
    table = np.array([[overlaps.get((r, s), 0) for s in speakers] for r in references])
    rows, columns = linear_sum_assignment(table, maximize=True)
    return int(table[rows, columns].sum())
