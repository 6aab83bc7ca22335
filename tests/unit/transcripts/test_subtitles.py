"""Subtitles are readable, within their limits, and parsed back by libraries and by the letter of the grammar."""

from __future__ import annotations

import html
import re
import unicodedata
from itertools import pairwise
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.transcripts.formats import render
from api.transcripts.on_screen import MIN_CUE_MS
from api.transcripts.options import FormatOptions
from api.transcripts.screen import MIN_LINE_LENGTH, PRESETS, PresetName, Screen, ScreenChoices
from api.transcripts.subtitles import cues
from shared.transcript import Segment, Transcript, Word
from tests.unit.transcripts.spoken import (
    CALL,
    letters,
    moments,
    parsed_srt,
    parsed_vtt,
    transcript_of,
    transcripts,
    utterance,
)


def columns(text: str) -> int:
    """Columns of a terminal as Python knows them, a mark counting as one."""
    return sum(1 + (unicodedata.east_asian_width(letter) in "WF") for letter in text)


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
    spoken = utterance(text, 20.0, 26.0)
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
    cues = parsed_srt(render(transcript_of(utterance(text, 20.0, 26.0)), "srt"))
    assert [cue.plaintext.replace("\n", " ") for cue in cues] == [text[:49], text[50:]]


def test_a_lone_last_word_is_not_left_over() -> None:
    """What needs two cues is shared between them."""
    text = " ".join(["word"] * 18)
    cues = parsed_srt(render(transcript_of(utterance(text, 0.0, 6.0)), "srt"))
    assert [cue.plaintext.count("word") for cue in cues] == [9, 9]


def test_slow_speech_is_cut_by_time() -> None:
    """A cue holds no word that ends later than `max_cue_s` after its first one began."""
    words = tuple(Word(n * 1.5, n * 1.5 + 1.2, " slow", 0.9) for n in range(6))
    spoken = transcript_of(Segment(0, 0, 8.7, " slow" * 6, 0.8, None, words))
    cues = parsed_srt(render(spoken, "srt", FormatOptions(subtitles={"max_cue_s": 5})))
    assert [(cue.start, cue.end, cue.plaintext.count("slow")) for cue in cues] == [(0, 4200, 3), (4500, 8700, 3)]


def test_words_after_a_long_silence_are_not_shown_before_it() -> None:
    """A cue ends at a silence of two seconds, however short its text is."""
    words = (Word(0.0, 0.5, " Wait.", 0.9), Word(3.0, 3.5, " Now.", 0.9))
    spoken = transcript_of(Segment(0, 0, 3.5, " Wait. Now.", 0.8, None, words))
    cues = parsed_srt(render(spoken, "srt"))
    assert [(cue.start, cue.end, cue.text) for cue in cues] == [(0, 833, "Wait."), (3000, 3833, "Now.")]


def test_a_sentence_over_two_segments_is_cut_as_one() -> None:
    """Whisper ends a segment where its window ends; a reader shall not see a lone last word for that."""
    spoken = transcript_of(utterance("Oh", 18.08, 18.26), utterance("I'm originally from Chicago also.", 18.26, 21.34))
    assert [cue.text for cue in parsed_srt(render(spoken, "srt"))] == ["Oh I'm originally from Chicago also."]


def test_lines_of_a_cue_are_even() -> None:
    """Two lines of like length are easier to read than a full one and a lone word."""
    spoken = utterance("They all call me a Yankee down here, you know", 0, 4)
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
    cues = parsed_vtt(render(transcript_of(spoken), "vtt", FormatOptions(subtitles={"max_line_length": width})))
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
    cues = parsed_vtt(
        render(transcript_of(utterance(word, 0, 2)), "vtt", FormatOptions(subtitles={"max_line_length": 15}))
    )
    lines = [line for cue in cues for line in cue.text.split("\n")]
    assert "".join(lines) == word
    assert all(line[0] == "e" and len(line) <= 15 for line in lines)


