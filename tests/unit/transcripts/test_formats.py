"""Every format is parsed back, with a library where there is one, and holds what the transcript holds."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, cast, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyannote.database.util import load_rttm

from api.transcripts.cells import unguarded
from api.transcripts.formats import FORMATS, as_dict, encoded, render
from api.transcripts.options import FormatOptions
from api.transcripts.screen import MIN_LINE_LENGTH, PresetName, ScreenChoices
from cli.recordings import SUFFIXES
from shared.errors import InvalidRequest
from shared.options import Format
from shared.transcript import Segment, SpeakerTurn, Transcript
from tests.unit.transcripts.spoken import (
    CALL,
    SILENCE,
    letters,
    parsed_srt,
    parsed_vtt,
    transcript_of,
    transcripts,
    utterance,
)


def read_tsv(text: str) -> list[list[str]]:
    rows = csv.reader(io.StringIO(text, newline=""), delimiter="\t", strict=True)
    return [[unguarded(cell) for cell in row] for row in rows]


def test_json_is_the_result() -> None:
    """Times are rounded to the millisecond and the words are there when they are asked for."""
    body = json.loads(render(CALL, "json", FormatOptions(words=True)))
    assert body == as_dict(CALL, words=True)
    assert body["segments"][1]["start"] == 8.436
    assert body["segments"][0] == {
        "id": 0,
        "start": 6.68,
        "end": 7.16,
        "speaker": "spk_1",
        "text": "Hello?",
        "confidence": 0.8,
        "words": [{"word": "Hello?", "start": 6.68, "end": 7.16, "confidence": 0.9, "speaker": "spk_1"}],
    }
    assert body["speakers"] == [{"id": "spk_1", "seconds": 2.24}, {"id": "spk_2", "seconds": 2.304}]
    assert body["text"] == body["full_text"] == CALL.text
    assert body["warnings"] == [{"code": "noisy", "message": "There is much noise", "start": 1.0, "end": 2.0}]
    assert {"language", "language_probability", "duration", "model"} < set(body)


def test_json_leaves_words_out_unless_asked() -> None:
    """A segment without the key `words` is what a reader of segments expects."""
    assert all("words" not in segment for segment in json.loads(render(CALL, "json"))["segments"])


def test_text_is_a_paragraph_per_speaker() -> None:
    """Segments that follow each other by one speaker are one paragraph."""
    assert render(CALL, "text") == (
        "spk_1: Hello?\n\nspk_2: Oh, hello. I didn't know you were there. Neither did I.\n\nspk_1: Okay.\n"
    )


def test_text_without_speakers_is_in_paragraphs() -> None:
    """An empty line is between two; line breaks inside a segment are none of the text."""
    spoken = transcript_of(Segment(0, 0.0, 1.0, " One\r\nline.", 0.5), Segment(1, 4.0, 5.0, " Another.", 0.5))
    assert render(spoken, "text") == "One line.\n\nAnother.\n"


def test_a_segment_of_nobody_is_not_the_speaker_before() -> None:
    """In a transcript with speakers it is marked where the format has no other sign."""
    spoken = transcript_of(utterance("Yes.", 0, 1, "spk_1"), utterance("Noise.", 5, 6), utterance("No.", 7, 8, "spk_1"))
    assert render(spoken, "text") == "spk_1: Yes.\n\nunknown: Noise.\n\nspk_1: No.\n"
    assert [cue.text for cue in parsed_srt(render(spoken, "srt"))] == [
        "spk_1: Yes.",
        "unknown: Noise.",
        "spk_1: No.",
    ]
    assert [caption.voice for caption in parsed_vtt(render(spoken, "vtt"))] == ["spk_1", None, "spk_1"]


def test_tsv_has_whispers_columns_and_then_the_speaker() -> None:
    """Times are whole milliseconds; tabs and line breaks in the text are spaces; quotes stay as they are."""
    odd = transcript_of(Segment(0, 0.0004, 59.9996, ' "Tab\there\nand', 0.5, "spk_1"))
    assert read_tsv(render(odd, "tsv")) == [
        ["start", "end", "text", "speaker"],
        ["0", "60000", '"Tab here and', "spk_1"],
    ]


def test_tsv_without_speakers_is_whispers() -> None:
    """Programs that read openai-whisper's three columns read ours."""
    assert (
        render(transcript_of(utterance("Hello there.", 0.5, 1.25)), "tsv")
        == "start\tend\ttext\n500\t1250\tHello there.\n"
    )


def test_rttm_holds_every_turn(tmp_path: Path) -> None:
    """pyannote reads the same turns back, overlap included, under a name without spaces."""
    file = tmp_path / "call.rttm"
    file.write_text(render(CALL, "rttm", FormatOptions(uri='my "call" 1.wav')), encoding="utf-8")
    (annotation,) = load_rttm(file).values()
    assert annotation.uri == "my_call_1.wav"
    assert [
        (round(turn.start, 3), round(turn.end, 3), who) for turn, _, who in annotation.itertracks(yield_label=True)
    ] == [
        (6.69, 7.12, "spk_1"),
        (8.32, 10.02, "spk_2"),
        (9.5, 10.0, "spk_1"),
    ]


