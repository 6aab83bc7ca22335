"""Signs of a loop."""

from __future__ import annotations

import pytest

from tasks.listening.loops import is_loop


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("no no no no", 10),
        ("thank you thank you thank you", 10),
        ("and then he went and then he went", 10),
        ("a b c d e f g h i j", 1),
    ],
)
def test_a_loop_is_noticed(text: str, seconds: float) -> None:
    """One word four times, two thrice, three or more twice, or more words than anyone speaks."""
    assert is_loop(text.split(), seconds)


@pytest.mark.parametrize(
    "text", ["", "no no no", "very very good very good", "what we do is what we can do", "a b c d e f g h i"]
)
def test_speech_is_none(text: str) -> None:
    assert not is_loop(text.split(), 1.0)


def test_characters_may_be_faster_than_words() -> None:
    text = [chr(0x4E00 + place) for place in range(14)]
    assert is_loop(text, 1.5)
    assert not is_loop(text, 1.5, by_character=True)


def test_who_goes_on_is_in_no_loop() -> None:
    """A thing said twice is doubted in a final, and in a partial only as long as nothing follows."""
    twice = ["i", "do", "not", "know", "i", "do", "not", "know"]
    assert is_loop(twice, 10, at_end=True)
    assert is_loop([*twice, "but"], 10)
    assert not is_loop([*twice, "but"], 10, at_end=True)
    assert not is_loop([], 10, at_end=True)
