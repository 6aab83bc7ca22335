"""Every format is parsed back, with a library where there is one, and holds what the transcript holds."""

from __future__ import annotations

import csv
import html
import io
import json
import re
import unicodedata
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pysubs2
import pytest
import webvtt
from hypothesis import given
from hypothesis import strategies as st
from pyannote.database.util import load_rttm

from shared.errors import InvalidRequest
from shared.formats import FORMATS, MIN_LINE_LENGTH, FormatOptions, as_dict, render
from shared.transcript import Caveat, Segment, Speaker, SpeakerTurn, Transcript, Word


def transcript_of(*segments: Segment, duration: float = 60.0, **more: object) -> Transcript:
    numbered = tuple(replace(segment, id=number) for number, segment in enumerate(segments))
    return replace(Transcript("en", 0.98, duration, "base", numbered), **more)


def said(text: str, start: float, end: float, speaker: str | None = None) -> Segment:
    """A segment whose words share its time evenly, each with its leading space."""
    texts = [f" {word}" for word in text.split(" ")]
    step = (end - start) / len(texts)
    words = tuple(Word(start + step * n, start + step * (n + 1), word, 0.9, speaker) for n, word in enumerate(texts))
    return Segment(0, start, end, text, 0.8, speaker, words)


CALL = transcript_of(
    said("Hello?", 6.68, 7.16, "spk_1"),
    said("Oh, hello. I didn't know you were there.", 8.4364, 9.798, "spk_2"),
    said("Neither did I.", 9.838, 10.78, "spk_2"),
    said("Okay.", 10.78, 12.54, "spk_1"),
    speakers=(Speaker("spk_1", 2.24), Speaker("spk_2", 2.3041)),
    turns=(SpeakerTurn(6.69, 7.12, "spk_1"), SpeakerTurn(8.32, 10.02, "spk_2"), SpeakerTurn(9.5, 9.9996, "spk_1")),
    warnings=(Caveat("noisy", "There is much noise", 1.0, 2.0),),
)

SILENCE = transcript_of()


# ---- json, text, tsv, rttm


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


def test_text_without_speakers_is_a_line_per_segment() -> None:
    """Line breaks inside a segment do not make it two."""
    spoken = transcript_of(Segment(0, 0.0, 1.0, " One\r\nline.", 0.5), Segment(1, 1.0, 2.0, " Another.", 0.5))
    assert render(spoken, "text") == "One line.\nAnother.\n"


def test_a_segment_of_nobody_is_not_the_speaker_before() -> None:
    """In a transcript with speakers it is marked where the format has no other sign."""
    spoken = transcript_of(said("Yes.", 0, 1, "spk_1"), said("Noise.", 5, 6), said("No.", 7, 8, "spk_1"))
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
        render(transcript_of(said("Hello there.", 0.5, 1.25)), "tsv") == "start\tend\ttext\n500\t1250\tHello there.\n"
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
        render(CALL, "docx")


@pytest.mark.parametrize(
    "limits",
    [{"max_line_length": MIN_LINE_LENGTH - 1}, {"max_lines": 0}, {"max_cue_s": 0.5}, {"max_cue_s": float("nan")}],
)
def test_limits_without_room_are_refused(limits: dict[str, float]) -> None:
    """The error names the option."""
    with pytest.raises(InvalidRequest) as refused:
        FormatOptions(**limits)
    assert [refused.value.detail["parameter"]] == list(limits)


# ---- subtitles by example


def test_srt_names_the_speaker_where_it_changes() -> None:
    """Cues that follow by the same speaker have no label."""
    assert [(cue.start, cue.end, cue.text) for cue in parsed_srt(render(CALL, "srt"))] == [
        (6680, 7513, "spk_1: Hello?"),
        (8436, 9798, r"spk_2: Oh, hello. I didn't\Nknow you were there."),
        (9838, 10780, "Neither did I."),
        (10780, 12540, "spk_1: Okay."),
    ]


def test_vtt_names_the_speaker_in_a_voice_tag() -> None:
    """Every cue has one, since each stands for itself."""
    captions = parsed_vtt(render(CALL, "vtt"))
    assert [caption.voice for caption in captions] == ["spk_1", "spk_2", "spk_2", "spk_1"]
    assert captions[1].text == "Oh, hello. I didn't know you were there."
    assert (captions[1].start, captions[1].end) == ("00:00:08.436", "00:00:09.798")


