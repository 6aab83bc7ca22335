"""Corrected transcripts: words keep their times where they can, turns follow speakers, and no text breaks a format."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import partial
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from api.transcripts.correction_request import MAX_TEXT_CHARS, CorrectionRequest
from api.transcripts.corrections import MAX_CORRECTED_CHARS, ORIGINAL, Edits, SegmentEdit, changed, corrected
from api.transcripts.formats import FORMATS, encoded, render
from api.transcripts.line_breaks import clean
from api.transcripts.options import FormatOptions
from api.transcripts.retiming import retimed
from api.transcripts.voices import Move, moved
from shared.errors import InvalidRequest
from shared.transcript import Segment, SpeakerTurn, Transcript, Word
from tests.unit.transcripts.spoken import (
    CALL,
    hostile,
    letters,
    parsed_srt,
    parsed_vtt,
    transcript_of,
    transcripts,
    utterance,
)

# ---- the times of words


def times(segment: Segment, text: str) -> list[tuple[str, float, float]]:
    return [(word.text, round(word.start, 3), round(word.end, 3)) for word in retimed(segment, text)]


COUNTING = utterance("one two three four", 10.0, 14.0, "spk_1")


def test_a_replaced_word_has_the_time_of_the_old_one() -> None:
    """Its neighbours keep theirs; it is as sure as a word that a person wrote."""
    assert times(COUNTING, "one, two TREE four") == [
        (" one,", 10.0, 11.0),
        (" two", 11.0, 12.0),
        (" TREE", 12.0, 13.0),
        (" four", 13.0, 14.0),
    ]
    assert [word.confidence for word in retimed(COUNTING, "one two tree four")] == [0.9, 0.9, 1.0, 0.9]
    assert {word.speaker for word in retimed(COUNTING, "one two tree four")} == {"spk_1"}


def test_new_words_share_the_gap_by_their_lengths() -> None:
    """Two words for one: the longer takes the more of its second; at the ends the gap reaches to the segment's."""
    assert times(COUNTING, "one two thirty 3 four")[2:4] == [(" thirty", 12.0, 12.857), (" 3", 12.857, 13.0)]
    assert times(COUNTING, "a bbb three four")[:2] == [(" a", 10.0, 10.5), (" bbb", 10.5, 12.0)]
    assert times(COUNTING, "one two three five six")[3:] == [(" five", 13.0, 13.571), (" six", 13.571, 14.0)]


def test_a_word_between_two_without_a_pause_has_no_length() -> None:
    """The times that the model gave are not touched for it."""
    assert times(COUNTING, "one two and three four")[1:4] == [
        (" two", 11.0, 12.0),
        (" and", 12.0, 12.0),
        (" three", 12.0, 13.0),
    ]


def test_words_may_be_taken_away() -> None:
    """The rest stays where it was; nothing is left of an empty text."""
    assert times(COUNTING, "four") == [(" four", 13.0, 14.0)]
    assert times(COUNTING, "") == []


def test_halves_of_a_hyphenated_word_are_one() -> None:
    """The model gives `well` and `-known` apart; the edited text has them together, in the time of both."""
    words = (
        Word(0, 0.4, " A", 0.9),
        Word(0.4, 0.8, " well", 0.9),
        Word(0.8, 1.2, "-known", 0.7),
        Word(1.2, 2, " man", 1),
    )
    spoken = Segment(0, 0, 2, "A well-known man", 0.9, None, words)
    assert times(spoken, "A well-known woman") == [(" A", 0, 0.4), (" well-known", 0.4, 1.2), (" woman", 1.2, 2)]


def test_scripts_without_spaces_are_compared_by_characters() -> None:
    """One wrong character costs no other one its time."""
    words = (Word(0.0, 1.0, "今天", 0.9), Word(1.0, 2.0, "天气", 0.8), Word(2.0, 2.5, "好。", 0.7))
    edited = retimed(Segment(0, 0, 2.5, "今天天气好。", 0.9, None, words), "今天天汽好。")
    assert [(word.text, word.start, word.end) for word in edited] == [
        ("今", 0.0, 0.5),
        ("天", 0.5, 1.0),
        ("天", 1.0, 1.5),
        ("汽", 1.5, 2.0),
        ("好。", 2.0, 2.5),
    ]


