"""EBU-TT-D (.ttml), the subtitles of European broadcasters and of DASH: EBU Tech 3380."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from api.transcripts.on_screen import CuePart
from api.transcripts.options import FormatOptions
from api.transcripts.screen import Screen
from api.transcripts.subtitles import clock, cues
from api.transcripts.writers.xml_text import XML, is_right_to_left, xml_text
from shared.transcript import Transcript

TT = "http://www.w3.org/ns/ttml"
NAMESPACES = {
    "tt": TT,
    "ttp": f"{TT}#parameter",
    "tts": f"{TT}#styling",
    "ttm": f"{TT}#metadata",
    "ebuttm": "urn:ebu:tt:metadata",
    "ebutts": "urn:ebu:tt:style",
}
for _prefix, _uri in NAMESPACES.items():
    ElementTree.register_namespace(_prefix, _uri)

CONFORMS_TO = "urn:ebu:tt:distribution:2018-04"

STYLES: dict[str, dict[str, str]] = {
    "text": {
        "tts:fontFamily": "proportionalSansSerif",
        "tts:fontSize": "160%",
        "tts:lineHeight": "normal",
        "tts:textAlign": "center",
        "tts:wrapOption": "wrap",
        "ebutts:multiRowAlign": "center",
        "ebutts:linePadding": "0.5c",
    },
    "spoken": {"tts:color": "#ffffff", "tts:backgroundColor": "#000000c2"},
    "left-to-right": {"tts:direction": "ltr", "tts:unicodeBidi": "embed"},
    "right-to-left": {"tts:direction": "rtl", "tts:unicodeBidi": "embed"},
}
REGION = {"tts:origin": "10% 10%", "tts:extent": "80% 80%", "tts:displayAlign": "after"}


def ebu_tt(transcript: Transcript, options: FormatOptions) -> str:
    """A paragraph per cue, a span per speaker in it, who is named as its agent. Cues are those of vtt.

    A cue is read from right to left where its text begins so, and each speaker's part of it as that begins.
    """
    root = Element(
        _name("tt:tt"),
        {
            f"{{{XML}}}lang": options.language_of(transcript),
            _name("ttp:timeBase"): "media",
            _name("ttp:cellResolution"): "50 30",
        },
    )
    head = SubElement(root, _name("tt:head"))
    metadata = SubElement(head, _name("tt:metadata"))
    document = SubElement(metadata, _name("ebuttm:documentMetadata"))
    SubElement(document, _name("ebuttm:conformsToStandard")).text = CONFORMS_TO
    agents = _agents(metadata, (segment.speaker for segment in transcript.segments))
    styling = SubElement(head, _name("tt:styling"))
    for style, attributes in STYLES.items():
        SubElement(styling, _name("tt:style"), {f"{{{XML}}}id": style} | _named(attributes))
    layout = SubElement(head, _name("tt:layout"))
    SubElement(layout, _name("tt:region"), {f"{{{XML}}}id": "bottom"} | _named(REGION))
    paragraphs = list(cues(transcript, Screen(**options.limits(options.language_of(transcript))), "dashes"))
    if paragraphs:
        div = SubElement(SubElement(root, _name("tt:body")), _name("tt:div"))
    for number, cue in enumerate(paragraphs, start=1):
        times = {"begin": clock(cue.start_ms, "."), "end": clock(cue.end_ms, ".")}
        style = f"text {_direction(cue.parts)}"
        names = {f"{{{XML}}}id": f"cue{number}", "region": "bottom", "style": style}
        _fill(SubElement(div, _name("tt:p"), names | times), cue.parts, agents)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _agents(metadata: Element, speakers: Iterable[str | None]) -> dict[str, str]:
    """The ids of the speakers, which `metadata` is told the names of."""
    agents: dict[str, str] = {}
    for speaker in speakers:
        if speaker is not None and speaker not in agents:
            agents[speaker] = f"agent{len(agents) + 1}"
            names = {f"{{{XML}}}id": agents[speaker], "type": "person"}
            agent = SubElement(metadata, _name("ttm:agent"), names)
            SubElement(agent, _name("ttm:name"), {"type": "full"}).text = xml_text(speaker)
    return agents


def _fill(paragraph: Element, parts: Iterable[CuePart], agents: dict[str, str]) -> None:
    for part in parts:
        if len(paragraph):
            SubElement(paragraph, _name("tt:br"))
        agent = {} if part.speaker is None else {_name("ttm:agent"): agents[part.speaker]}
        span = SubElement(paragraph, _name("tt:span"), {"style": f"spoken {_direction([part])}"} | agent)
        first, *rest = part.lines
        span.text = part.label + xml_text(first)
        for line in rest:
            SubElement(span, _name("tt:br")).tail = xml_text(line)


def _direction(parts: Iterable[CuePart]) -> str:
    """The style of what these say."""
    text = "".join(line for part in parts for line in part.lines)
    return "right-to-left" if is_right_to_left(text) else "left-to-right"


def _name(name: str) -> str:
    """`tts:color` as ElementTree writes names."""
    prefix, _, local = name.partition(":")
    return f"{{{NAMESPACES[prefix]}}}{local}"


def _named(attributes: dict[str, str]) -> dict[str, str]:
    return {_name(name): value for name, value in attributes.items()}