def test_a_long_segment_is_cut_at_the_end_of_a_sentence() -> None:
    """Not where the last line happens to be full, and each cue begins with its first word."""
    text = "Well, there isn't that much difference. At least you know, they all call me a Yankee down here in Texas."
    spoken = said(text, 20.0, 26.0)
    cues = parsed_srt(render(transcript_of(spoken), "srt"))
    assert [cue.plaintext.replace("\n", " ") for cue in cues] == [text[:39], text[40:]]
    assert cues[1].start == round(spoken.words[6].start * 1000)


def test_a_long_segment_is_cut_at_a_pause() -> None:
    """Where the text has no punctuation, a silence of half a second tells phrases apart."""
    words = [Word(n * 0.3, n * 0.3 + 0.3, " phrase", 0.9) for n in range(9)]
    words += [Word(3.5 + n * 0.3, 3.8 + n * 0.3, " phrase", 0.9) for n in range(8)]
    spoken = Segment(0, 0.0, 5.9, "".join(word.text for word in words), 0.8, None, tuple(words))
    cues = parsed_srt(render(transcript_of(spoken), "srt"))
    assert [(cue.start, cue.plaintext.count("phrase")) for cue in cues] == [(0, 9), (3500, 8)]


def test_a_long_segment_is_cut_at_a_comma() -> None:
    """Where a sentence is too long for a cue, the end of a clause is the next best place."""
    text = "At least you know that they all call me a Yankee, so what can I say about that to anybody who lives here"
    cues = parsed_srt(render(transcript_of(said(text, 20.0, 26.0)), "srt"))
    assert [cue.plaintext.replace("\n", " ") for cue in cues] == [text[:49], text[50:]]


def test_a_lone_last_word_is_not_left_over() -> None:
    """What needs two cues is shared between them."""
    text = " ".join(["word"] * 18)
    cues = parsed_srt(render(transcript_of(said(text, 0.0, 6.0)), "srt"))
    assert [cue.plaintext.count("word") for cue in cues] == [9, 9]


def test_slow_speech_is_cut_by_time() -> None:
    """A cue holds no word that ends later than `max_cue_s` after its first one began."""
    words = tuple(Word(n * 1.5, n * 1.5 + 1.2, " slow", 0.9) for n in range(6))
    spoken = transcript_of(Segment(0, 0, 8.7, " slow" * 6, 0.8, None, words))
    cues = parsed_srt(render(spoken, "srt", FormatOptions(max_cue_s=5)))
    assert [(cue.start, cue.end, cue.plaintext.count("slow")) for cue in cues] == [(0, 4200, 3), (4500, 8700, 3)]


def test_words_after_a_long_silence_are_not_shown_before_it() -> None:
    """A cue ends at a silence of two seconds, however short its text is."""
    words = (Word(0.0, 0.5, " Wait.", 0.9), Word(3.0, 3.5, " Now.", 0.9))
    spoken = transcript_of(Segment(0, 0, 3.5, " Wait. Now.", 0.8, None, words))
    cues = parsed_srt(render(spoken, "srt"))
    assert [(cue.start, cue.end, cue.text) for cue in cues] == [(0, 833, "Wait."), (3000, 3833, "Now.")]


def test_a_sentence_over_two_segments_is_cut_as_one() -> None:
    """Whisper ends a segment where its window ends; a reader shall not see a lone last word for that."""
    spoken = transcript_of(said("Oh", 18.08, 18.26), said("I'm originally from Chicago also.", 18.26, 21.34))
    assert [cue.text for cue in parsed_srt(render(spoken, "srt"))] == ["Oh I'm originally from Chicago also."]


def test_lines_of_a_cue_are_even() -> None:
    """Two lines of like length are easier to read than a full one and a lone word."""
    spoken = said("They all call me a Yankee down here, you know", 0, 4)
    cues = parsed_srt(render(transcript_of(spoken), "srt"))
    assert cues[0].plaintext == "They all call me a Yankee\ndown here, you know"


@pytest.mark.parametrize(
    "text",
    [
        "我们今天讨论一下这个项目的进展情况，然后决定下一步怎么做。",  # noqa: RUF001
        "今日は東京でとても美しい桜を見ました。「すごい」と思います。",
        "วันนี้เราจะมาพูดคุยกันเรื่องความคืบหน้าของโครงการนี้",
    ],
)
@pytest.mark.parametrize("with_words", [True, False])
@pytest.mark.parametrize("width", range(MIN_LINE_LENGTH, 30))
def test_scripts_without_spaces_are_wrapped(text: str, width: int, with_words: bool) -> None:
    """Between characters, with no space put in, no punctuation first and no mark without its letter."""
    words = tuple(Word(n * 0.2, n * 0.2 + 0.2, letter, 0.9) for n, letter in enumerate(text))
    spoken = Segment(0, 0.0, len(text) * 0.2, text, 0.8, None, words if with_words else ())
    cues = parsed_vtt(render(transcript_of(spoken), "vtt", FormatOptions(max_line_length=width)))
    lines = [line for cue in cues for line in cue.text.split("\n")]
    assert "".join(lines) == text
    assert all(columns(line) <= width for line in lines)
    assert not any(line[0] in "\uff0c。、」" or re.match("[\u0e31\u0e34-\u0e3a\u0e47-\u0e4e]", line) for line in lines)
    assert not any(line[-1] in "「เแโใไ" for line in lines)


