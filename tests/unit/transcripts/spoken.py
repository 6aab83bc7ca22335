"""Transcripts for the tests of formats and subtitles: by hand, and by hypothesis with whatever text there can be."""

from __future__ import annotations

import re
from dataclasses import replace

import pysubs2
import webvtt
from hypothesis import strategies as st

from shared.transcript import Caveat, Segment, Speaker, SpeakerTurn, Transcript, Word


def transcript_of(
    *segments: Segment,
    speakers: tuple[Speaker, ...] = (),
    turns: tuple[SpeakerTurn, ...] = (),
    warnings: tuple[Caveat, ...] = (),
) -> Transcript:
    numbered = tuple(replace(segment, id=number) for number, segment in enumerate(segments))
    return Transcript("en", 0.98, 60.0, "base", numbered, speakers, turns, warnings)


def utterance(text: str, start: float, end: float, speaker: str | None = None) -> Segment:
    """A segment whose words share its time evenly, each with its leading space."""
    texts = [f" {word}" for word in text.split(" ")]
    step = (end - start) / len(texts)
    words = tuple(Word(start + step * n, start + step * (n + 1), word, 0.9, speaker) for n, word in enumerate(texts))
    return Segment(0, start, end, text, 0.8, speaker, words)


CALL = transcript_of(
    utterance("Hello?", 6.68, 7.16, "spk_1"),
    utterance("Oh, hello. I didn't know you were there.", 8.4364, 9.798, "spk_2"),
    utterance("Neither did I.", 9.838, 10.78, "spk_2"),
    utterance("Okay.", 10.78, 12.54, "spk_1"),
    speakers=(Speaker("spk_1", 2.24), Speaker("spk_2", 2.3041)),
    turns=(SpeakerTurn(6.69, 7.12, "spk_1"), SpeakerTurn(8.32, 10.02, "spk_2"), SpeakerTurn(9.5, 9.9996, "spk_1")),
    warnings=(Caveat("noisy", "There is much noise", 1.0, 2.0),),
)

SILENCE = transcript_of()


def parsed_srt(text: str) -> list[pysubs2.SSAEvent]:
    return list(pysubs2.SSAFile.from_string(text, format_="srt"))


def parsed_vtt(text: str) -> list[webvtt.Caption]:
    return list(webvtt.from_string(text).captions)


def letters(text: str) -> str:
    """What must survive: everything but white space and what has no shape."""
    return re.sub("[\\s\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]", "", text)


def xml_letters(text: str) -> str:
    """The same of what XML can hold: no half of a pair, and a sign in place of what is no character."""
    return re.sub("[\ufffe\uffff]", "\ufffd", re.sub("[\ud800-\udfff]", "", letters(text)))


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
