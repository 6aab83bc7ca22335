"""What the child says: messages of a kind, a length and a body. Standard library only."""

from __future__ import annotations

import struct

HEADER = struct.Struct("<cI")
MAX_BODY_BYTES = 1 << 16

SAMPLES = b"S"
"""16-bit PCM, little-endian, one channel of 16 kHz; at least one sample."""

WANTS = b"W"
"""It has nothing left to read: the number of bytes that it has read, which grows from one such message to the next."""

COUNT = struct.Struct("<Q")

REFUSAL = b"R"
"""It will read no further: JSON of `code` and `message`."""

END = b"E"
"""All is decoded, as no more bytes come."""


def message(kind: bytes, body: bytes = b"") -> bytes:
    """As it goes through the pipe."""
    return HEADER.pack(kind, len(body)) + body