def test_a_segment_without_spaces_is_not_cut_with_the_next() -> None:
    """Chinese often comes without full stops; the segments are all there is to tell phrases apart."""
    phrases = ["我们今天讨论一下这个项目的进展情况", "然后决定下一步怎么做"]
    spoken = transcript_of(*(Segment(0, n * 3.0, n * 3 + 3.0, text, 0.8) for n, text in enumerate(phrases)))
    assert [cue.plaintext for cue in parsed_srt(render(spoken, "srt"))] == phrases


def test_a_mark_stays_with_its_letter() -> None:
    """A word of letters and combining accents is broken between letters, at a column of either kind."""
    word = "e\u0301" * 30
    cues = parsed_vtt(render(transcript_of(said(word, 0, 2)), "vtt", FormatOptions(max_line_length=15)))
    lines = [line for cue in cues for line in cue.text.split("\n")]
    assert "".join(lines) == word
    assert all(line[0] == "e" and len(line) <= 15 for line in lines)


def test_a_word_wider_than_a_line_is_broken() -> None:
    """No line is ever too wide; the pieces go together without a hyphen."""
    word = "Donaudampfschifffahrtsgesellschaftskapitän"
    cues = parsed_vtt(render(transcript_of(said(word, 0, 2)), "vtt", FormatOptions(max_line_length=20)))
    lines = [line for cue in cues for line in cue.text.split("\n")]
    assert all(len(line) <= 20 for line in lines)
    assert "".join(lines) == word


def test_a_hyphenated_word_stays_on_its_line() -> None:
    """Whisper gives `well` and `-known` as two words with no space between them."""
    words = tuple(Word(n, n + 1, text, 0.9) for n, text in enumerate([" a", " rather", " well", "-known", " man"]))
    spoken = transcript_of(Segment(0, 0, 5, " a rather well-known man", 0.8, None, words))
    (cue,) = parsed_vtt(render(spoken, "vtt", FormatOptions(max_line_length=15)))
    assert cue.text == "a rather\nwell-known man"


def test_times_carry_over() -> None:
    """59.9996 s is a minute, and an hour past 99 has three digits."""
    spoken = transcript_of(said("a", 59.9996, 61.0), said("b", 3599.9999, 3601.0), said("c", 360_000.0, 360_001.0))
    starts = re.findall(r"^(\S+) -->", render(spoken, "srt"), re.MULTILINE)
    assert starts == ["00:01:00,000", "01:00:00,000", "100:00:00,000"]


def test_vtt_escapes_what_would_be_markup() -> None:
    """The text comes back as it was said, and nothing of it ends the voice tag or starts a time line."""
    text = "<b>R&D</b> --> &lt;x>"
    rendered = render(transcript_of(said(text, 0, 2, "spk_1")), "vtt")
    (payload,) = re.findall(r"<v spk_1>(.*)</v>", rendered)
    assert html.unescape(payload) == text
    assert rendered.count("-->") == 1


def test_srt_text_cannot_look_like_a_time_line() -> None:
    """The arrow becomes another arrow, also when the model gave it in two words."""
    words = (Word(0, 1, " a--", 0.9), Word(1, 2, "> b", 0.9))
    spoken = transcript_of(Segment(0, 0, 2, " a--> b", 0.9, None, words))
    assert render(spoken, "srt") == "1\n00:00:00,000 --> 00:00:02,000\na→ b\n"


# ---- subtitles in general

anything = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
markup = st.lists(
    st.sampled_from(["-->", "<", ">", "&amp;", "\0", "\r\n", "\n\n", "\t", "7", "{", "中", "ไ", "é", " "]), max_size=9
)
hostile = anything | markup.map("".join)
moments = st.integers(0, 60_000).map(lambda ms: ms / 1000 + 0.0004)
speakers = st.sampled_from([None, "spk_1", "spk_2"])


