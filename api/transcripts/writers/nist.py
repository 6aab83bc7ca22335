"""NIST's files for scoring: .rttm says who spoke when, .ctm which word when."""

from __future__ import annotations

import re
from collections.abc import Iterator

from api.transcripts.line_breaks import clean
from api.transcripts.options import FormatOptions
from shared.transcript import Segment, Transcript, Word


def rttm(transcript: Transcript, options: FormatOptions) -> str:
    """Rich Transcription Time Marked: a SPEAKER line per turn of at least 1 ms. No diarization, no lines.

    Its fields cannot hold spaces: in a speaker's name they become underscores.
    """
    uri = _uri(options)
    lines = []
    for turn in transcript.turns:
        start_ms, end_ms = round(turn.start * 1000), round(turn.end * 1000)
        if end_ms > start_ms:
            span = f"{start_ms / 1000:.3f} {(end_ms - start_ms) / 1000:.3f}"
            lines.append(f"SPEAKER {uri} 1 {span} <NA> <NA> {_token(turn.speaker)} <NA> <NA>\n")
    return "".join(lines)


def ctm(transcript: Transcript, options: FormatOptions) -> str:
    """Conversation Time Mark: `file channel start duration word confidence`, in order of time, as sclite reads it.

    Speakers have no place in it, so the channel is always 1. Where the recogniser gave a segment without words, its
    words share the time by their length.
    """
    words = [word for segment in transcript.segments for word in _words(segment)]
    uri = _uri(options)
    lines = []
    for word in sorted(words, key=lambda word: word.start):
        start_ms, end_ms = round(word.start * 1000), round(word.end * 1000)
        span = f"{start_ms / 1000:.3f} {max(0, end_ms - start_ms) / 1000:.3f}"
        lines.append(f"{uri} 1 {span} {word.text} {word.confidence:.3f}\n")
    return "".join(lines)


def _words(segment: Segment) -> Iterator[Word]:
    """Those of `segment`, none with white space in it."""
    whole = Word(segment.start, segment.end, segment.text, segment.confidence)
    for word in segment.words or (whole,):
        tokens = clean(word.text).split()
        letters = sum(map(len, tokens))
        start = word.start
        for number, token in enumerate(tokens, start=1):
            end = word.end if number == len(tokens) else start + (word.end - word.start) * len(token) / letters
            yield Word(start, end, token, word.confidence)
            start = end


def _uri(options: FormatOptions) -> str:
    return re.sub(r"[^\w.-]+", "_", options.uri) or "recording"


def _token(name: str) -> str:
    """`name` as one field, which `<NA>`, RTTM's word for nothing, is not."""
    return re.sub(r"\s", "_", clean(name)).replace("<NA>", "_NA_") or "_"
