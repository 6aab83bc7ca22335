"""Chained Ogg files: recordings put one behind the other, as radio streams and `cat` do.

FFmpeg follows such a chain only while channels and sample rate stay the same, so the next link is opened as a file
of its own. Pages are described in RFC 3533, section 6.
"""

from __future__ import annotations

import io
from typing import IO

CAPTURE_PATTERN = b"OggS"
FIRST_PAGE_FLAG = 0x02
PAGE_HEADER_BYTES = 6  # up to and including the flags; a search must not cut one in two
SEARCH_BYTES = 1 << 20


def next_link(source: IO[bytes], offset: int) -> int | None:
    """Where, at or after `offset`, a page begins that starts a new stream; None when there is none."""
    source.seek(offset)
    window = b""
    while block := source.read(SEARCH_BYTES):
        window += block
        at = -1
        while (at := window.find(CAPTURE_PATTERN, at + 1)) >= 0 and at + PAGE_HEADER_BYTES <= len(window):
            if window[at + 5] & FIRST_PAGE_FLAG:
                return offset + at
        keep = window[-(PAGE_HEADER_BYTES - 1) :]
        offset += len(window) - len(keep)
        window = keep
    return None


class Tail(io.RawIOBase):
    """`source` from byte `start` on, as if it began there."""

    def __init__(self, source: IO[bytes], start: int) -> None:
        self._source = source
        self._start = start
        source.seek(start)

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes."""
        return self._source.read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to `offset`, counted from `start` when `whence` says from the beginning."""
        return self._source.seek(offset + (self._start if whence == io.SEEK_SET else 0), whence) - self._start

    def tell(self) -> int:
        """The position, counted from `start`."""
        return self._source.tell() - self._start