@st.composite
def transcripts(draw: st.DrawFn) -> Transcript:
    """Ordered as merge leaves them: starts never run backwards, but words may overlap or have no length."""
    starts = iter(sorted(draw(st.lists(moments, max_size=24))))
    segments: list[Segment] = []
    while (start := next(starts, None)) is not None:
        speaker = draw(speakers)
        length = draw(st.sampled_from([0.0, 0.3, 4.0, 40.0]))
        if draw(st.booleans()):
            segments.append(Segment(len(segments), start, start + length, draw(hostile), 0.5, speaker))
            continue
        words = [Word(start, start + length, draw(hostile), 0.5, speaker)]
        for _ in range(draw(st.integers(0, 8))):
            if (after := next(starts, None)) is None:
                break
            words.append(Word(after, after + draw(st.sampled_from([0.0, 0.2, 1.0])), draw(hostile), 0.5, speaker))
        text = "".join(word.text for word in words).strip()
        end = max(word.end for word in words)
        segments.append(Segment(len(segments), start, end, text, 0.5, speaker, tuple(words)))
    return transcript_of(*segments)


limits = st.builds(
    FormatOptions,
    max_line_length=st.integers(MIN_LINE_LENGTH, 50),
    max_lines=st.integers(1, 3),
    max_cue_s=st.sampled_from([1.0, 2.5, 7.0]),
)


def columns(text: str) -> int:
    """Columns of a terminal as Python knows them, a mark counting as one."""
    return sum(1 + (unicodedata.east_asian_width(letter) in "WF") for letter in text)


def letters(text: str) -> str:
    """What must survive: everything but white space and what has no shape."""
    return re.sub("[\\s\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]", "", text)


def parsed_srt(text: str) -> list[pysubs2.SSAEvent]:
    return list(pysubs2.SSAFile.from_string(text, format_="srt"))


def parsed_vtt(text: str) -> list[webvtt.Caption]:
    return list(webvtt.from_string(text).captions)


def read_tsv(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline=""), delimiter="\t", quoting=csv.QUOTE_NONE))


TIMES = re.compile(r"(\d{2,}):([0-5]\d):([0-5]\d)[,.](\d{3}) --> (\d{2,}):([0-5]\d):([0-5]\d)[,.](\d{3})")


def blocks(text: str) -> list[tuple[int, int, list[str]]]:
    """(start ms, end ms, lines) of each cue, read by the grammar that srt and vtt share, to the letter."""
    found = []
    for block in text.rstrip("\n").split("\n\n") if text else []:
        head, *lines = block.split("\n")
        times = TIMES.fullmatch(head)
        assert times, head
        assert lines
        assert all(line.strip() and "-->" not in line for line in lines)
        assert not any(unicodedata.category(letter) in {"Cc", "Zl", "Zp"} for line in lines for letter in line)
        h, m, s, ms, h2, m2, s2, ms2 = map(int, times.groups())
        found.append((((h * 60 + m) * 60 + s) * 1000 + ms, ((h2 * 60 + m2) * 60 + s2) * 1000 + ms2, lines))
    return found


def srt_blocks(text: str) -> list[tuple[int, int, list[str]]]:
    numbered = re.findall(r"^(\d+)\n(?=\d\d+:\d\d:\d\d,\d{3} --> )", text, re.MULTILINE)
    assert numbered == [str(number) for number in range(1, len(numbered) + 1)]
    return blocks(re.sub(r"^\d+\n(?=\d\d+:\d\d:\d\d,\d{3} --> )", "", text, flags=re.MULTILINE))


def vtt_blocks(text: str) -> list[tuple[int, int, list[str]]]:
    """As `blocks`, voice tags taken off and escapes undone."""
    assert text.startswith("WEBVTT\n")
    found = []
    for start, end, lines in blocks(text.removeprefix("WEBVTT\n").removeprefix("\n")):
        payload = re.sub(r"^<v [^<>&]+>(.*)</v>$", r"\1", "\n".join(lines), flags=re.DOTALL)
        assert not re.search("[<>]", payload)
        found.append((start, end, html.unescape(re.sub("&(?!amp;|lt;|gt;)", "&amp;", payload)).split("\n")))
    return found


def without_label(lines: list[str]) -> str:
    return re.sub(r"^(spk_\d+|unknown): ", "", "\n".join(lines))


