"""What a client asks for before it speaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from cli.wyoming.frames import Garbled

MAX_HOTWORDS = 2000
"""Characters that the API takes."""


@dataclass(frozen=True, slots=True)
class Request:
    """A `transcribe` event. `hotwords` are names of the home and terms that may be said."""

    model: str | None = None
    language: str | None = None
    hotwords: str = ""

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Self:
        """Raises Garbled. `context` is what an earlier transcript brought, and ours bring none."""
        hotwords = _hotwords(_strings(data, "transcript_names"), _strings(data, "transcript_terms"))
        return cls(_string(data, "name"), _string(data, "language"), hotwords)


def _hotwords(names: Sequence[str], terms: Sequence[str]) -> str:
    """As many as the API takes, names before terms; in reverse, as a decoder that is given too many reads the end."""
    words: list[str] = []
    size = 0
    for word in filter(None, map(str.strip, (*names, *terms))):
        size += len(word) + 2
        if size > MAX_HOTWORDS:
            break
        words.append(word)
    return ", ".join(reversed(words))


def _string(data: Mapping[str, Any], name: str) -> str | None:
    value = data.get(name)
    if value is not None and not isinstance(value, str):
        raise Garbled(f"{name} of transcribe is a string.")
    return value or None


def _strings(data: Mapping[str, Any], name: str) -> list[str]:
    values = data.get(name) or []
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise Garbled(f"{name} of transcribe is a list of strings.")
    return values
