"""Words of a final, out of the pieces that the decoder places."""

from __future__ import annotations

from tasks.listening.decoder import Place
from tasks.listening.finals import placed_words, spoken
from tasks.listening.loops import is_loop


def words(texts: list[str], *, by_character: bool = False) -> list[tuple[str, float, float]]:
    """Text and times of the words, where each piece lasts a second."""
    places = [Place(text, (), float(second), second + 1.0, 0.5) for second, text in enumerate(texts)]
    return [(word.text, word.start, word.end) for word in placed_words(places, by_character=by_character)]


def test_marks_are_part_of_a_word_and_take_no_time() -> None:
    assert words([" Well", ",", " he", "."]) == [(" Well,", 0, 1), (" he.", 2, 3)]
    assert words([' "', "Well", '"']) == [(' "Well"', 1, 2)]
    assert words([" he", " &"]) == [(" he &", 0, 1)]
    assert words([".", " so"]) == [(". so", 1, 2)]
    assert words(["."]) == []


def test_a_hyphen_joins() -> None:
    assert words([" an", " ill", "-disposed", " man"]) == [(" an", 0, 1), (" ill-disposed", 1, 3), (" man", 3, 4)]


def test_characters_are_words_where_the_tokenizer_splits_them() -> None:
    assert words(["\u4f60", "\u597d", "\u3002"], by_character=True) == [("\u4f60", 0, 1), ("\u597d\u3002", 1, 2)]


def test_numbers_are_said_one_by_one() -> None:
    """However they are joined: what noise is heard as is a loop, and many words. Other words are one each."""
    assert spoken("1,5,5,5,5,5,5") == ["1", *["5"] * 6]
    assert is_loop(spoken("1,5,5,5,5,5,5"), 10)
    assert [spoken(word) for word in ("don't", "ill-disposed,", "1944.", "B2B")] == [
        ["dont"],
        ["illdisposed"],
        ["1944"],
        ["b2b"],
    ]
    assert not is_loop(spoken("1,000,000"), 10)
