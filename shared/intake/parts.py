"""The parts of an upload: numbered, in any order, each of a size that is known before it comes.

The limits are S3's: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from shared.errors import InvalidRequest

MIN_PART_BYTES = 5 * 1024**2
MAX_PART_BYTES = 5 * 1024**3
MAX_PARTS = 10_000

USUAL_PART_BYTES = 16 * 1024**2
"""A lost connection costs this much at most: 13 s at 10 Mbit/s. 10,000 of them are 156 GiB."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How `bytes` are cut: into parts of `part_bytes`, the last one as long as what is left."""

    bytes: int
    part_bytes: int

    @property
    def count(self) -> int:
        return -(-self.bytes // self.part_bytes)

    def size(self, number: int) -> int:
        """Bytes of the part `number`, counted from 1."""
        return min(self.part_bytes, self.bytes - (number - 1) * self.part_bytes)


def layout(size: int, part_bytes: int | None) -> Layout:
    """The parts of a recording of `size` bytes; without a wish, of a size that suits it. Raises InvalidRequest."""
    if part_bytes is None:
        fewest = math.ceil(size / MAX_PARTS)
        part_bytes = max(USUAL_PART_BYTES, -(-fewest // 1024**2) * 1024**2)
    if not MIN_PART_BYTES <= part_bytes <= MAX_PART_BYTES:
        raise InvalidRequest(f"part_bytes must be from {MIN_PART_BYTES} to {MAX_PART_BYTES}.", parameter="part_bytes")
    cut = Layout(size, part_bytes)
    if cut.count > MAX_PARTS:
        raise InvalidRequest(
            f"These would be {cut.count} parts; at most {MAX_PARTS} are possible.", parameter="part_bytes"
        )
    return cut
