"""Names of files that strangers chose, made fit to be shown."""

from __future__ import annotations

import unicodedata
from pathlib import PurePosixPath

MAX_FILENAME_CHARS = 255
BIDI_CONTROLS = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Invisible characters that make a name read as another (exe.3pm for mp3.exe)."""


def safe_filename(path: str) -> str | None:
    """The last part of a path, without control characters, at most MAX_FILENAME_CHARS long; None when nothing is left.

    For display only: no path and no object key is made of it.
    """
    name = path.replace("\\", "/").rsplit("/", 1)[-1]
    name = "".join(c for c in name if unicodedata.category(c) not in ("Cc", "Cs") and c not in BIDI_CONTROLS).strip()
    if name in ("", ".", ".."):
        return None
    if len(name) > MAX_FILENAME_CHARS:
        suffix = PurePosixPath(name).suffix[:16]
        name = name[: MAX_FILENAME_CHARS - len(suffix)] + suffix
    return name
