"""Word (.docx), by python-docx: a title, then who speaks and when above each paragraph."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from api.transcripts.options import FormatOptions
from api.transcripts.writers.prose import passages
from api.transcripts.writers.xml_text import is_right_to_left, xml_text
from shared.transcript import Transcript

if TYPE_CHECKING:
    from docx.text.paragraph import Paragraph

_BEHIND_BIDI = tuple(
    f"w:{name}"
    for name in (
        *("adjustRightInd", "snapToGrid", "spacing", "ind", "contextualSpacing", "mirrorIndents", "suppressOverlap"),
        *("jc", "textDirection", "textAlignment", "textboxTightWrap", "outlineLvl", "divId", "cnfStyle", "rPr"),
        *("sectPr", "pPrChange"),
    )
)
"""What the schema wants behind the mark of a paragraph that is read from right to left."""


def docx(transcript: Transcript, options: FormatOptions) -> bytes:
    """The paragraphs of `text`. One that begins in Arabic, Hebrew or the like reads from right to left."""
    import docx as python_docx  # brings lxml; most gateways never need either
    from docx.oxml import OxmlElement
    from docx.text.paragraph import Paragraph

    document = python_docx.Document()
    title = xml_text(options.uri) or "recording"
    properties = document.core_properties
    properties.title, properties.language = title[:255], options.language_of(transcript)
    properties.author, properties.comments = "", ""
    properties.created = properties.modified = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    _direct(document.add_heading(title, level=0))
    end = document.sections[0]._sectPr

    def added() -> Paragraph:
        """A new paragraph at the end. `document.add_paragraph` looks through all there are: minutes for a long call."""
        element = OxmlElement("w:p")
        end.addprevious(element)
        return Paragraph(cast(Any, element), document._body)

    for passage in passages(transcript):
        head = added()
        head.paragraph_format.keep_with_next = True
        if passage.speaker is not None:
            head.add_run(xml_text(passage.speaker)).bold = True
            head.add_run(" ")
        head.add_run(passage.start)
        _direct(head)
        text = added()
        text.add_run(xml_text(passage.text))
        _direct(text)
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def _direct(paragraph: Paragraph) -> None:
    """Lets Word lay out `paragraph` from right to left where its text is."""
    from docx.oxml import OxmlElement

    if is_right_to_left(paragraph.text):
        properties = paragraph._p.get_or_add_pPr()
        properties.insert_element_before(OxmlElement("w:bidi"), *_BEHIND_BIDI)
        for run in paragraph.runs:
            run.font.rtl = is_right_to_left(run.text)
