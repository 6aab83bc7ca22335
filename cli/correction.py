"""A transcript as text that a person can correct in an editor, and what they changed about it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

HEAD = """\
# Task {task_id}, version {version}. Correct it, save, and close the editor.
#
# spk_1 = Anna               names a speaker everywhere. Without a name it is spk_1 again.
# [3 0:08.9 Anna] Hello.     is segment 3: change its text, or its speaker to another name or id.
#
# Nothing behind the bracket means that nothing is said there. Lines without a bracket belong to the segment above.
# A segment that you remove stays as it was. The times are for your orientation.
"""

NAME_LINE = re.compile(r"(spk_[1-9][0-9]*)\s*=\s*(.*)")
SEGMENT_LINE = re.compile(r"\[(\d+)(?:\s+[\d:.]+)?(?:\s+(.*?))?\s*\](.*)")
NEW_SPEAKER = re.compile("spk_[1-9][0-9]?")


class FormError(Exception):
    """A line of the text cannot be understood."""


@dataclass(slots=True)
class Correction:
    """What is different: names by speaker id, None for one that was taken away, and segments as the API takes them.

    `missing` is the number of segments that are not in the text; they stay as they were.
    """

    speakers: dict[str, str | None] = field(default_factory=dict)
    segments: list[dict[str, Any]] = field(default_factory=list)
    missing: int = 0

    def __bool__(self) -> bool:
        return bool(self.speakers or self.segments)

    def body(self, version: int) -> dict[str, Any]:
        """Of PATCH /tasks/{id}."""
        parts = {"speakers": self.speakers, "segments": self.segments}
        return {"version": version} | {name: part for name, part in parts.items() if part}


class Form:
    """The text for one version of a transcript, the body of GET /result in json."""

    def __init__(self, transcript: dict[str, Any]) -> None:
        self.version: int = transcript["version"]
        self.segments: dict[int, dict[str, Any]] = {segment["id"]: segment for segment in transcript["segments"]}
        self.names: dict[str, str] = {each["id"]: each.get("name") or "" for each in transcript["speakers"]}
        lines = [HEAD.format(task_id=transcript["task_id"], version=self.version)]
        lines += [f"{speaker} = {name}".rstrip() for speaker, name in self.names.items()]
        lines += ["", *(f"{self.place(n)} {_line(segment['text'])}".rstrip() for n, segment in self.segments.items())]
        self.text = "\n".join(lines) + "\n"

    def place(self, number: int) -> str:
        """How the line of a segment begins: [3 0:08.9 Anna]."""
        segment = self.segments[number]
        tenths = int(10 * segment["start"])
        time = f"{tenths // 600}:{tenths // 10 % 60:02}.{tenths % 10}"
        return f"[{number} {time} {segment['speaker']}]" if segment["speaker"] else f"[{number} {time}]"

    def read(self, text: str) -> Correction:
        """What is different in the text. Raises FormError."""
        correction, names, entries = Correction(), dict(self.names), dict[int, tuple[str | None, list[str]]]()
        lines: list[str] | None = None
        for number, line in _lines(text):
            if (match := SEGMENT_LINE.fullmatch(line)) is not None:
                segment = int(match[1])
                if segment not in self.segments:
                    raise FormError(f"Line {number}: there is no segment {segment}.")
                if segment in entries:
                    raise FormError(f"Line {number}: segment {segment} is there twice.")
                place = self.place(segment)
                is_same = line.startswith(place)  # a name may hold a bracket
                lines = [line.removeprefix(place) if is_same else match[3]]
                entries[segment] = None if is_same else match[2] or "", lines
            elif lines is not None:
                lines.append(line)
            elif (match := NAME_LINE.fullmatch(line)) is not None:
                names[match[1]] = _line(match[2])
            elif not line.startswith("#"):
                raise FormError(f"Line {number} belongs to no segment: {line[:40]!r}.")
        correction.speakers = {
            speaker: name or None for speaker, name in names.items() if name != self.names.get(speaker, "")
        }
        for segment, (label, parts) in entries.items():
            change = self._change(segment, label, _line(" ".join(parts)), names)
            if change:
                correction.segments.append({"id": segment, **change})
        correction.missing = len(self.segments) - len(entries)
        return correction

    def _change(self, number: int, label: str | None, text: str, names: dict[str, str]) -> dict[str, str]:
        """`label` is who says it, None where that was left as it was."""
        segment, change = self.segments[number], dict[str, str]()
        if text != _line(segment["text"]):
            change["text"] = text
        before = segment["speaker"]
        if label is not None and label != (before or ""):
            speaker = self._speaker(number, label, names)
            if [speaker] != self._ids(before or "", self.names):
                change["speaker"] = speaker
        return change

    def _speaker(self, number: int, label: str, names: dict[str, str]) -> str:
        """The id of whom `label` means: an id, a name of now, or a name of before."""
        if not label:
            raise FormError(f"Segment {number} has no speaker; known are {', '.join(names)}.")
        ids = [label] if label in names or NEW_SPEAKER.fullmatch(label) else []
        ids = ids or self._ids(label, names) or self._ids(label, self.names)
        if len(ids) == 1:
            return ids[0]
        if ids:
            raise FormError(f"Segment {number}: {label!r} may be {' or '.join(ids)}; put the id there.")
        raise FormError(f"Segment {number}: nobody is called {label!r}; known are {', '.join(names) or 'no speakers'}.")

    @staticmethod
    def _ids(label: str, names: dict[str, str]) -> list[str]:
        return [speaker for speaker, name in names.items() if label and label == (name or speaker)]


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines that are not empty, with their numbers from 1."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, line.strip()


def _line(text: str) -> str:
    """As one line with single spaces, as the API keeps it."""
    return " ".join(text.split())
