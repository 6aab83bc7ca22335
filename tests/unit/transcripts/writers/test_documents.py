"""Documents to read and tables to count, read back by libraries that did not write them."""

from __future__ import annotations

import csv
import io
import re
from zipfile import ZipFile

import docx
import pytest
from docx.document import Document
from docx.oxml.ns import qn
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from api.transcripts.cells import unguarded
from api.transcripts.formats import encoded, render
from api.transcripts.line_breaks import clean
from api.transcripts.options import FormatOptions
from api.transcripts.paragraphs import paragraphs
from shared.transcript import Segment, Transcript
from tests.unit.transcripts.spoken import CALL, SILENCE, hostile, letters, transcript_of, transcripts, utterance

HEBREW = "שלום לכולם, מה שלומכם?"
ARABIC = "مرحبا بكم جميعا في هذا البرنامج."

odd = (
    hostile
    | st.sampled_from(
        ["]]>", "<!-- a --> & <b>", "a\ud800b", "\udfff", "\x00\x0b\x1f", "\ufffe\uffff", "&#0;", HEBREW, "\u202e !"]
    )
    | st.sampled_from(
        ["# no title", "1. no list", "2) nor this", "- nor", "+ nor", "* nor", "> no quote", "---", "===", "***", "```",
         "~~~", "    code", "`code`", "**bold** _it_ ~~x~~", "[a](http://b)", "![a](b)", "<http://a.b>", "a|b", "&amp;",
         "\\*", "\\", "a\\", ":---", "|--|", "$x$", "http://a.example/_b_", "[^1]: x", "[x]: y", "1234567890. x", "_"]
    )
)  # fmt: skip


def read_docx(transcript: Transcript, options: FormatOptions | None = None) -> Document:
    return docx.Document(io.BytesIO(encoded(transcript, "docx", options)))


def read_markdown(text: str) -> list[tuple[str, str]]:
    """(kind, text) of each block; any other kind than these two, or markup inside, is an error."""
    blocks, kinds = [], []
    for token in MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text):
        if token.type in {"heading_open", "paragraph_open"}:
            kinds.append(token.tag)
        elif token.type == "inline":
            inner = token.children or []
            assert {child.type for child in inner} <= {"text", "strong_open", "strong_close", "text_special"}, text
            blocks.append((kinds[-1], "".join(child.content for child in inner)))
        else:
            assert token.type in {"heading_close", "paragraph_close"}, (token.type, text)
    return blocks


def test_docx_is_a_title_and_paragraphs_with_their_speakers() -> None:
    """Word's own styles; the speaker in bold, then when the paragraph begins, which stays on the page of its text."""
    document = read_docx(CALL, FormatOptions(uri="Our call"))
    assert [paragraph.text for paragraph in document.paragraphs] == [
        "Our call",
        "spk_1 0:00:06",
        "Hello?",
        "spk_2 0:00:08",
        "Oh, hello. I didn't know you were there. Neither did I.",
        "spk_1 0:00:10",
        "Okay.",
    ]
    assert document.paragraphs[0].style is not None
    assert document.paragraphs[0].style.name == "Title"
    head = document.paragraphs[1]
    assert [(run.text, bool(run.bold)) for run in head.runs] == [("spk_1", True), (" ", False), ("0:00:06", False)]
    assert head.paragraph_format.keep_with_next
    properties = document.core_properties
    assert (properties.title, properties.language, properties.author) == ("Our call", "en", "")


def test_docx_without_speakers_has_times_alone() -> None:
    """And one in which nobody speaks is a document with a title."""
    assert [p.text for p in read_docx(transcript_of(utterance("One.", 3725, 3726))).paragraphs][1:] == [
        "1:02:05",
        "One.",
    ]
    assert [p.text for p in read_docx(SILENCE).paragraphs] == ["recording"]


@pytest.mark.parametrize(("text", "is_rtl"), [(HEBREW, True), (ARABIC, True), ("Hello.", False), ("1.", False)])
def test_docx_lays_out_each_paragraph_in_its_direction(text: str, is_rtl: bool) -> None:
    """The paragraph and the run are marked."""
    paragraph = read_docx(transcript_of(utterance(text, 0, 2, "spk_1"))).paragraphs[-1]
    assert paragraph.text == text
    properties = paragraph._p.pPr
    assert (properties is not None and properties.find(qn("w:bidi")) is not None) == is_rtl
    assert bool(paragraph.runs[0].font.rtl) == is_rtl