def test_a_word_wider_than_a_line_is_broken() -> None:
    """No line is ever too wide; the pieces go together without a hyphen."""
    word = "Donaudampfschifffahrtsgesellschaftskapitän"
    cues = parsed_vtt(
        render(transcript_of(utterance(word, 0, 2)), "vtt", FormatOptions(subtitles={"max_line_length": 20}))
    )
    lines = [line for cue in cues for line in cue.text.split("\n")]
    assert all(len(line) <= 20 for line in lines)
    assert "".join(lines) == word


def test_a_hyphenated_word_stays_on_its_line() -> None:
    """Whisper gives `well` and `-known` as two words with no space between them."""
    words = tuple(Word(n, n + 1, text, 0.9) for n, text in enumerate([" a", " rather", " well", "-known", " man"]))
    spoken = transcript_of(Segment(0, 0, 5, " a rather well-known man", 0.8, None, words))
    (cue,) = parsed_vtt(render(spoken, "vtt", FormatOptions(subtitles={"max_line_length": 15})))
    assert cue.text == "a rather\nwell-known man"


def test_times_carry_over() -> None:
    """59.9996 s is a minute, and an hour past 99 has three digits."""
    spoken = transcript_of(
        utterance("a", 59.9996, 61.0), utterance("b", 3599.9999, 3601.0), utterance("c", 360_000.0, 360_001.0)
    )
    starts = re.findall(r"^(\S+) -->", render(spoken, "srt"), re.MULTILINE)
    assert starts == ["00:01:00,000", "01:00:00,000", "100:00:00,000"]


def test_vtt_escapes_what_would_be_markup() -> None:
    """The text comes back as it was said, and nothing of it ends the voice tag or starts a time line."""
    text = "<b>R&D</b> --> &lt;x>"
    rendered = render(transcript_of(utterance(text, 0, 2, "spk_1")), "vtt")
    (payload,) = re.findall(r"<v spk_1>(.*)</v>", rendered)
    assert html.unescape(payload) == text
    assert rendered.count("-->") == 1


def test_srt_text_cannot_look_like_a_time_line() -> None:
    """The arrow becomes another arrow, also when the model gave it in two words."""
    words = (Word(0, 1, " a--", 0.9), Word(1, 2, "> b", 0.9))
    spoken = transcript_of(Segment(0, 0, 2, " a--> b", 0.9, None, words))
    assert render(spoken, "srt") == "1\n00:00:00,000 --> 00:00:02,000\na→ b\n"


# ---- in general

limits = st.fixed_dictionaries(
    {
        "max_line_length": st.integers(MIN_LINE_LENGTH, 50),
        "max_lines": st.integers(1, 3),
        "max_cue_s": st.sampled_from([1.0, 2.5, 7.0]),
    }
).map(lambda choices: FormatOptions(subtitles=cast(ScreenChoices, choices)))


TIMES = re.compile(r"(\d{2,}):([0-5]\d):([0-5]\d)[,.](\d{3}) --> (\d{2,}):([0-5]\d):([0-5]\d)[,.](\d{3})")


def blocks(text: str) -> list[tuple[int, int, list[str]]]:
    """(start ms, end ms, lines) of each cue, read by the grammar that srt and vtt share, to the letter."""
    rows = []
    for block in text.rstrip("\n").split("\n\n") if text else []:
        head, *lines = block.split("\n")
        times = TIMES.fullmatch(head)
        assert times, head
        assert lines
        assert all(line.strip() and "-->" not in line for line in lines)
        assert not any(unicodedata.category(letter) in {"Cc", "Zl", "Zp"} for line in lines for letter in line)
        h, m, s, ms, h2, m2, s2, ms2 = map(int, times.groups())
        rows.append((((h * 60 + m) * 60 + s) * 1000 + ms, ((h2 * 60 + m2) * 60 + s2) * 1000 + ms2, lines))
    return rows


def srt_blocks(text: str) -> list[tuple[int, int, list[str]]]:
    numbered = re.findall(r"^(\d+)\n(?=\d\d+:\d\d:\d\d,\d{3} --> )", text, re.MULTILINE)
    assert numbered == [str(number) for number in range(1, len(numbered) + 1)]
    return blocks(re.sub(r"^\d+\n(?=\d\d+:\d\d:\d\d,\d{3} --> )", "", text, flags=re.MULTILINE))