def test_a_segment_without_words_stays_without() -> None:
    """There is nothing that their times could be told from."""
    assert retimed(Segment(0, 0, 2, "Hello", 0.9), "Hello you") == ()


vocabulary = st.sampled_from(["one", "Two,", "three", "well-known", "—", "don't", "中文", "ไทย", "a", "R&D", "3"])
texts = st.lists(vocabulary, max_size=12).map(" ".join)


def continued(text: str, more: str) -> str:
    return clean(f"{text} {more}")


@given(transcripts(), st.data())
def test_words_stay_in_order_and_inside_their_segment(spoken: Transcript, data: st.DataObject) -> None:
    """Whatever is written: together the words are the text, none starts before another or leaves the segment."""
    for segment in spoken.segments:
        own = st.just(clean(segment.text)) | texts.map(partial(continued, segment.text))
        text = data.draw(own | texts | hostile.map(clean))
        words = retimed(segment, text)
        if segment.words:
            assert "".join(word.text for word in words).strip() == text
        starts = [word.start for word in words]
        assert starts == sorted(starts)
        assert all(segment.start <= word.start <= word.end <= segment.end for word in words)
        assert all(0 <= word.confidence <= 1 and word.speaker == segment.speaker for word in words)


@given(st.lists(vocabulary, min_size=1, max_size=11), st.lists(st.booleans(), min_size=11, max_size=11))
def test_words_that_stayed_keep_their_times(words: list[str], new: list[bool]) -> None:
    """Where others are replaced: as many as can be, each with its time and confidence, the new ones between."""
    spoken = utterance(" ".join(words), 3.0, 3.0 + len(words))
    spoken = replace(spoken, words=tuple(replace(w, confidence=n / 100) for n, w in enumerate(spoken.words)))
    mixed = [f"x{n}" if is_new else word for n, (word, is_new) in enumerate(zip(words, new, strict=False))]
    edited = retimed(spoken, " ".join(mixed))
    unchanged = [word for word in edited if word.confidence < 1]
    assert len(unchanged) >= new[: len(words)].count(False)
    if not re.search("[中ไ]", "".join(words)):
        assert len(edited) == len(words)
        originals = {(word.start, word.end, word.confidence) for word in spoken.words}
        assert all((word.start, word.end, word.confidence) in originals for word in unchanged)
        for word, is_new in zip(edited, new, strict=False):
            assert not is_new or word.confidence == 1
    assert all(before.end <= after.start for before, after in pairwise(edited))


# ---- speakers


def test_a_name_is_shown_wherever_the_speaker_is() -> None:
    """In segments, words and turns; `speakers` tells id and name."""
    named = corrected(CALL, Edits({"spk_2": "Diane"}))
    assert [segment.speaker for segment in named.segments] == ["spk_1", "Diane", "Diane", "spk_1"]
    assert {word.speaker for word in named.segments[1].words} == {"Diane"}
    assert [turn.speaker for turn in named.turns] == ["spk_1", "Diane", "spk_1"]
    assert [(speaker.id, speaker.name) for speaker in named.speakers] == [("spk_1", None), ("spk_2", "Diane")]
    assert corrected(CALL, ORIGINAL) is CALL


def test_turns_follow_a_segment() -> None:
    """What its former speaker talks in its time is the new one's, who gets all of it where that one has no turn."""
    turns = (SpeakerTurn(0, 10, "a"), SpeakerTurn(2, 4, "b"), SpeakerTurn(12, 13, "a"))
    assert moved(turns, [Move(3, 5, "a", "c"), Move(5, 6, "a", "b")]) == (
        SpeakerTurn(0, 3, "a"),
        SpeakerTurn(2, 4, "b"),
        SpeakerTurn(3, 5, "c"),
        SpeakerTurn(5, 6, "b"),
        SpeakerTurn(6, 10, "a"),
        SpeakerTurn(12, 13, "a"),
    )
    assert moved((), [Move(1, 2, None, "a")]) == (SpeakerTurn(1, 2, "a"),)


