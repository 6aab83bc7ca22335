# ruff: noqa: RUF001
"""Recordings of every kind in which subtitles once broke badly, each by several sentences that people say."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from api.transcripts.formats import render
from api.transcripts.on_screen import MIN_CUE_MS
from api.transcripts.options import FormatOptions
from shared.transcript import Segment
from tests.unit.transcripts.spoken import parsed_srt, transcript_of, utterance


def cues(text: str, width: int = 42) -> list[str]:
    rendered = render(
        transcript_of(utterance(text, 0, 9)), "srt", FormatOptions(subtitles={"max_line_length": width, "max_lines": 2})
    )
    return ["\n".join(block.split("\n")[2:]) for block in rendered.rstrip("\n").split("\n\n")]


WIDTHS = range(14, 43)


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("We asked Prof. Miller and Mrs. Jones whether they would come to the party on the last day of term.", "Prof."),
        (
            "They moved from New York to St. Louis in the spring because the rent was so much lower there at last.",
            "St.",
        ),
        ("You can eat many fruits, e.g. apples and pears, which grow in almost every garden of the village.", "e.g."),
        ("Wir treffen uns bzw. Sie am 21. Dezember um acht Uhr vor dem Rathaus, wenn es nicht regnet.", "21."),
        ("Der Zug nach Bad Homburg v. d. Höhe fährt heute ca. 20 Minuten später von Gleis drei ab, sagt er.", "ca."),
        ("Schůzka se koná 5. května v Praze a všichni občané města jsou srdečně zváni na náměstí.", "5."),
        ("Мы живём на ул. Ленина, д. 7, и каждый день ходим пешком в школу через большой старый парк.", "ул."),
        ("El Sr. García y la Sra. López viven en la calle de al lado desde hace más de veinte años ya.", "Sr."),
        ("The shop opens at 8 a.m. on weekdays and closes at 6 p.m. on Saturdays, which is far too early.", "a.m."),
    ],
)
def test_no_cue_ends_behind_an_abbreviation_or_an_ordinal(text: str, short: str) -> None:
    """At any width at which the words around it fit."""
    for width in WIDTHS:
        assert not [cue for cue in cues(text, width)[:-1] if re.search(rf"(^|\s){re.escape(short)}$", cue)], width


@pytest.mark.parametrize(
    "amount",
    [
        "1\u202f234\u202f567\u00a0$",
        "12\u202f500\u00a0m²",
        "3,5\u00a0%",
        "2 500 000 €",
        "18\u00a0h\u00a030",
        "n°\u00a07",
    ],
)
def test_what_no_break_spaces_hold_stays_on_a_line(amount: str) -> None:
    """And comes out as it was."""
    for width in WIDTHS:
        subtitles = cues(f"Selon le maire, il faudra encore {amount} au moins pour finir les travaux du pont.", width)
        assert any(amount in line for cue in subtitles for line in cue.split("\n")), width


@pytest.mark.parametrize(
    "text",
    [
        "Attention : le train n'arrive pas ; il faudra donc attendre longtemps ici ! Vous comprenez ?",
        "Elle a crié : « Où vas-tu ? » et puis « Reviens ! » mais personne n'a répondu dans la nuit.",
        "Comment\u202f? Vous dites 50\u00a0%\u00a0? Ce n'est pas possible\u202f; je ne vous crois pas\u00a0!",
    ],
)
def test_french_marks_begin_no_line(text: str) -> None:
    """Nor does an opening quote end one."""
    for width in WIDTHS:
        lines = [line for cue in cues(text, width) for line in cue.split("\n")]
        assert not [line for line in lines if re.match("[?!;:»%]", line) or line.endswith("«")], width


@pytest.mark.parametrize(
    "sentences",
    [
        ["این جمله اول است که اینجا تمام می‌شود؟", "این جمله دوم است که کمی بلندتر از آن است."],
        ["এটি প্রথম বাক্য যা এখানে শেষ হয়।", "এটি দ্বিতীয় বাক্য যা একটু বেশি লম্বা হয়।"],
        ["Είναι αυτή η πρώτη ερώτηση εδώ;", "Αυτή είναι η δεύτερη, λίγο μεγαλύτερη πρόταση."],
        ["یہ پہلا سوال ہے جو یہاں ختم ہوتا ہے؟", "یہ دوسرا جملہ ہے جو کافی لمبا ہے۔"],
        ["Սա առաջին հարցն է այստեղ։", "Սա երկրորդ նախադասությունն է, որը շատ երկար է։"],
        ["ይህ የመጀመሪያው ጥያቄ ነው።", "ይህ ሁለተኛው ዓረፍተ ነገር ሲሆን ረጅም ነው።"],
    ],
)
def test_cues_end_with_sentences_of_other_scripts(sentences: list[str]) -> None:
    """Not where the lines are full."""
    subtitles = cues(" ".join(sentences * 3))
    assert len(subtitles) > 1
    assert all(cue.replace("\n", " ").endswith(tuple(sentences)) for cue in subtitles)


@pytest.mark.parametrize(
    "text",
    [
        "ちょっとまってください、キャンセルのチケットをシェアしようとおもっていたところだったんですよ",
        "パーティーのメニューはコーヒーとケーキとジュース、それからフルーツサラダになっています",
        "人々は時々いろいろなことを言いますが、私たちはずっと前からそれをよく知っていました",
    ],
)
def test_japanese_lines_begin_with_no_small_kana(text: str) -> None:
    """Nor with a long vowel or an iteration mark."""
    for width in WIDTHS:
        lines = [line for cue in cues(text, width) for line in cue.split("\n")]
        assert not [line for line in lines if re.match("[ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮー々、。]", line)], (
            width
        )


@pytest.mark.parametrize(
    "number", ["１２３４５円", "第１０回", "３．１４", "１００％", "１２３４５６７８円", "１２：３０", "２，５００"]
)
def test_full_width_numbers_are_whole_wherever_they_fit(number: str) -> None:
    """Each digit takes two columns. One that is wider than the line begins a line and is broken when it is full."""
    digits = re.sub("[^０-９．，：]", "", number)
    for width in WIDTHS:
        lines = [
            line
            for cue in cues(f"予算は{number}で来月までに支払います、それから計画も話します。", width)
            for line in cue.split("\n")
        ]
        if 2 * len(digits) <= width:
            assert any(digits in line for line in lines), width
        else:
            assert any(line == digits[: width // 2] for line in lines), width
        assert all(2 * len(line) <= width for line in lines)


def segments(*talk: tuple[str, float, float, str]) -> list[Segment]:
    return [utterance(*each) for each in talk]


@pytest.mark.parametrize(
    "talk",
    [
        segments(("Can you hear me now?", 0, 1.4, "spk_1"), ("Hello?", 0, 0.4, "spk_2"), ("Yes.", 1.5, 1.8, "spk_1")),
        segments(("I would like to say a few words about it.", 0, 4, "spk_1"), ("Mm.", 2.0, 2.2, "spk_2")),
        segments(("No.", 0, 0.2, "spk_1"), ("No.", 0.05, 0.25, "spk_2"), ("Never.", 0.1, 0.7, "spk_3")),
        segments(
            *((f"So this is number {n}.", n * 0.7, n * 0.7 + 0.9, f"spk_{n % 2 + 1}") for n in range(20)),
        ),
    ],
)
def test_who_talks_at_once_can_be_read(talk: list[Segment]) -> None:
    """No cue is gone before 5/6 s, none overlaps another, and each says what was said."""
    subtitles = parsed_srt(render(transcript_of(*talk), "srt"))
    assert all(cue.end - cue.start >= MIN_CUE_MS for cue in subtitles)
    assert all(before.end <= after.start for before, after in pairwise(subtitles))
    text = " ".join(cue.plaintext.replace("\n", " ") for cue in subtitles)
    for speaker in {segment.speaker for segment in talk}:
        words = " ".join(segment.text for segment in talk if segment.speaker == speaker).split()
        spoken = iter(text.split())
        assert all(word in spoken for word in words)  # in this order
