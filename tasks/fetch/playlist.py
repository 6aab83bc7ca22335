"""Playlists of other files: M3U, PLS, XSPF. They are read as text here, and their entries are URLs like any other."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

M3U = frozenset(
    {
        "application/vnd.apple.mpegurl",
        "application/x-mpegurl",
        "application/mpegurl",
        "audio/mpegurl",
        "audio/x-mpegurl",
    }
)
PLS = frozenset({"audio/x-scpls", "application/pls+xml", "audio/scpls"})
XSPF = frozenset({"application/xspf+xml"})
SUFFIXES = (".m3u", ".m3u8", ".pls", ".xspf")

MAX_CHARS = 1 << 20
"""A playlist of a day of HLS in pieces of two seconds has some 40,000 lines of up to a hundred characters; one that is
longer is left to yt-dlp or refused."""

_PLS_ENTRY = re.compile(r"\s*file\d{1,6}\s*=\s*(\S.*)", re.IGNORECASE)
_LOCATION = re.compile(r"<location>([^<]*)</location>")
_STARTS = (b"#extm3u", b"[playlist]")


def is_one(kind: str, path: str, head: bytes) -> bool:
    """Whether a body of this content type, at this path, and with this beginning is a playlist."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith(_STARTS) or b'xmlns="http://xspf.org/ns/' in start or kind in XSPF:
        return True
    is_named = kind in M3U | PLS or path.lower().endswith(SUFFIXES)
    return is_named and b"\0" not in head and not start.startswith(b"<")


def is_hls(text: str) -> bool:
    """Whether its entries are pieces or variants of one recording (RFC 8216)."""
    return text.lstrip("\ufeff \t\r\n").upper().startswith("#EXTM3U") and re.search(r"^#EXT-X-", text, re.M) is not None


def entries(text: str) -> list[str]:
    """What it lists, in order, as it stands there."""
    text = text.lstrip("\ufeff \t\r\n")
    if text[:10].lower() == "[playlist]":
        matches = (_PLS_ENTRY.fullmatch(line) for line in text.splitlines())
        return [match[1].strip() for match in matches if match]
    if text.startswith("<"):
        return list(_xspf(text))
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _xspf(text: str) -> Iterator[str]:
    """The first location of each track; without a parser of XML, which would have to be guarded against bombs."""
    for part in text.split("<track>")[1:]:
        match = _LOCATION.search(part.partition("</track>")[0])
        if match and match[1].strip():
            yield html.unescape(match[1].strip())