labels = st.sampled_from(["a", "b", "c"])
spans = st.tuples(st.integers(0, 40), st.integers(0, 9), labels)


@given(st.lists(spans, max_size=9), st.lists(st.tuples(spans, labels), max_size=6))
def test_no_turn_is_lost(
    given_turns: list[tuple[int, int, str]], renamings: list[tuple[tuple[int, int, str], str]]
) -> None:
    """Whenever anybody talked, somebody still does; nobody but those of a move talks less or more than before."""
    turns = [SpeakerTurn(start, start + length, speaker) for start, length, speaker in given_turns]
    moves = [
        Move(start, start + length, before, after) for (start, length, before), after in renamings if before != after
    ]
    result = moved(turns, moves)
    assert all(turn.start <= turn.end for turn in result)

    def talking(turns: list[SpeakerTurn], at: float, speaker: str | None = None) -> bool:
        return any(turn.start <= at < turn.end and speaker in (None, turn.speaker) for turn in turns)

    for at in (moment + 0.5 for moment in range(50)):
        assert talking(list(result), at) >= talking(turns, at)
        about = {label for move in moves if move.start <= at < move.end for label in (move.before, move.after)}
        for speaker in {"a", "b", "c"} - about:
            assert talking(list(result), at, speaker) == talking(turns, at, speaker)


# ---- differences


def request_of(**fields: object) -> CorrectionRequest:
    return CorrectionRequest.model_validate(fields)


def test_only_differences_are_kept() -> None:
    """Corrections add up; one that says what the original says takes the difference away."""
    first = changed(CALL, ORIGINAL, request_of(speakers={"spk_2": " Diane  N. "}, segments=[{"id": 0, "text": "Hi?"}]))
    assert first == Edits({"spk_2": "Diane N."}, {0: SegmentEdit("Hi?")})
    second = changed(CALL, first, request_of(segments=[{"id": 0, "speaker": "spk_3"}], speakers={"spk_3": "Tom"}))
    assert second == Edits({"spk_2": "Diane N.", "spk_3": "Tom"}, {0: SegmentEdit("Hi?", "spk_3")})
    third = changed(CALL, second, request_of(segments=[{"id": 0, "speaker": "spk_1", "text": "Hello?\n"}]))
    assert third == Edits({"spk_2": "Diane N."}, {})


def test_corrections_have_an_end() -> None:
    """All corrected texts together hold some hours of speech, however many requests they come in."""
    spoken = transcript_of(*(utterance("Hello.", n, n + 1) for n in range(600)))
    edits = ORIGINAL
    for first in (0, 250):
        text = "x" * MAX_TEXT_CHARS
        edits = changed(spoken, edits, request_of(segments=[{"id": first + n, "text": text} for n in range(250)]))
    with pytest.raises(InvalidRequest, match=f"{MAX_CORRECTED_CHARS}"):
        changed(spoken, edits, request_of(segments=[{"id": 599, "text": "Hi."}]))
    assert changed(spoken, edits, request_of(segments=[{"id": 0, "text": "Hi."}])).segments[0].text == "Hi."


values = (
    st.none() | st.text(max_size=9) | st.integers() | st.sampled_from(["spk_1", "spk_2", "spk_3", "Anna", "\ud800"])
)
bodies = st.fixed_dictionaries(
    {},
    optional={
        "speakers": values | st.dictionaries(values.filter(lambda key: isinstance(key, str)), values, max_size=3),
        "segments": values
        | st.lists(
            st.fixed_dictionaries({"id": st.integers(-1, 4)}, optional={"text": values, "speaker": values}), max_size=3
        ),
        "tags": values | st.lists(values, max_size=3),
        "reference": values,
        "version": values,
    },
)


