"""What a client reads of an answer: values at paths of it, by kind."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pysubs2

from scripts.bench.scoring import word_error_rate
from tests.clients.written import Answer

SPOKEN = "And so my fellow Americans ask not what your country can do for you ask what you can do for your country"


def is_what_was_said(text: str) -> bool:
    """Whether this is what Kennedy says in jfk.wav."""
    return word_error_rate(SPOKEN, text) <= 0.10


KINDS: dict[str, Callable[[Any], bool]] = {
    "words": lambda value: isinstance(value, str) and is_what_was_said(value),
    "string": lambda value: isinstance(value, str) and bool(value),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "list": lambda value: isinstance(value, list),
    "filled list": lambda value: isinstance(value, list) and bool(value),
}
"""Beside these, `=TEXT` is that text, and `KIND or null` may be null or left out."""


def body(answer: httpx.Response, kind: Answer) -> Any:
    """JSON as it is; of text {"text"}; of subtitles {"text", "cues"}; of a stream {"text", "delta", "segment", "done"},
    where `text` is that of all deltas."""
    match kind:
        case "json":
            return answer.json()
        case "text":
            return {"text": answer.text}
        case "srt" | "vtt":
            cues = pysubs2.SSAFile.from_string(answer.text, format_=kind)
            times = [{"start": cue.start, "end": cue.end, "text": cue.plaintext} for cue in cues]
            return {"text": " ".join(cue.plaintext for cue in cues), "cues": times}
        case "stream":
            return _stream(answer.text)


def _stream(answer: str) -> dict[str, Any]:
    lines = [line.removeprefix("data: ") for line in answer.splitlines() if line.startswith("data: ")]
    assert lines.pop() == "[DONE]"
    events: dict[str, Any] = {"delta": [], "segment": [], "done": []}
    for event in map(json.loads, lines):
        events[event["type"].rpartition(".")[2]].append(event)
    text = "".join(str(event["delta"]) for event in events["delta"])
    return events | {"text": text}


def faults(answer: Any, reads: dict[str, str]) -> list[str]:
    """Each thing that is not as the client reads it."""
    return [fault for path, kind in reads.items() for fault in _faults(answer, path, kind)]


def _faults(answer: Any, path: str, kind: str) -> Iterator[str]:
    values = list(_values(answer, path.split(".")))
    if not values:
        yield f"{path}: there is none"
    plain = kind.removesuffix(" or null")
    for value in values:
        if value is None and plain != kind:
            continue
        fits = value == kind[1:] if kind.startswith("=") else KINDS[plain](value)
        if not fits:
            yield f"{path}: {value!r} is not {kind}"


def _values(answer: Any, steps: list[str]) -> Iterator[Any]:
    """All values at a path such as segments[].words[].word; None where a name is left out."""
    if not steps:
        yield answer
        return
    name, brackets, _ = steps[0].partition("[]")
    value = answer.get(name) if isinstance(answer, dict) else None
    if not brackets:
        yield from _values(value, steps[1:])
    elif isinstance(value, list):
        for each in value:
            yield from _values(each, steps[1:])
