"""The measures of `scripts.evaluate` on small inputs whose figures can be counted by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.evaluate.corpus import Recording, TimedWord
from scripts.evaluate.measures import (
    Losses,
    WordErrors,
    cp_word_errors,
    losses,
    scores,
    speaker_errors,
    time_errors,
    word_errors,
)
from scripts.evaluate.scenes import Utterance
from scripts.evaluate.table import BEGIN, END, Row, rewritten, tables
from shared.transcript import SpeakerTurn, Stretch, Word


def words(text: str, start: float = 0.0, speaker: str | None = None) -> list[Word]:
    """A word each second, half a second long."""
    return [Word(start + n, start + n + 0.5, " " + each, 1.0, speaker) for n, each in enumerate(text.split())]


def recording(**fields: object) -> Recording:
    values = {"name": "x", "group": "g", "half": "tuning", "audio": Path("x.wav"), "duration": 10.0, "language": "en"}
    return Recording(**{**values, **fields})  # type: ignore[arg-type]


def test_word_errors_are_counted_by_kind() -> None:
    """One word added, one left out and one changed of seven; case, commas, numbers and contractions are no errors."""
    errors = word_errors("the black cat sat on the mat", "The cat sat, well, on the rug.", "en")
    assert errors == WordErrors(reference=7, insertions=1, deletions=1, substitutions=1)
    assert errors.rate == pytest.approx(3 / 7)
    assert word_errors("Twenty-one people, don't you know?", "21 people do not you know", "en").rate == 0
    assert word_errors("你好世界", "你好界", "zh") == WordErrors(reference=4, deletions=1)


def test_speakers_texts_are_matched_whatever_their_names() -> None:
    """Swapped names cost nothing; a word with the wrong speaker costs two errors, a silent speaker all his words."""
    reference = [("a", "good morning"), ("b", "hello you"), ("a", "how are you")]
    swapped = [("1", "hello you"), ("2", "good morning how are you")]
    assert cp_word_errors(reference, swapped, "en") == WordErrors(reference=7)
    moved = [("1", "hello you how"), ("2", "good morning are you")]
    assert cp_word_errors(reference, moved, "en") == WordErrors(reference=7, insertions=1, deletions=1)
    merged = [("1", "good morning hello you how are you")]
    assert cp_word_errors(reference, merged, "en") == WordErrors(reference=7, insertions=2, deletions=2)


def test_speech_is_missed_invented_or_confused() -> None:
    """1 s missed, 2 s false and 3 s confused of 10 s; a collar forgives what lies within it of a turn's bounds."""
    reference = [SpeakerTurn(0, 5, "a"), SpeakerTurn(5, 10, "b")]
    hypothesis = [SpeakerTurn(1, 5, "x"), SpeakerTurn(5, 8, "x"), SpeakerTurn(8, 12, "y")]
    errors = speaker_errors(reference, hypothesis, 20)
    assert (errors.reference, errors.missed, errors.false, errors.confused) == pytest.approx((10, 1, 2, 3))
    assert errors.rate == pytest.approx(0.6)
    late = [SpeakerTurn(0.2, 5.2, "x"), SpeakerTurn(5.2, 10.2, "y")]
    assert speaker_errors(reference, late, 20).rate == pytest.approx(0.06)
    assert speaker_errors(reference, late, 20, 0.25).rate == 0


def test_a_loss_is_flagged_where_the_transcript_says_so() -> None:
    """Two words missing at 2-10 s are flagged by a stretch there and by none elsewhere."""
    spoken = [*words("one two"), *words("five six", 10)]
    text = "one two three four five six"
    assert losses(text, spoken, ()) == Losses(flagged=0, unflagged=2)
    assert losses(text, spoken, [Stretch(5, 7)]) == Losses(flagged=2, unflagged=0)
    assert losses(text, spoken, [Stretch(11.5, 12)]) == Losses(flagged=0, unflagged=2)


def test_times_are_held_against_words_or_the_bounds_of_utterances() -> None:
    """Each right word counts where words have times; else the first and the last of an utterance."""
    timed = recording(words=(TimedWord(0.1, 0.5, "one"), TimedWord(1.0, 1.8, "two"), TimedWord(2.0, 2.5, "three")))
    starts, ends = time_errors(timed, words("one two free"))
    assert starts == pytest.approx([0.1, 0.0])
    assert ends == pytest.approx([0.0, 0.3])
    spoken = recording(utterances=(Utterance(0.2, 2.6, "a", "one, two. Three!"),))
    starts, ends = time_errors(spoken, words("one too three"))
    assert starts == pytest.approx([0.2])
    assert ends == pytest.approx([0.1])


def test_what_is_unknown_is_not_measured() -> None:
    """Without words there is no WER, without turns no DER; speakers are counted."""
    turns = [SpeakerTurn(0, 2, "x")]
    only_text = scores(recording(text="good morning"), words("good morning"), turns)
    assert only_text.words == WordErrors(reference=2)
    assert (only_text.turns, only_text.cp_words, only_text.speakers) == (None, None, None)
    only_turns = scores(recording(turns=(SpeakerTurn(0, 1, "a"), SpeakerTurn(1, 2, "b"))), None, turns)
    assert (only_turns.words, only_turns.losses, only_turns.speakers) == (None, None, (2, 1))


def test_tables_add_errors_up_and_enter_the_document(tmp_path: Path) -> None:
    """Rates are of all words together, not means of rates; only what is between the marks is rewritten."""
    rows = [
        Row("local", name, "calls", "tuning", 60.0, 2.0, 3.0, scores(recording(text=text), words(spoken), None))
        for name, text, spoken in (("a", "red", "read"), ("b", "a green tree", "a green tree"))
    ]
    table = tables(rows)
    assert "**calls** (2 recordings, 120 s, 4 words)" in table
    assert "| local | 25.0 (0 + 0 + 1) |" in table
    document = tmp_path / "quality.md"
    document.write_text(f"Before\n{BEGIN}\nold\n{END}\nAfter\n")
    rewritten(document, table)
    assert document.read_text() == f"Before\n{BEGIN}\n\n{table}\n{END}\nAfter\n"
    document.write_text("no marks")
    with pytest.raises(ValueError, match="no place"):
        rewritten(document, table)
