"""Chained Ogg files: recordings put one behind the other, as radio streams and `cat` do.

FFmpeg follows such a chain only while channels and sample rate stay the same, so the next link is opened as a file
of its own. Pages are described in RFC 3533, section 6.
"""

from __future__ import annotations

import errno
import io
import os
from typing import IO

CAPTURE_PATTERN = b"OggS"
FIRST_PAGE_FLAG = 0x02
PAGE_HEADER_BYTES = 6  # up to and including the flags; a search must not cut one in two
SEARCH_BYTES = 1 << 20
MAX_PAGE_BYTES = 27 + 255 + 255 * 255


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


def begins_link(source_fd: int, start: int, end: int) -> bool:
    """Whether a page that starts a new stream begins between two bytes of a file; its position stays where it is."""
    while start < end:
        window = os.pread(source_fd, min(SEARCH_BYTES, end - start + PAGE_HEADER_BYTES - 1), start)
        at = -1
        while (at := window.find(CAPTURE_PATTERN, at + 1)) >= 0 and at + PAGE_HEADER_BYTES <= len(window):
            if window[at + 5] & FIRST_PAGE_FLAG:
                return start + at < end + 1
        if len(window) < PAGE_HEADER_BYTES:
            break
        start += len(window) - (PAGE_HEADER_BYTES - 1)
    return False


def is_cut(source_fd: int, size: int) -> bool:
    """Whether the last page of an Ogg file of `size` bytes is not all there."""
    start = max(0, size - MAX_PAGE_BYTES)
    window = os.pread(source_fd, size - start, start)
    at = window.rfind(CAPTURE_PATTERN)
    if at < 0 or at + 27 > len(window):
        return at >= 0
    segments = window[at + 27 : at + 27 + window[at + 26]]
    return len(segments) < window[at + 26] or at + 27 + len(segments) + sum(segments) > len(window)


class Tail(io.RawIOBase):
    """`source` from byte `start` on, as if it began there."""

    def __init__(self, source: IO[bytes] | Tail, start: int) -> None:
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
        """Move to `offset`, counted from `start` when `whence` says from the beginning.

        For a place before the file, to which the tables of a damaged one may point, it answers as FFmpeg's own files
        do, with the negative error: an exception would end the whole decoding.
        """
        try:
            return self._source.seek(offset + (self._start if whence == io.SEEK_SET else 0), whence) - self._start
        except OSError as problem:
            return -(problem.errno or errno.EINVAL)

    def tell(self) -> int:
        """The position, counted from `start`."""
        return self._source.tell() - self._start
