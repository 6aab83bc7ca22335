"""How text is compared when the history is searched."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.text.search_query import Clause, parse
from shared.text.search_terms import fold, origins, pieces, tokens

ANY_TEXT = st.one_of(
    st.text(max_size=60),
    st.text("aé\u0301ßİıﬁ½ \u00ad_’ʼ-", max_size=40),
    st.text("한\u1112\u1161\u11ab글がｶﾞ中,", max_size=40),
    st.text("ปน้ำ ๑كَـ۩צה״क्षि", max_size=40),
)


@given(ANY_TEXT, st.integers(1, 10))
@example("\u0e48\u0640\u094d", 1)  # what is between two marks folds to nothing, and they change places
def test_pieces_fold_as_the_whole(text: str, size: int) -> None:
    """So that a place in the folded text can be found in the text."""
    cut = list(pieces(text, size))
    assert "".join(cut) == text
    assert "".join(map(fold, cut)) == fold(text)
    ways = origins(text)
    assert (len(ways), ways) == (len(fold(text)) + 1, sorted(ways))


@given(ANY_TEXT)
def test_only_words_and_spaces_are_left(text: str) -> None:
    """Nothing that has a meaning in PostgreSQL's queries, and folding again changes nothing."""
    folded = fold(text)
    assert not set(folded) & set("'\\&|!():*<>@\n\t\x00\"")
    assert fold(folded) == folded


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don’t _stop_", ["don", "t", "stop"]),
        ("COVID-19", ["covid", "19"]),
        ("iPhone手机2026年", ["iphone", "手机", "2026", "年"]),
        ("co\u00adop\u200berate", ["cooperate"]),
        ("<b>x</b>", ["b", "x", "b"]),
        ("...", []),
    ],
)
def test_tokens(text: str, expected: list[str]) -> None:
    """Words, and stretches of scripts without spaces."""
    assert list(tokens(fold(text))) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("late train", [["late", "train"]]),
        ('"late train" -better', [["late train", "-better"]]),
        ("a b or c", [["a", "b"], ["c"]]),
        ("a OR -b", [["a"], ["-b"]]),
        ("or", [["or"]]),
        ("or b or", [["or", "b", "or"]]),
        ('"a or b"', [["a or b"]]),
        ('"unfinished one', [["unfinished one"]]),
        ("--x - y", [["x", "y"]]),
        ("-5", [["5"]]),
        ("-5 x", [["-5", "x"]]),
        ("-covid-19 x", [["-covid 19", "x"]]),
        ("＂one two＂ －three", [["one two", "-three"]]),
        ('"" ...', []),
    ],
)
def test_queries(query: str, expected: list[list[str]]) -> None:
    """The language of search engines, in any quotes."""

    def text_of(clause: Clause) -> str:
        return "-" * clause.is_excluded + " ".join(clause.tokens)

    assert [[text_of(clause) for clause in clauses] for clauses in parse(query)] == expected


@given(st.text('ab"- or“”', max_size=30))
def test_every_query_means_something(query: str) -> None:
    """No text is an error; alternatives are never empty."""
    assert all(parse(query)) or parse(query) == []
