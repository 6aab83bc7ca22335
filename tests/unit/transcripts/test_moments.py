"""The second at which a word is said, read from a transcript as it is stored."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from api.history.headlines import Place, places
from api.history.moments import starts
from api.transcripts.corrections import ORIGINAL, Edits, SegmentEdit
from shared.text.search_query import parse
from shared.transcript import Segment, Speaker, Transcript, Word, to_json

TEXTS = st.lists(st.one_of(st.text(max_size=12), st.text('{"id":1,start\\ }', max_size=30)), min_size=1, max_size=8)


def transcript(texts: list[str]) -> Transcript:
    """A segment every ten seconds, with a word for the whole of it."""
    segments = tuple(
        Segment(number, 10.0 * number, 10.0 * number + 9, f" {text}", 0.9, "spk_1", (Word(10.0 * number, 9, text, 1),))
        for number, text in enumerate(texts)
    )
    return Transcript("en", 0.9, 100.0, "base", segments, (Speaker("spk_1", 3.0),))


@given(TEXTS)
def test_every_segment_is_found_where_it_stands(texts: list[str]) -> None:
    """Whatever was said in it, JSON too."""
    whole = transcript(texts)
    at, expected, places = 0, [], []
    for number, text in enumerate(texts):
        if content := text.strip():
            places.append(Place((), at, content))
            expected.append(10.0 * number)
            at += len(content) + 1
    assert starts(to_json(whole), ORIGINAL, places) == expected


def test_a_place_of_another_text_has_no_second() -> None:
    """Rather none than a wrong one."""
    stored = to_json(transcript(["one", "two"]))
    assert starts(stored, ORIGINAL, [Place((), 4, "two"), Place((), 4, "six"), Place((), 99, "two")]) == [
        10.0,
        None,
        None,
    ]
    assert starts(b"{}", ORIGINAL, [Place((), 0, "one")]) == [None]


def test_corrections_move_what_follows() -> None:
    """A segment whose text was edited or emptied."""
    stored = to_json(transcript(["one", "two", "three"]))
    edits = Edits({}, {0: SegmentEdit("a much longer one"), 1: SegmentEdit("")})
    assert starts(stored, edits, [Place((), 18, "three"), Place((), 0, "a much")]) == [20.0, 0.0]


def test_places_show_most_of_what_was_asked_for() -> None:
    """Two that lie apart, in order; the one with all of the words is among them."""
    text = "train " + "x " * 200 + "late train " + "x " * 200 + "train"
    first, second = places(text, [clause for either in parse("train late") for clause in either])
    assert (first.at, text[second.at :].startswith("late train")) == (0, True)
    assert [run.text for run in second.runs if run.is_match] == ["late", "train"]
    assert all(len("".join(run.text for run in place.runs)) <= 200 for place in (first, second))