def vtt_blocks(text: str) -> list[tuple[int, int, list[str]]]:
    """As `blocks`, voice tags taken off and escapes undone."""
    assert text.startswith("WEBVTT\n")
    rows = []
    for start, end, lines in blocks(text.removeprefix("WEBVTT\n").removeprefix("\n")):
        payload = re.sub(r"^<v [^<>&]+>(.*?)</v>$", r"\1", "\n".join(lines), flags=re.DOTALL | re.MULTILINE)
        assert not re.search("[<>]", payload)
        rows.append((start, end, html.unescape(re.sub("&(?!amp;|lt;|gt;)", "&amp;", payload)).split("\n")))
    return rows


@given(transcripts(), limits)
def test_cues_are_in_order_and_within_limits(spoken: Transcript, options: FormatOptions) -> None:
    """No cue overlaps another, lasts too short or too long, or has a line too many or too wide, label included."""
    screen = Screen(**options.limits())
    for rows in (srt_blocks(render(spoken, "srt", options)), vtt_blocks(render(spoken, "vtt", options))):
        assert all(start < end for start, end, _ in rows)
        assert all(end - start >= MIN_CUE_MS for start, end, _ in rows[:-1])
        assert all(end - start >= MIN_CUE_MS or end >= spoken.duration * 1000 for start, end, _ in rows[-1:])
        assert all(end - start <= screen.max_cue_s * 1000 for start, end, _ in rows)
        assert all(a[1] <= b[0] for a, b in pairwise(rows))
        assert all(len(lines) <= screen.max_lines for _, _, lines in rows)
        assert all(columns(line) <= screen.max_line_length for _, _, lines in rows for line in lines)


@given(transcripts(), limits)
def test_subtitles_say_every_word(spoken: Transcript, options: FormatOptions) -> None:
    """Whatever the text holds, it comes out, each speaker's in order; only srt's arrow is altered."""
    for labels in (True, False):
        subtitles = list(cues(spoken, Screen(**options.limits()), "names" if labels else "dashes"))
        for speaker in {segment.speaker for segment in spoken.segments}:
            text = "".join(segment.text for segment in spoken.segments if segment.speaker == speaker)
            lines = ["".join(part.lines) for cue in subtitles for part in cue.parts if part.speaker == speaker]
            assert letters("".join(lines)) == letters(text)
        text = letters("".join("".join(part.lines) for cue in subtitles for part in cue.parts))
        if all(before.end <= after.start for before, after in pairwise(spoken.segments)):
            assert text == letters("".join(segment.text for segment in spoken.segments))
        labelled = letters("".join(part.label + "".join(part.lines) for cue in subtitles for part in cue.parts))
        if labels:
            content = "".join("".join(lines) for _, _, lines in srt_blocks(render(spoken, "srt", options)))
            assert letters(content).replace("→", "-->") == labelled.replace("→", "-->")
        else:
            content = "".join("".join(lines) for _, _, lines in vtt_blocks(render(spoken, "vtt", options)))
            assert letters(content) == labelled


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
            utterance(" ".join(words), 10.0 * n, 10.0 * n + len(words) / 3, f"spk_{n % 2 + 1}")
            for n, words in enumerate(talk)
        )
    )
    rendered = render(spoken, "srt", options)
    rows = [(cue.start, cue.end, cue.plaintext.split("\n")) for cue in parsed_srt(rendered)]
    assert rows == srt_blocks(rendered)


@given(st.lists(st.tuples(moments, st.sampled_from([" Yes", " no.", " well,"])), min_size=1, max_size=30))
def test_a_cue_begins_with_its_first_word(talk: list[tuple[float, str]]) -> None:
    """It is shown when that word starts, or as soon as the cue before it is gone."""
    words = tuple(Word(start, start + 0.2, text, 0.9) for start, text in sorted(talk, key=lambda word: word[0]))
    text = "".join(word.text for word in words)
    free_ms = position = 0
    for start_ms, end_ms, lines in vtt_blocks(render(transcript_of(Segment(0, 0, 61, text, 0.9, None, words)), "vtt")):
        assert start_ms == max(free_ms, round(words[position].start * 1000))
        position += len(" ".join(lines).split(" "))
        free_ms = end_ms
    assert position == len(words)