def test_docx_keeps_the_order_of_the_schema() -> None:
    """Word refuses a document whose properties of a paragraph are in another one."""
    head = read_docx(transcript_of(utterance(HEBREW, 0, 2, "אנה"))).paragraphs[1]
    assert head._p.pPr is not None
    assert [child.tag for child in head._p.pPr] == [qn("w:keepNext"), qn("w:bidi")]


@given(st.lists(st.tuples(odd, odd), min_size=1, max_size=4), odd)
def test_docx_holds_whatever_is_said(talk: list[tuple[str, str]], title: str) -> None:
    """Also what XML cannot hold or takes for markup; python-docx and the standard library read it."""
    spoken = transcript_of(*(Segment(n, n * 9, n * 9 + 1, text, 0.5, name) for n, (text, name) in enumerate(talk)))
    body = encoded(spoken, "docx", FormatOptions(uri=title))
    with ZipFile(io.BytesIO(body)) as archive:
        assert archive.testzip() is None
    texts = [paragraph.text for paragraph in docx.Document(io.BytesIO(body)).paragraphs][2::2]
    expected = [re.sub("[\ufffe\uffff]", "\ufffd", paragraph.text) for paragraph in paragraphs(spoken.segments)]
    assert texts == expected


def test_markdown_is_a_title_and_paragraphs_with_their_speakers() -> None:
    """Who and when is a line of its own."""
    assert render(CALL, "md", FormatOptions(uri="Our *call*")) == (
        "# Our \\*call\\*\n\n**spk\\_1** 0:00:06\n\nHello?\n\n"
        "**spk\\_2** 0:00:08\n\nOh, hello. I didn't know you were there. Neither did I.\n\n"
        "**spk\\_1** 0:00:10\n\nOkay.\n"
    )
    assert render(transcript_of(utterance("One.", 61, 62)), "md") == "# recording\n\n0:01:01\n\nOne.\n"
    assert render(SILENCE, "md") == "# recording\n"


@given(st.lists(st.tuples(odd, odd), min_size=1, max_size=4), odd)
def test_nothing_that_is_said_is_markup_in_markdown(talk: list[tuple[str, str]], title: str) -> None:
    """markdown-it finds a heading and paragraphs, with the text as it was said and nothing but names in bold."""
    spoken = transcript_of(*(Segment(n, n * 9, n * 9 + 1, text, 0.5, name) for n, (text, name) in enumerate(talk)))
    rendered = render(spoken, "md", FormatOptions(uri=title))
    (kind, heading), *blocks = read_markdown(rendered)
    assert kind == "h1"
    assert letters(heading) == letters(clean(title) or "recording")
    assert {kind for kind, _ in blocks} <= {"p"}
    expected = list(paragraphs(spoken.segments))
    assert [letters(text) for _, text in blocks[1::2]] == [letters(paragraph.text) for paragraph in expected]
    names = [re.sub(r" \d+:\d\d:\d\d$", "", text) for _, text in blocks[0::2]]
    assert [letters(name) for name in names] == [letters(clean(p.speaker or "") or "unknown") for p in expected]


def test_csv_has_the_same_columns_always() -> None:
    """Seconds, and an empty speaker where there is none."""
    assert render(SILENCE, "csv") == "start,end,speaker,text,confidence\r\n"
    spoken = transcript_of(utterance("Hello, you.", 0.5, 1.25), utterance("=1+1", 2, 3, "@Eva"))
    assert render(spoken, "csv").splitlines()[1:] == [
        '0.500,1.250,,"Hello, you.",0.800',
        "2.000,3.000,'@Eva,'=1+1,0.800",
    ]


@given(st.lists(st.tuples(odd, odd), min_size=1, max_size=8))
def test_csv_is_read_back_exactly(talk: list[tuple[str, str]]) -> None:
    """By Python's csv in its strict mode; no cell is a formula."""
    spoken = transcript_of(*(Segment(n, n, n + 1, text, 0.5, name) for n, (text, name) in enumerate(talk)))
    rows = list(csv.reader(io.StringIO(render(spoken, "csv"), newline=""), strict=True))
    assert [[unguarded(cell) for cell in row[2:4]] for row in rows[1:]] == [[clean(n), clean(t)] for t, n in talk]
    assert not [cell for row in rows for cell in row if cell[:1] in {*"=+-@\t\r\n"} - {""}]


@given(transcripts(), st.sampled_from(["docx", "md", "csv", "ttml", "eaf", "ctm"]))
def test_every_new_format_says_every_word(spoken: Transcript, format: str) -> None:
    """What can be sent is not empty, whatever is said."""
    assert encoded(spoken, format) or not any(clean(segment.text) for segment in spoken.segments)