@given(transcripts(), limits)
def test_cues_are_in_order_and_within_limits(spoken: Transcript, options: FormatOptions) -> None:
    """No cue overlaps another, lasts no time or too long, or has a line too many or too wide, label included."""
    for found in (srt_blocks(render(spoken, "srt", options)), vtt_blocks(render(spoken, "vtt", options))):
        assert all(start < end for start, end, _ in found)
        assert all(end - start <= options.max_cue_s * 1000 for start, end, _ in found)
        assert all(a[1] <= b[0] for a, b in pairwise(found))
        assert all(len(lines) <= options.max_lines for _, _, lines in found)
        assert all(columns(line) <= options.max_line_length for _, _, lines in found for line in lines)


@given(transcripts(), limits)
def test_subtitles_say_every_word(spoken: Transcript, options: FormatOptions) -> None:
    """Whatever the text holds, it comes out in order; only srt's arrow is altered."""
    text = letters("".join(segment.text for segment in spoken.segments))
    shown = "".join("".join(lines) for _, _, lines in vtt_blocks(render(spoken, "vtt", options)))
    assert letters(shown) == text
    shown = "".join(without_label(lines) for _, _, lines in srt_blocks(render(spoken, "srt", options)))
    assert letters(shown).replace("→", "-->") == text.replace("→", "-->")


@given(transcripts())
def test_libraries_read_the_same_vtt(spoken: Transcript) -> None:
    """webvtt-py finds the cues that our grammar finds, at the same times and with as many lines."""
    rendered = render(spoken, "vtt")
    captions = parsed_vtt(rendered)
    assert [f"{caption.start} --> {caption.end}" for caption in captions] == re.findall("^.* --> .*$", rendered, re.M)
    assert [len(caption.lines) for caption in captions] == [len(lines) for _, _, lines in vtt_blocks(rendered)]


plain_words = st.lists(st.sampled_from(["Hello,", "you", "were", "there.", "Über", "Naïve", "中文", "R&D"]), min_size=1)


@given(st.lists(plain_words, max_size=5), limits)
def test_libraries_read_the_same_srt(talk: list[list[str]], options: FormatOptions) -> None:
    """pysubs2 finds the cues that our grammar finds, with the same times and lines."""
    spoken = transcript_of(
        *(
            said(" ".join(words), 10.0 * n, 10.0 * n + len(words) / 3, f"spk_{n % 2 + 1}")
            for n, words in enumerate(talk)
        )
    )
    rendered = render(spoken, "srt", options)
    read = [(cue.start, cue.end, cue.plaintext.split("\n")) for cue in parsed_srt(rendered)]
    assert read == srt_blocks(rendered)


@given(st.lists(st.tuples(moments, st.sampled_from([" Yes", " no.", " well,"])), min_size=1, max_size=30))
def test_a_cue_begins_with_its_first_word(talk: list[tuple[float, str]]) -> None:
    """It is shown when that word starts, or as soon as the cue before it is gone."""
    words = tuple(Word(start, start + 0.2, text, 0.9) for start, text in sorted(talk, key=lambda word: word[0]))
    text = "".join(word.text for word in words)
    free_ms = shown = 0
    for start_ms, end_ms, lines in vtt_blocks(render(transcript_of(Segment(0, 0, 61, text, 0.9, None, words)), "vtt")):
        assert start_ms == max(free_ms, round(words[shown].start * 1000))
        shown += len(" ".join(lines).split(" "))
        free_ms = end_ms
    assert shown == len(words)


@given(transcripts())
def test_tsv_has_a_row_per_segment(spoken: Transcript) -> None:
    """Whatever the text holds, each row has as many fields as the header."""
    header, *rows = read_tsv(render(spoken, "tsv"))
    assert [len(row) for row in rows] == [len(header)] * len(spoken.segments)
    assert [letters(row[2]) for row in rows] == [letters(segment.text) for segment in spoken.segments]


@given(transcripts())
def test_text_says_every_word(spoken: Transcript) -> None:
    """Each line is one paragraph; nothing is lost between them."""
    shown = re.sub(r"^(spk_\d+|unknown): ", "", render(spoken, "text"), flags=re.MULTILINE)
    assert letters(shown) == letters("".join(segment.text for segment in spoken.segments))


@given(transcripts(), st.booleans())
def test_json_reads_back(spoken: Transcript, words: bool) -> None:
    """Control characters and all."""
    assert json.loads(render(spoken, "json", FormatOptions(words=words))) == as_dict(spoken, words=words)


@given(transcripts(), st.sampled_from(list(FORMATS)))
def test_every_format_is_utf8(spoken: Transcript, format: str) -> None:
    """What is rendered can be sent, and the table says as what."""
    assert render(spoken, format).encode("utf-8").decode("utf-8") == render(spoken, format)
    assert FORMATS[format].suffix.startswith(".")
    assert "/" in FORMATS[format].media_type
