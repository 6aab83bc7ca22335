"""ELAN (.eaf), with which linguists annotate recordings: a tier of segments per speaker, and one of words below it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from api.transcripts.line_breaks import clean
from api.transcripts.on_screen import ms
from api.transcripts.options import FormatOptions
from api.transcripts.subtitles import UNKNOWN_SPEAKER
from api.transcripts.writers.xml_text import xml_text
from shared.transcript import Segment, Transcript

SCHEMA = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
_INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"
ElementTree.register_namespace("xsi", _INSTANCE)

SEGMENTS, WORDS = "segments", "words"
TYPES: dict[str, dict[str, str]] = {
    SEGMENTS: {"TIME_ALIGNABLE": "true", "GRAPHIC_REFERENCES": "false"},
    WORDS: {"TIME_ALIGNABLE": "true", "GRAPHIC_REFERENCES": "false", "CONSTRAINTS": "Included_In"},
}
CONSTRAINTS = {
    "Included_In": "Time alignable annotations within the parent annotation's time interval, gaps are allowed"
}

Span = tuple[int, int, str]
"""Start and end in ms, and text."""


class _Document:
    """An annotation document that is being written: its slots of time and the ids that are used."""

    def __init__(self) -> None:
        names = {
            "AUTHOR": "",
            "DATE": datetime.now(UTC).isoformat(timespec="seconds"),
            "FORMAT": "3.0",
            "VERSION": "3.0",
            f"{{{_INSTANCE}}}noNamespaceSchemaLocation": SCHEMA,
        }
        self.root = Element("ANNOTATION_DOCUMENT", names)
        SubElement(self.root, "HEADER", {"MEDIA_FILE": "", "TIME_UNITS": "milliseconds"})
        self._slots = SubElement(self.root, "TIME_ORDER")
        self._count = 0
        self._names: set[str] = set()

    def add_tier(self, base_name: str, participant: str, parent: str | None, spans: Iterable[Span]) -> str:
        """Returns the name of the tier: `base_name`, or with a number behind it where another tier has it already."""
        number, name = 1, base_name
        while name in self._names:
            number += 1
            name = f"{base_name} ({number})"
        self._names.add(name)
        attributes = {"TIER_ID": name, "PARTICIPANT": participant, "LINGUISTIC_TYPE_REF": WORDS if parent else SEGMENTS}
        tier = SubElement(self.root, "TIER", attributes | ({"PARENT_REF": parent} if parent else {}))
        for start_ms, end_ms, text in spans:
            self._count += 1
            slots = {"TIME_SLOT_REF1": self._slot(start_ms), "TIME_SLOT_REF2": self._slot(end_ms)}
            annotation = SubElement(tier, "ANNOTATION")
            one = SubElement(annotation, "ALIGNABLE_ANNOTATION", {"ANNOTATION_ID": f"a{self._count}"} | slots)
            SubElement(one, "ANNOTATION_VALUE").text = text
        return name

    def _slot(self, moment_ms: int) -> str:
        name = f"ts{len(self._slots) + 1}"
        SubElement(self._slots, "TIME_SLOT", {"TIME_SLOT_ID": name, "TIME_VALUE": str(moment_ms)})
        return name

    def finished(self) -> str:
        for name, attributes in TYPES.items():
            SubElement(self.root, "LINGUISTIC_TYPE", {"LINGUISTIC_TYPE_ID": name} | attributes)
        for name, description in CONSTRAINTS.items():
            SubElement(self.root, "CONSTRAINT", {"STEREOTYPE": name, "DESCRIPTION": description})
        return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(self.root, encoding="unicode") + "\n"


def eaf(transcript: Transcript, _: FormatOptions) -> str:
    """Annotations of a tier never overlap and last at least 1 ms, as ELAN demands; those of words lie in their segment.

    What overlaps in the transcript begins where the one before ends.
    """
    document = _Document()
    for speaker in dict.fromkeys(segment.speaker for segment in transcript.segments):
        name = xml_text(speaker or "") or UNKNOWN_SPEAKER
        segments = [s for s in transcript.segments if s.speaker == speaker and clean(s.text)]
        spans = list(_apart((ms(s.start), ms(s.end), xml_text(s.text)) for s in segments))
        words = [word for segment, span in zip(segments, spans, strict=True) for word in _words(segment, span)]
        tier = document.add_tier(name, name, None, spans)
        document.add_tier(f"{tier} {WORDS}", name, tier, words)
    return document.finished()


def _apart(spans: Iterable[Span]) -> Iterator[Span]:
    free_ms = 0
    for start_ms, end_ms, text in spans:
        start_ms = max(start_ms, free_ms)
        free_ms = max(end_ms, start_ms + 1)
        yield start_ms, free_ms, text


def _words(segment: Segment, bounds: Span) -> Sequence[Span]:
    """The words of `segment` inside its annotation; none where there is too little time for all of them."""
    words = [word for word in segment.words if clean(word.text)]
    start_ms, end_ms, _ = bounds
    spans: list[Span] = []
    for number, word in enumerate(words):
        latest_ms = end_ms - (len(words) - number)  # 1 ms for each that follows
        first_ms = min(max(ms(word.start), spans[-1][1] if spans else start_ms), latest_ms)
        last_ms = min(max(ms(word.end), first_ms + 1), latest_ms + 1)
        spans.append((first_ms, last_ms, xml_text(word.text)))
    return spans if end_ms - start_ms >= len(words) else ()