def test_two_who_talk_at_once_take_turns_on_the_screen() -> None:
    """What is said during another's long sentence is shown when it is said, and each cue names its speaker."""
    question = "I have been waiting here for quite a while now, and I would like to know what it will cost."
    long = utterance(question, 0, 10, "spk_1")
    spoken = transcript_of(long, utterance("Of course.", 3, 4, "spk_2"))
    subtitles = parsed_srt(render(spoken, "srt"))
    assert [(cue.start, cue.plaintext) for cue in subtitles[:2]] == [
        (0, "spk_1: I have been waiting here for quite"),
        (3000, "spk_2: Of course.\nspk_1: a while now,"),
    ]
    assert all(before.end <= after.start for before, after in pairwise(subtitles))


def test_what_two_say_at_once_is_shown_side_by_side() -> None:
    """Each on a line of their own, in one cue that lasts as long as either talks."""
    spoken = transcript_of(
        utterance("Good morning everyone.", 0, 1.04, "spk_1"), utterance("Thank you for calling us.", 0, 2.46, "spk_2")
    )
    (cue,) = parsed_srt(render(spoken, "srt"))
    assert (cue.start, cue.end) == (0, 2460)
    assert cue.plaintext == "spk_1: Good morning everyone.\nspk_2: Thank you for calling us."
    rendered = render(spoken, "vtt")
    assert rendered.endswith("\n<v spk_1>- Good morning everyone.</v>\n<v spk_2>- Thank you for calling us.</v>\n")
    (caption,) = parsed_vtt(rendered)
    assert caption.text == "- Good morning everyone.\n- Thank you for calling us."


@pytest.mark.parametrize("max_lines", [1, 2, 3])
@pytest.mark.parametrize("apart_s", [0.0, 0.1, 0.7, 1.5])
@pytest.mark.parametrize("preset", [None, *PRESETS])
def test_a_minute_of_two_who_talk_at_once_stays_readable_and_in_time(
    max_lines: int, apart_s: float, preset: PresetName | None
) -> None:
    """Every cue lasts, whether both fit or not, and none is shown two seconds late or early; half a second more with a
    broadcaster's lower reading speed."""
    one, other = "I can tell you that number {}.", "But this is what I think {}."
    pairs = [
        (utterance(text.format(n), n * 2.5 + shift, n * 2.5 + shift + 2.4, speaker), n)
        for n in range(24)
        for text, shift, speaker in ((one, 0.0, "spk_1"), (other, apart_s, "spk_2"))
    ]
    options = FormatOptions(preset=preset, subtitles={"max_lines": max_lines, "speaker_marks": "names"})
    subtitles = parsed_srt(render(transcript_of(*(segment for segment, _ in pairs)), "srt", options))
    assert all(cue.end - cue.start >= MIN_CUE_MS for cue in subtitles)
    for segment, n in pairs:
        (cue,) = (cue for cue in subtitles if re.search(rf"{segment.speaker}: [^\n]* {n}\.", cue.plaintext))
        assert abs(cue.start - segment.start * 1000) < (2000 if preset is None else 2500)


def test_short_answers_are_readable() -> None:
    """Also of people who talk one after another: what does not last long enough is shown with what follows it."""
    spoken = transcript_of(
        utterance("Ready?", 1.0, 1.2, "spk_1"),
        utterance("Yes.", 1.3, 1.5, "spk_2"),
        utterance("Go.", 1.5, 1.6, "spk_2"),
        utterance("Fine.", 3.0, 3.2, "spk_1"),
    )
    assert [(cue.start, cue.end, cue.plaintext) for cue in parsed_srt(render(spoken, "srt"))] == [
        (1000, 1833, "spk_1: Ready?\nspk_2: Yes. Go."),
        (3000, 3833, "spk_1: Fine."),
    ]