@given(bodies)
def test_whatever_is_sent_is_a_correction_or_refused(body: dict[str, object]) -> None:
    """What is accepted can be stored: valid UTF-8 without null characters, and the formats can show it."""
    try:
        request = CorrectionRequest.model_validate_json(json.dumps(body))
        edits = changed(CALL, ORIGINAL, request)
    except (ValidationError, InvalidRequest):
        return
    stored = [*edits.names, *edits.names.values(), *(request.tags or ()), request.reference or ""]
    stored += [text or "" for edit in edits.segments.values() for text in (edit.text, edit.speaker)]
    assert "\0" not in "".join(stored).encode().decode()
    assert all(encoded(corrected(CALL, edits), format) for format in FORMATS)


# ---- formats


def is_accepted(name: str) -> bool:
    try:
        return bool(request_of(speakers={"spk_1": name}))
    except ValidationError:
        return False


names = hostile | st.sampled_from(
    ["WEBVTT", "--> ", "00:00:01.000 --> 00:00:02.000", "<NA>", "a b", ";;", "中文" * 20, "x" * 99]
)


@given(
    transcripts(),
    st.dictionaries(st.sampled_from(["spk_1", "spk_2"]), names.filter(is_accepted)),
    st.data(),
    st.integers(12, 60),
)
def test_no_name_and_no_text_breaks_a_format(
    spoken: Transcript, speaker_names: dict[str, str], data: st.DataObject, width: int
) -> None:
    """What is accepted is read back by libraries: the same cues in srt and vtt, the columns of tsv and rttm."""
    request = request_of(
        speakers={s: name for s, name in speaker_names.items() if any(s == seg.speaker for seg in spoken.segments)},
        segments=[{"id": seg.id, "text": data.draw(hostile)} for seg in spoken.segments[:3]],
    )
    turns = tuple(SpeakerTurn(s.start, s.end + 0.1, s.speaker) for s in spoken.segments if s.speaker)
    spoken = replace(spoken, turns=turns)
    result = corrected(spoken, changed(spoken, ORIGINAL, request))
    options = FormatOptions(subtitles={"max_line_length": width})
    vtt, srt = render(result, "vtt", options), render(result, "srt", options)
    captions = parsed_vtt(vtt)
    assert [f"{c.start} --> {c.end}" for c in captions] == re.findall(r"^[\d:.]+ --> [\d:.]+$", vtt, re.M)
    assert letters("".join(c.raw_text for c in captions)).count("<v") == len(re.findall("<v ", vtt))
    lines = [line for line in srt.split("\n") if " --> " in line]
    assert all(re.fullmatch(r"[\d:]+,\d{3} --> [\d:]+,\d{3}", line) for line in lines)
    assert len(parsed_srt(srt)) == len(lines)
    rows = render(result, "tsv").split("\n")[:-1]
    assert len(rows) == 1 + len(result.segments)
    assert len({row.count("\t") for row in rows}) == 1
    rttm = render(result, "rttm").split("\n")[:-1]
    assert len(rttm) == len(turns)
    assert all(len(line.split()) == 10 and line.split()[7] != "<NA>" for line in rttm)


@pytest.mark.parametrize("width", [12, 20, 42])
def test_a_long_name_leaves_half_the_line_to_the_text(width: int) -> None:
    """It is cut, in columns and not in characters; lines stay within their limit."""
    for name in ("Maximiliane von und zu Hohenstein-Waldeck", "中文" * 20, "spk_100"):
        named = transcript_of(utterance("You were there and so was I.", 0, 4, name))
        for line in render(named, "srt", FormatOptions(subtitles={"max_line_length": width})).split("\n"):
            columns = sum(1 + (letter >= "\u2e80") for letter in line)
            assert columns <= width or "-->" in line
    assert "Maximiliane von und…: You" in render(
        transcript_of(utterance("You were there.", 0, 4, "Maximiliane von und zu Hohenstein")), "srt"
    )
