"""Speech that the words of an utterance do not stand for."""

from __future__ import annotations

import pytest

from shared.transcript import Word
from tasks.asr.vad import Span
from tasks.listening.gaps import LONGEST_WORD_S, MIN_GAP_S, SLACK_S, fill, gaps, tighten

SENTENCE = [Word(0.4 * n, 0.4 * n + 0.4, f" word{n}", 0.9) for n in range(10)]
"""From 0 to 4 s."""


def test_words_over_all_speech_leave_nothing_out() -> None:
    assert gaps(SENTENCE, [Span(0.1, 2.0), Span(2.3, 4.0 + SLACK_S)]) == []
    assert gaps(SENTENCE, []) == []


def test_a_sentence_behind_the_last_word_is_told() -> None:
    """With the pause within it, and without those around it."""
    speech = [Span(0.1, 4.0), Span(4.4, 6.0), Span(6.2, 7.5)]
    assert gaps(SENTENCE, speech) == [Span(4.4, 7.5)]


def test_a_sentence_between_two_words_is_told() -> None:
    later = [Word(word.start + 8, word.end + 8, word.text, word.confidence) for word in SENTENCE]
    assert gaps([*SENTENCE, *later], [Span(0.0, 4.0), Span(4.5, 7.0), Span(8.1, 12.0)]) == [Span(4.5, 7.0)]


def test_a_breath_is_not_told() -> None:
    assert gaps(SENTENCE, [Span(0.0, 4.0), Span(5.0, 5.0 + MIN_GAP_S - 0.01)]) == []
    assert gaps(SENTENCE, [Span(0.0, 4.0), Span(5.0, 5.0 + MIN_GAP_S + 0.01)]) != []


def test_without_words_all_speech_is_untold() -> None:
    assert gaps([], [Span(0.3, 1.0), Span(1.5, 2.0)]) == [Span(0.3, 2.0)]


def test_the_first_word_of_a_sentence_is_not_stretched_over_the_one_before() -> None:
    """Attention has it begin at once, over a sentence that was left out. It was said where the voice set in last."""
    stretched = [Word(0.0, 4.5, " Half", 0.9), Word(4.5, 4.8, " of", 0.9)]
    speech = [Span(0.3, 2.7), Span(2.8, 4.1), Span(4.35, 6.0)]
    first, second = tighten(stretched, speech)
    assert (first.start, first.end, second) == (4.35, 4.5, stretched[1])
    assert gaps([first, second], speech)[0] == Span(0.3, 4.1)


@pytest.mark.parametrize("mark", [".", "?", "!", "。"])
def test_the_first_word_behind_a_mark_neither(mark: str) -> None:
    words = [Word(0.0, 0.5, f" End{mark}", 0.9), Word(0.5, 5.0, " Then", 0.9)]
    assert tighten(words, [Span(0.0, 5.0)])[1].start == pytest.approx(5.0 - LONGEST_WORD_S)


def test_a_word_within_a_sentence_keeps_its_beginning() -> None:
    words = [Word(0.0, 0.5, " We", 0.9), Word(0.5, 5.0, " went", 0.9)]
    assert tighten(words, [Span(0.0, 1.1), Span(2.0, 5.0)])[1].end == 1.1
    assert tighten(words, [Span(0.0, 5.0)])[1].end == pytest.approx(0.5 + LONGEST_WORD_S)


@pytest.mark.parametrize(
    "text", [" 555-123-4567", " 1,250,000", " Donaudampfschifffahrtsgesellschaftskapitän", " " + "ក" * 60]
)
def test_what_is_written_as_one_word_and_takes_long_is_whole(text: str) -> None:
    """Numbers, compounds, and clauses of scripts without spaces: nothing of them is heard again."""
    words = [Word(0.0, 0.5, " Call", 0.9), Word(0.5, 4.0, text, 0.9)]
    speech = [Span(0.0, 1.5), Span(1.7, 4.0)]
    assert tighten(words, speech) == words
    assert gaps(tighten(words[1:], [Span(0.5, 4.0)]), [Span(0.5, 4.0)]) == []


def test_words_of_a_gap_stand_in_its_place() -> None:
    """Whatever their times say; a word beside it that was heard again is there once."""
    one, two, three = (
        Word(start, start + 0.5, text, 0.9) for start, text in ((0.0, " One,"), (0.6, " two"), (5.0, " five."))
    )
    missing = [Word(1.1, 1.4, " Two", 0.5), Word(2.0, 2.5, " three", 0.5), Word(5.0, 5.0, " four", 0.5)]
    result = fill([one, two, three], Span(1.3, 4.8), missing)
    assert [word.text for word in result] == [" One,", " two", " three", " four", " five."]
    assert fill([one, two], Span(1.3, 4.8), []) == [one, two]
    assert fill([], Span(1.3, 4.8), missing) == missing
