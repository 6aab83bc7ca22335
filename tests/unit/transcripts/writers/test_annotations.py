"""Files of broadcasters, linguists and those who score, read back by the libraries these use."""

from __future__ import annotations

import re
import tempfile
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pympi import Elan
from ttconv import model
from ttconv.imsc import reader
from ttconv.isd import ISD
from ttconv.style_properties import DirectionType, StyleProperties

from api.transcripts.formats import render
from api.transcripts.line_breaks import clean
from api.transcripts.options import FormatOptions
from shared.transcript import Segment, Transcript, Word
from tests.unit.transcripts.spoken import (
    CALL,
    SILENCE,
    letters,
    parsed_vtt,
    transcript_of,
    transcripts,
    utterance,
    xml_letters,
)
from tests.unit.transcripts.writers.test_documents import ARABIC, HEBREW, odd

XML_ID = "{http://www.w3.org/XML/1998/namespace}id"
TT = "{http://www.w3.org/ns/ttml}"
TTM = "{http://www.w3.org/ns/ttml#metadata}"

Shown = tuple[int, int, str]


def read_ttml(text: str) -> list[Shown]:
    """Start and end in ms and the lines of each paragraph, as ttconv understands them."""
    document = reader.to_model(ElementTree.ElementTree(ElementTree.fromstring(text)))
    assert document is not None
    body = document.get_body()
    rows = []
    for paragraph in [] if body is None else body.dfs_iterator():
        if isinstance(paragraph, model.P):
            begin, end = paragraph.get_begin() or Fraction(0), paragraph.get_end()
            pieces = [
                "\n" if isinstance(piece, model.Br) else piece.get_text() if isinstance(piece, model.Text) else ""
                for piece in paragraph.dfs_iterator()
            ]
            rows.append((round(begin * 1000), round(end * 1000), "".join(pieces)))
    return rows


def ms(clock: str) -> int:
    hours, minutes, seconds = clock.split(":")
    return (int(hours) * 60 + int(minutes)) * 60_000 + round(float(seconds) * 1000)


def test_ttml_has_the_cues_of_vtt() -> None:
    """At the same times, with the same lines, and the speakers as agents."""
    rendered = render(CALL, "ttml")
    cues = [(ms(cue.start), ms(cue.end), cue.text) for cue in parsed_vtt(render(CALL, "vtt"))]
    assert read_ttml(rendered) == cues
    root = ElementTree.fromstring(rendered)
    names = {agent.get(XML_ID): agent.findtext(f"{TTM}name") for agent in root.iter(f"{TTM}agent")}
    assert [names[span.get(f"{TTM}agent")] for span in root.iter(f"{TT}span")] == ["spk_1", "spk_2", "spk_2", "spk_1"]
    assert root.findtext(".//{urn:ebu:tt:metadata}conformsToStandard") == "urn:ebu:tt:distribution:2018-04"


def test_ttml_of_silence_is_a_document_without_a_body() -> None:
    """EBU-TT-D allows no division without a paragraph."""
    assert read_ttml(render(SILENCE, "ttml")) == []
    assert ElementTree.fromstring(render(SILENCE, "ttml")).find(f"{TT}body") is None


def test_ttml_follows_the_options_of_subtitles() -> None:
    """Lines, presets and names are those of vtt."""
    options = FormatOptions(preset="ebu", subtitles={"max_line_length": 20, "speaker_marks": "names"})
    cues = [(ms(cue.start), ms(cue.end), cue.text) for cue in parsed_vtt(render(CALL, "vtt", options))]
    assert read_ttml(render(CALL, "ttml", options)) == cues
    assert cues[0][2] == "spk_1: Hello?"


def on_screen_at(text: str, second: int) -> dict[str, str]:
    """The text that ttconv lays out in each region at that moment."""
    document = reader.to_model(ElementTree.ElementTree(ElementTree.fromstring(text)))
    assert document is not None
    return {
        region.get_id(): "".join(piece.get_text() for piece in region.dfs_iterator() if isinstance(piece, model.Text))
        for region in ISD.from_model(document, Fraction(second)).iter_regions()
    }


def test_ttml_can_be_shown() -> None:
    """What is said is in the region at the bottom while it is said, and nothing is afterwards."""
    rendered = render(CALL, "ttml")
    assert on_screen_at(rendered, 9) == {"bottom": "Oh, hello. I didn't know you were there."}
    assert "".join(on_screen_at(rendered, 30).values()) == ""


@pytest.mark.parametrize(("text", "direction"), [(HEBREW, "rtl"), (ARABIC, "rtl"), ("Hello.", "ltr")])
def test_ttml_is_read_in_the_direction_of_its_text(text: str, direction: str) -> None:
    """Also where two speakers of one cue do not share theirs."""
    rendered = render(
        transcript_of(utterance(text, 0, 2, "spk_1"), utterance("Yes, of course.", 0, 2, "spk_2")), "ttml"
    )
    document = reader.to_model(ElementTree.ElementTree(ElementTree.fromstring(rendered)))
    assert document is not None
    body = document.get_body()
    assert body is not None
    spans = [piece for piece in body.dfs_iterator() if isinstance(piece, model.Span) and len(list(piece))]
    directions = [span.get_style(StyleProperties.Direction) for span in spans]
    assert DirectionType[direction] in directions
    assert DirectionType.ltr in directions


@given(st.lists(st.tuples(odd, odd), min_size=1, max_size=4))
def test_ttml_holds_whatever_is_said(talk: list[tuple[str, str]]) -> None:
    """Also what XML cannot hold or takes for markup; every letter is there."""
    spoken = transcript_of(*(Segment(n, n * 9, n * 9 + 2, text, 0.5, name) for n, (text, name) in enumerate(talk)))
    text = letters("".join(text for _, _, text in read_ttml(render(spoken, "ttml"))))
    assert text == xml_letters("".join(text for text, _ in talk))


