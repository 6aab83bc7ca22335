"""The text of an utterance that goes on, and what its final says otherwise."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tasks.listening.draft import Draft
from tasks.listening.words import DraftWord, agreed, as_text, changed, to_words, tokens

NOTHING = ("", ())


def draft_words(text: str) -> list[DraftWord]:
    """Words with marks, as a tokenizer splits them; a word's tokens are its letters."""
    parts = [(f" {part}" if part.isalnum() else part) for part in text.replace(",", " ,").replace(".", " .").split()]
    mark, words = to_words((part, tuple(map(ord, part))) for part in parts)
    assert mark == NOTHING
    return words


def test_what_three_passes_agree_on_is_committed() -> None:
    draft = Draft()
    draft.hear(NOTHING, draft_words("we the peephole"))
    assert draft.text == ("", "we the peephole")
    draft.hear(NOTHING, draft_words("we the people"))
    assert draft.text == ("", "we the people")
    draft.hear(NOTHING, draft_words("We the people of"))
    assert draft.text == ("We the", " people of")
    draft.hear(NOTHING, draft_words("people of the."))
    assert draft.text == ("We the people", " of the.")
    draft.hear(NOTHING, draft_words("of them"))
    assert draft.text == ("We the people of", " them")
    draft.hear(NOTHING, draft_words("the man"))
    draft.hear(NOTHING, draft_words("them and"))
    assert draft.text == ("We the people of", " them and")  # two of three said so, and not one behind the other


def test_the_mark_behind_the_last_word_is_open() -> None:
    """A full stop that becomes a comma is not committed before the next word is."""
    draft = Draft()
    for _ in range(3):
        draft.hear(NOTHING, draft_words("so it is."))
    assert draft.text == ("so it is", ".")
    assert draft.forced == tokens(draft_words("so it is"))
    for text in ("they", "they", "they say"):
        draft.hear((",", (44,)), draft_words(text))
    assert draft.text == ("so it is, they", " say")


def test_words_that_are_gone_stay_committed() -> None:
    """What ends before the window is not forced any more; what of it was not committed is now. Of what follows, the
    passes before still count."""
    draft = Draft()
    draft.hear(NOTHING, draft_words("one two"))
    draft.hear(NOTHING, draft_words("one two three four"))
    draft.hear(NOTHING, draft_words("one two free four five"))
    draft.ends += [0.5, 1.0, 1.5, 2.0, 2.5]
    assert draft.forget(1.6) == 1.5
    assert draft.text == ("one two free", " four five")
    assert draft.forced == []
    draft.hear(NOTHING, draft_words("four five six"))
    assert draft.text == ("one two free four", " five six")


def test_the_first_word_goes_where_none_ends_early_enough() -> None:
    draft = Draft()
    for _ in range(3):
        draft.hear(NOTHING, draft_words("one two"))
    draft.ends += [4.0, 4.5]
    assert draft.forget(1.0) == 4.0
    assert draft.inside == draft_words("two")
    assert Draft().forget(1.0) is None


def test_committed_words_behind_a_cut_are_carried_over() -> None:
    """Those whose middle lies behind it."""
    draft = Draft()
    for _ in range(3):
        draft.hear(NOTHING, draft_words("one two three four"))
    draft.ends += [20.0, 20.5, 21.5, 22.0]
    assert draft.behind(20.9) == draft_words("three four")
    assert draft.behind(21.1) == draft_words("four")
    assert draft.behind(25.0) == []
    assert Draft(draft_words("three four")).text == ("three four", "")


words = st.lists(st.sampled_from(["one", "two", "three", "so,", "yes."]), max_size=8)


@given(st.lists(st.tuples(words, st.booleans()), max_size=12))
def test_committed_text_only_grows(passes: list[tuple[list[str], bool]]) -> None:
    """Whatever each pass hears, what was shown as committed stays the beginning of what is."""
    draft = Draft()
    for texts, is_long in passes:
        before, _ = draft.text
        mark = (",", (44,)) if is_long else NOTHING
        draft.hear(mark, draft_words(" ".join(texts)))
        if is_long:
            draft.ends += [float(place) for place in range(len(draft.inside) + len(draft.tail))]
            draft.forget(3.0)
        committed, tail = draft.text
        assert committed.startswith(before)
        assert committed + tail == as_text([*draft.committed, *draft.tail]).strip()


def test_agreement_is_of_letters_and_digits() -> None:
    assert agreed(draft_words("Well, it is"), draft_words("well it was")) == 2
    assert agreed([], draft_words("well")) == 0


def test_a_final_names_the_committed_words_that_it_says_otherwise() -> None:
    assert changed(["We", "the", "peephole", "of"], [" We", " the", " people,", " of", " America"]) == ("peephole",)
    assert changed(["we", "we", "are"], ["We", "are."]) == ("we",)
    assert changed(["so", "-"], ["So."]) == ()
    assert changed(["one", "two"], []) == ("one", "two")
    assert changed([" ill", "-spose"], [" ill-disposed."]) == ("spose",)
