"""Sentences end where a reader of each script would say so."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.text.sentences import CLAUSE_ENDS, ends_clause, ends_sentence, goes_on, has_full_stop


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("I was there.", "Then I left."),
        ("Really?!", "Yes."),
        ("“I was there.”", "He laughed."),
        ("Er sagte: „Ja.“", "Dann ging er."),
        ("Il a dit « Oui ! »", "Puis il partit."),
        ("我知道。", "然后"),
        ("はい！」", "そして"),
        ("هل هذا صحيح؟", "نعم"),
        ("یہ پہلا جملہ ہے۔", "یہ دوسرا ہے"),
        ("यह सही है।", "वह भी"),
        ("এটা ঠিক।", "সে"),
        ("Սա առաջինն է։", "Սա երկրորդն է"),
        ("Սա առաջինն է:", "Սա երկրորդն է"),
        ("ይህ ነው።", "ያ"),
        ("ይህ ነው፧", "ያ"),
        ("ይህ ነው፡፡", "ያ"),
        ("यह सही है|", "वह भी"),
        ("ဒါပါ။", "သူ"),
        ("នេះ។", "គាត់"),
        ("བདེ་ལེགས།", "ཁྱེད"),
        ("จบแล้ว๚", "ต่อไป"),
        ("ეს არის.", "მე ვარ"),
        ("Πού είσαι;", "Εδώ."),
        ("네.", "그래요"),
        ("Это я.", "Он там."),
        ("Я видел ее.", "Мама ушла."),
        ("So do I.", "Mary too."),
        ("No.", "That is wrong."),
        ("It was 1999.", "Then came the year after."),
        ("She is 30.", "The others are not."),
        ("They met in the U.S.", "The next year they left."),
        ("We left at 9 a.m.", "It was cold."),
        ("Books, pens, etc.", "Peter bought them all."),
        ("The last word.", ""),
        ("Done.", "- And you?"),
    ],
)
def test_a_sentence_ends(text: str, after: str) -> None:
    """At the marks of all scripts, also behind quotes, and where the next word begins another one."""
    assert ends_sentence(text, after)
    assert not goes_on(text, after)


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("to see Dr.", "Smith about it"),
        ("von Prof. Dr.", "Müller"),
        ("with (Mr.", "Smith)"),
        ("in the U.S.", "are"),
        ("the U.S.", "Senate"),
        ("at 9 a.m.", "from the station"),
        ("No.", "5"),
        ("Nr.", "12"),
        ("on p.", "7"),
        ("on Jan.", "3rd"),
        ("by J.", "R. R. Tolkien"),
        ("by J. R.", "R. Tolkien"),
        ("Mr. T.", "S. Eliot"),
        ("am 3.", "März im Rathaus"),
        ("im 18.", "Jahrhundert"),
        ("3.", "března"),
        ("am 3.", "10. im Rathaus"),
        ("der II.", "Weltkrieg"),
        ("z.", "B. hier"),
        ("z.B.", "Hamburg"),
        ("e.g.", "London"),
        ("5 Mio.", "Euro"),
        ("el Sr.", "López"),
        ("la Sra.", "García"),
        ("M.", "Dupont"),
        ("г.", "Москва"),
        ("А.", "С. Пушкин"),
        ("د.", "أحمد"),
        ("डॉ.", "शर्मा"),
        ("Main St.", "John"),
        ("Arsenal vs.", "Chelsea"),
        ("en 52 av.", "J.-C."),
        ("en 52 apr.", "J.-C."),
        ("los EE.", "UU."),
        ("los EE. UU.", "Unidos"),
        ("κ.", "Παπαδόπουλος"),
        ("ดร.", "สมชาย"),
        ("10 Min.", "Pause"),
        ("Prof.Dr.", "Müller"),
        ("the dept.", "of health"),
        ("Ph.D.", "Smith"),
    ],
)
def test_a_full_stop_may_end_nothing(text: str, after: str) -> None:
    """That of a title, an initial, an ordinal or another abbreviation, or before a small letter."""
    assert not ends_sentence(text, after)
    assert goes_on(text, after)
    assert has_full_stop(text)
    assert not ends_clause(text)


@pytest.mark.parametrize(
    ("text", "after"),
    [("well", "I know"), ("well...", "and so"), ("“Really?”", "he said"), ("Oui !", "»"), ("", "Yes"), ("你好", "。")],
)
def test_a_sentence_goes_on(text: str, after: str) -> None:
    """Without a mark, or before a small letter or the rest of its own end."""
    assert not ends_sentence(text, after)
    assert not goes_on(text, after)


@pytest.mark.parametrize("mark", [*CLAUSE_ENDS, "?", "!", "...", "…", "。", "۔", ",”"])
def test_a_clause_ends(mark: str) -> None:
    """At commas and the like of all scripts, and wherever a sentence may end but at a full stop."""
    assert ends_clause(f"so{mark}")
    assert ends_clause(f"so{mark} ")
    assert not ends_clause(f"{mark}so")


@given(st.text(), st.text())
def test_any_text_has_an_answer(text: str, after: str) -> None:
    """A full stop ends a sentence or goes on; white space at the end changes nothing."""
    assert not (ends_sentence(text, after) and goes_on(text, after))
    assert ends_sentence(f"{text} ", after) == ends_sentence(text, after)
