"""What a server calls its file: the header Content-Disposition (RFC 6266)."""

from __future__ import annotations

import re
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import Message
from urllib.parse import unquote_to_bytes

from shared.intake.filenames import safe_filename

_PARAMETER = re.compile(r';\s*([^\s=;"]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;]*)')
_EXTENDED = re.compile(r"([\w-]{1,40})'[\w-]{0,40}'(.+)", re.DOTALL)
MAX_HEADER_CHARS = 8192

CHARSETS = {"utf-8": "utf-8", "iso-8859-1": "iso-8859-1", "us-ascii": "ascii", "windows-1252": "cp1252"}
"""Of Python's own names some unpack and some escape."""


def filename(header: str) -> str | None:
    """The file's name without any path; None where the header gives none that can be shown.

    `filename*` goes before `filename`, whatever their order. One that cannot be read is passed over.
    """
    header = header[:MAX_HEADER_CHARS]
    values: dict[str, str] = {}
    for name, value in _PARAMETER.findall(header):
        values.setdefault(name.lower(), value.strip())
    extended = _extended(values["filename*"].strip('"')) if "filename*" in values else None
    return (extended and safe_filename(extended)) or safe_filename(_plain(values.get("filename", ""), header))


def _extended(value: str) -> str | None:
    """RFC 8187: charset'language'percent-encoded."""
    match = _EXTENDED.fullmatch(value)
    charset = CHARSETS.get(match[1].lower()) if match else None
    try:
        return unquote_to_bytes(match[2]).decode(charset) if match and charset else None
    except UnicodeDecodeError:
        return None


def _plain(value: str, header: str) -> str:
    if value.startswith('"') and value.endswith('"') and len(value) > 1:
        value = re.sub(r"\\(.)", r"\1", value[1:-1])
    if "=?" in value:  # RFC 2047, which some servers use here
        try:
            value = str(make_header(decode_header(value)))
        except (LookupError, ValueError, HeaderParseError):
            return value
    if not value:  # in pieces, as RFC 2231 has it for mail
        message = Message()
        message["Content-Disposition"] = header
        value = message.get_filename() or ""
    return value
