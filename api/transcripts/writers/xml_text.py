"""Text as XML can hold it, and the direction it is read in."""

from __future__ import annotations

import re
import unicodedata

from api.transcripts.line_breaks import clean

XML = "http://www.w3.org/XML/1998/namespace"

_NO_CHARACTERS = re.compile("[\ufffe\uffff]")
"""All that XML 1.0 forbids and `clean` leaves."""


def xml_text(text: str) -> str:
    """`text` on one line with nothing that XML cannot hold. Markup in it, such as `]]>`, is left to be escaped."""
    return _NO_CHARACTERS.sub("\ufffd", clean(text))


def is_right_to_left(text: str) -> bool:
    """Whether the first letter with a direction is of a script such as Arabic or Hebrew (Unicode's rule P2)."""
    directions = (unicodedata.bidirectional(letter) for letter in text)
    return next((direction != "L" for direction in directions if direction in {"L", "R", "AL"}), False)