def read_eaf(text: str) -> Elan.Eaf:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "call.eaf")
        path.write_text(text, encoding="utf-8")
        return Elan.Eaf(str(path))


def test_eaf_has_a_tier_per_speaker_and_one_of_words() -> None:
    """pympi finds the segments, the words below them, and whose they are."""
    eaf = read_eaf(render(CALL, "eaf"))
    assert list(eaf.get_tier_names()) == ["spk_1", "spk_1 words", "spk_2", "spk_2 words"]
    assert eaf.get_annotation_data_for_tier("spk_1") == [(6680, 7160, "Hello?"), (10780, 12540, "Okay.")]
    assert [text for _, _, text in eaf.get_annotation_data_for_tier("spk_2 words")][:3] == ["Oh,", "hello.", "I"]
    assert eaf.get_parameters_for_tier("spk_2 words")["PARENT_REF"] == "spk_2"
    assert eaf.get_parameters_for_tier("spk_2")["PARTICIPANT"] == "spk_2"
    assert list(read_eaf(render(SILENCE, "eaf")).get_tier_names()) == []


def test_eaf_keeps_speakers_apart_whose_names_look_alike() -> None:
    """A name that another tier has gets a number."""
    spoken = transcript_of(
        utterance("a", 0, 1, "Anna"), utterance("b", 1, 2, "Anna words"), utterance("c", 2, 3, "Anna\ud800")
    )
    names = list(read_eaf(render(spoken, "eaf")).get_tier_names())
    assert len(set(names)) == len(names) == 6


@given(transcripts())
def test_eaf_is_in_order_and_complete(spoken: Transcript) -> None:
    """Annotations of a tier last and do not overlap, words lie in their segment, and every segment is there."""
    eaf = read_eaf(render(spoken, "eaf"))
    for name in eaf.get_tier_names():
        spans = sorted(eaf.get_annotation_data_for_tier(name))
        assert all(start < end for start, end, _ in spans)
        assert all(before[1] <= after[0] for before, after in pairwise(spans))
        if parent := eaf.get_parameters_for_tier(name).get("PARENT_REF"):
            bounds = eaf.get_annotation_data_for_tier(parent)
            assert all(any(a <= start and end <= b for a, b, _ in bounds) for start, end, _ in spans)
    speakers = {segment.speaker or "unknown" for segment in spoken.segments}
    texts = [text for name in speakers for _, _, text in sorted(eaf.get_annotation_data_for_tier(name))]
    assert sorted(map(letters, texts)) == sorted(xml_letters(s.text) for s in spoken.segments if clean(s.text))


@given(st.lists(st.tuples(odd, odd), min_size=1, max_size=4))
def test_eaf_holds_whatever_is_said(talk: list[tuple[str, str]]) -> None:
    """Also in names, which are attributes."""
    spoken = transcript_of(*(utterance(text, n * 9, n * 9 + 2, name) for n, (text, name) in enumerate(talk)))
    eaf = read_eaf(render(spoken, "eaf"))
    tiers = [name for name in eaf.get_tier_names() if "PARENT_REF" not in eaf.get_parameters_for_tier(name)]
    texts = [text for name in tiers for _, _, text in eaf.get_annotation_data_for_tier(name)]
    assert sorted(map(letters, texts)) == sorted(xml_letters(text) for text, _ in talk if clean(text))


CTM_LINE = re.compile(r"\S+ \S+ \d+\.\d+ \d+\.\d+ \S+ [01]\.\d+")


def read_ctm(text: str) -> list[tuple[str, float, float, str, float]]:
    """As NIST's sclite reads it: lines in order, fields parted by white space, `;;` a comment."""
    rows = []
    for line in text.split("\n")[:-1]:
        assert not line.startswith(";;")
        fields = line.split()
        assert CTM_LINE.fullmatch(line), line
        assert len(fields) == 6
        rows.append((fields[0], float(fields[2]), float(fields[3]), fields[4], float(fields[5])))
    assert [start for _, start, *_ in rows] == sorted(start for _, start, *_ in rows)
    return rows


def test_ctm_has_a_line_per_word() -> None:
    """Its file, channel, start, duration, text and confidence."""
    lines = render(CALL, "ctm", FormatOptions(uri="my call")).splitlines()
    assert lines[0] == "my_call 1 6.680 0.480 Hello? 0.900"
    assert [line.split()[4] for line in lines][1:4] == ["Oh,", "hello.", "I"]
    assert len(lines) == 13
    assert render(SILENCE, "ctm") == ""


def test_ctm_shares_the_time_of_a_segment_without_words() -> None:
    """By their length, and so those that the recogniser gave as one word."""
    whole = transcript_of(Segment(0, 1.0, 3.0, " one fifteen", 0.7))
    assert [line[1:] for line in read_ctm(render(whole, "ctm"))] == [(1.0, 0.6, "one", 0.7), (1.6, 1.4, "fifteen", 0.7)]
    joined = transcript_of(Segment(0, 1.0, 3.0, "New York", 0.7, None, (Word(1.0, 2.4, " New York", 0.8),)))
    assert [line[1:] for line in read_ctm(render(joined, "ctm"))] == [(1.0, 0.6, "New", 0.8), (1.6, 0.8, "York", 0.8)]


@given(transcripts())
def test_ctm_says_every_word(spoken: Transcript) -> None:
    """In order of time, each a field without white space in it."""
    words = read_ctm(render(spoken, "ctm"))
    texts = ("".join(word.text for word in segment.words) or segment.text for segment in spoken.segments)
    assert sorted(letters("".join(word for *_, word, _ in words))) == sorted(letters("".join(texts)))
