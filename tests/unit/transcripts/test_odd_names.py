"""Names that people give themselves, and texts that look like the file around them, in subtitles."""

from __future__ import annotations

import html
import re

from hypothesis import given
from hypothesis import strategies as st

from api.transcripts.formats import render
from tests.unit.transcripts.spoken import hostile, parsed_srt, parsed_vtt, transcript_of, utterance

odd_names = (
    st.sampled_from(
        ["Anna --", "--", "-->", "A-->B", "Anna ->", "<v Eva>", "</v>", "&lt;", "&#45;&#45;>", "Jo\nAnn", "NOTE",
         "\t--", "00:00:01.000 --> 00:00:02.000", "{\\an8}", "中文--", "STYLE", ".loud", "-- \u200b", "\x00"]
    )
    | hostile.filter(lambda name: bool(name.strip()))
)  # fmt: skip
odd_texts = st.sampled_from(
    ["-->", "--", "a --> b", "--\n>", "\n\n", "1\n00:00:00,000 --> 00:00:01,000\nx", "NOTE x", "STYLE", "WEBVTT",
     "</v>", "<c.red>", "&amp;&lt;", "<00:00:01.000>", "\r\r", "--&gt;", "->", "-", ">"]
)  # fmt: skip
TIMES = re.compile(r"(\d{2,}:\d\d:\d\d[.,]\d{3}) --> (\d{2,}:\d\d:\d\d[.,]\d{3})")


@given(st.lists(st.tuples(odd_names, odd_texts | hostile), min_size=1, max_size=6))
def test_names_and_texts_make_no_time_line(talk: list[tuple[str, str]]) -> None:
    """Whatever a speaker is called and says, the only arrows are those between times, in vtt and in srt alike, and no
    cue has an empty line in it."""
    spoken = transcript_of(*(utterance(text, 5.0 * n, 5.0 * n + 2, name) for n, (name, text) in enumerate(talk)))
    for format, head in (("vtt", "WEBVTT\n\n"), ("srt", "")):
        rendered = render(spoken, format)
        for line in rendered.split("\n"):
            assert "-->" not in line or TIMES.fullmatch(line), (format, line)
        for block in rendered.removeprefix("WEBVTT\n").removeprefix(head).strip("\n").split("\n\n"):
            lines = block.strip("\n").split("\n")
            assert not block.strip("\n") or any(TIMES.fullmatch(line) for line in lines[:2]), (format, block)


@given(st.lists(st.tuples(odd_names, odd_texts), min_size=1, max_size=6))
def test_libraries_read_odd_names_back(talk: list[tuple[str, str]]) -> None:
    """webvtt-py and pysubs2 find as many cues as were written, at their times, and webvtt-py the names."""
    spoken = transcript_of(*(utterance(text, 5.0 * n, 5.0 * n + 2, name) for n, (name, text) in enumerate(talk)))
    written_vtt, written_srt = render(spoken, "vtt"), render(spoken, "srt")
    times = [(start, end) for start, end in TIMES.findall(written_vtt)]
    captions = parsed_vtt(written_vtt)
    assert [(caption.start, caption.end) for caption in captions] == times
    voices = re.findall(r"^<v ([^>]*)>", written_vtt, re.M)
    assert all(voice.strip() for voice in voices)
    assert [html.unescape(caption.voice or "").strip() for caption in captions] == [
        html.unescape(voice).strip() for voice in voices
    ]
    assert len(parsed_srt(written_srt)) == len(TIMES.findall(written_srt))


def test_a_name_that_ends_like_an_arrow_stays_a_name() -> None:
    """The end of the voice tag does not become the head of an arrow, and players strip the space between them."""
    rendered = render(transcript_of(utterance("Hello.", 0, 1, "Anna --")), "vtt")
    assert rendered.splitlines()[-1] == "<v Anna -- >Hello.</v>"
    assert [caption.text for caption in parsed_vtt(rendered)] == ["Hello."]
