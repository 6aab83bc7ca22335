"""A transcript as a text to correct, and what is read from it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.correction import Correction, Form, FormError


def transcript(*segments: tuple[str | None, str], names: dict[str, str | None] | None = None) -> dict[str, Any]:
    """As GET /result answers it; speakers have names where `names` has some."""
    names = {"spk_1": None, "spk_2": None} if names is None else names
    return {
        "task_id": "019aa5c8-7d3e-7a41-9f0b-5d6c2b8e1f4a",
        "version": 4,
        "speakers": [{"id": speaker, "name": name, "seconds": 1.0} for speaker, name in names.items()],
        "segments": [
            {"id": number, "start": 65.55 * number, "end": 65.55 * number + 1, "speaker": speaker, "text": text}
            for number, (speaker, text) in enumerate(segments)
        ],
    }


TWO = transcript(("Anna", "Hello there."), ("spk_2", "Hi."), names={"spk_1": "Anna", "spk_2": None})


def test_the_text_shows_names_times_and_words() -> None:
    """A line per speaker and per segment below the explanation."""
    lines = [line for line in Form(TWO).text.splitlines() if not line.startswith("#")]
    assert lines == ["", "spk_1 = Anna", "spk_2 =", "", "[0 0:00.0 Anna] Hello there.", "[1 1:05.5 spk_2] Hi."]


NAMES = st.none() | st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=9)
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=30)


@given(st.lists(st.tuples(st.sampled_from([0, 1, 2]), TEXTS), max_size=5), NAMES, NAMES)
def test_an_untouched_text_is_no_correction(
    lines: list[tuple[int, str]], first: str | None, second: str | None
) -> None:
    """Whatever names and texts hold, brackets and signs included."""
    labels = [first or "spk_1", second or "spk_2", None]
    body = transcript(*((labels[n], text) for n, text in lines), names={"spk_1": first, "spk_2": second})
    form = Form(body)
    assert form.read(form.text) == Correction()
    assert form.read(form.text.replace("\n", "\r\n")) == Correction()


def read(old: str, new: str) -> Correction:
    """What is read from TWO after these words were replaced."""
    form = Form(TWO)
    assert form.text.count(old) == 1
    return form.read(form.text.replace(old, new))


def test_names_texts_and_speakers_are_read() -> None:
    """Each change alone, and nothing besides it."""
    assert read("spk_2 =", "spk_2 =  Ben  B.").body(4) == {"version": 4, "speakers": {"spk_2": "Ben B."}}
    assert read("= Anna\nspk_2", "=\nspk_2").speakers == {"spk_1": None}
    assert read("Hello there.", "Hello,  you.").segments == [{"id": 0, "text": "Hello, you."}]
    assert read("] Hi.", "]").segments == [{"id": 1, "text": ""}]
    assert read(" spk_2] Hi.", " Anna] Hi.").segments == [{"id": 1, "speaker": "spk_1"}]
    assert read("0:00.0 Anna] Hello", "0:00.0 spk_1] Hello") == Correction()
    assert read(" spk_2] Hi.", " spk_3] Ho.").segments == [{"id": 1, "text": "Ho.", "speaker": "spk_3"}]


def test_a_new_name_can_be_used_at_once() -> None:
    """A segment may be given to the name that the same text gives a speaker."""
    form = Form(TWO)
    text = form.text.replace("spk_2 =", "spk_2 = Ben").replace("Anna] Hello", "Ben] Hello")
    assert form.read(text).body(4) == {
        "version": 4,
        "speakers": {"spk_2": "Ben"},
        "segments": [{"id": 0, "speaker": "spk_2"}],
    }


def test_lines_that_an_editor_broke_belong_together() -> None:
    """A line without a bracket goes on with the segment above it, also one that begins with a hash."""
    assert read("Hi.", "Hi,\n  my\n\n# 1 friend.").segments == [{"id": 1, "text": "Hi, my # 1 friend."}]


def test_a_removed_segment_stays_as_it_was() -> None:
    """It is counted and not corrected."""
    form = Form(TWO)
    correction = form.read("\n".join(form.text.splitlines()[:-1]))
    assert (bool(correction), correction.missing) == (False, 1)


def test_two_people_of_one_name_are_told_apart_by_id() -> None:
    """The name alone does not say which of them is meant; an untouched line needs none of it."""
    form = Form(transcript(("Anna", "A."), ("Anna", "B."), ("spk_3", "C."), names={"spk_1": "Anna", "spk_2": "Anna"}))
    assert form.read(form.text) == Correction()
    with pytest.raises(FormError, match="spk_1 or spk_2"):
        form.read(form.text.replace("spk_3] C", "Anna] C"))
    assert form.read(form.text.replace("Anna] A", "spk_2] A")).segments == [{"id": 0, "speaker": "spk_2"}]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[1 1:05.5", "[7 1:05.5", "there is no segment 7"),
        ("[1 1:05.5", "[0 1:05.5", "segment 0 is there twice"),
        ("spk_2 =", "Ben = spk_2", "belongs to no segment"),
        (" spk_2] Hi", " Ben] Hi", "nobody is called 'Ben'"),
        (" spk_2] Hi", "] Hi", "has no speaker"),
    ],
)
def test_what_cannot_be_understood_is_named(old: str, new: str, message: str) -> None:
    """The error says which line or segment, and what is wrong with it."""
    with pytest.raises(FormError, match=message):
        read(old, new)