def test_rttm_is_nists_line() -> None:
    """Ten fields, three decimals, and no line for a turn shorter than a millisecond."""
    spoken = transcript_of(turns=(SpeakerTurn(59.9996, 61.25, "spk_1"), SpeakerTurn(1.0, 1.0004, "spk_2")))
    assert render(spoken, "rttm") == "SPEAKER recording 1 60.000 1.250 <NA> <NA> spk_1 <NA> <NA>\n"


@pytest.mark.parametrize(
    ("format", "expected"),
    [("text", ""), ("srt", ""), ("vtt", "WEBVTT\n"), ("tsv", "start\tend\ttext\n"), ("rttm", "")],
)
def test_silence_is_a_valid_file(format: str, expected: str) -> None:
    """A recording in which nobody speaks is no special case for a reader."""
    assert render(SILENCE, format) == expected


def test_an_unknown_format_is_named() -> None:
    """The error lists what there is."""
    with pytest.raises(InvalidRequest, match=", ".join(FORMATS)):
        render(CALL, "pdf")


@pytest.mark.parametrize(
    ("choices", "parameter"),
    [
        ({"max_line_length": MIN_LINE_LENGTH - 1}, "max_line_length"),
        ({"max_line_length": 10**9}, "max_line_length"),
        ({"max_lines": 0}, "max_lines"),
        ({"max_cue_s": 0.5}, "max_cue_s"),
        ({"max_cue_s": float("nan")}, "max_cue_s"),
        ({"max_cue_s": float("inf")}, "max_cue_s"),
        ({"min_cue_s": 0.0}, "min_cue_s"),
        ({"min_cue_s": 7.5}, "min_cue_s"),
        ({"min_cue_s": 3.0, "max_cue_s": 2.0}, "min_cue_s"),
        ({"reading_speed": 0}, "reading_speed"),
        ({"gap_s": -0.1}, "gap_s"),
        ({"closed_gap_s": 9}, "closed_gap_s"),
        ({"speaker_marks": "colours"}, "speaker_marks"),
    ],
)
def test_limits_out_of_bounds_are_refused(choices: dict[str, Any], parameter: str) -> None:
    """The error names the option."""
    with pytest.raises(InvalidRequest) as refused:
        FormatOptions(subtitles=cast(ScreenChoices, choices))
    assert refused.value.detail["parameter"] == parameter


def test_an_unknown_preset_is_refused() -> None:
    """The error lists those there are."""
    with pytest.raises(InvalidRequest, match="netflix, bbc, ebu") as refused:
        FormatOptions(preset=cast(PresetName, "hbo"))
    assert refused.value.detail["parameter"] == "preset"


@given(transcripts())
def test_tsv_has_a_row_per_segment(spoken: Transcript) -> None:
    """Whatever the text holds, each row has as many fields as the header."""
    header, *rows = read_tsv(render(spoken, "tsv"))
    assert [len(row) for row in rows] == [len(header)] * len(spoken.segments)
    assert [letters(row[2]) for row in rows] == [letters(segment.text) for segment in spoken.segments]


@given(transcripts())
def test_text_says_every_word(spoken: Transcript) -> None:
    """Each line is one paragraph; nothing is lost between them."""
    content = re.sub(r"^(spk_\d+|unknown): ", "", render(spoken, "text"), flags=re.MULTILINE)
    assert letters(content) == letters("".join(segment.text for segment in spoken.segments))


@given(transcripts(), st.booleans())
def test_json_reads_back(spoken: Transcript, words: bool) -> None:
    """Control characters and all."""
    assert json.loads(render(spoken, "json", FormatOptions(words=words))) == as_dict(spoken, words=words)


@given(transcripts(), st.sampled_from([name for name in FORMATS if name != "docx"]))
def test_every_format_but_docx_is_utf8(spoken: Transcript, format: str) -> None:
    """What is rendered can be sent, and the table says as what."""
    assert encoded(spoken, format).decode("utf-8") == render(spoken, format)
    assert FORMATS[format].suffix.startswith(".")
    assert "/" in FORMATS[format].media_type


def test_formats_have_one_list() -> None:
    """The names that requests may use, those of the command line and its files, and the table agree."""
    assert list(get_args(Format)) == list(FORMATS)
    assert {name: form.suffix for name, form in FORMATS.items()} == SUFFIXES


@pytest.mark.parametrize("format", FORMATS)
def test_no_text_and_no_name_stops_a_format(format: str) -> None:
    """Half a surrogate pair, control characters, the end of CDATA, noncharacters, and text from right to left."""
    odd = "a\ud800\x00\x0b]]>\ufffe\u2028\r\n<b>&\u202eb שלום"
    spoken = replace(transcript_of(utterance(odd, 0, 2, odd), turns=(SpeakerTurn(0, 2, odd),)), language="he")
    assert len(encoded(spoken, format, FormatOptions(words=True, uri=odd))) > 20
