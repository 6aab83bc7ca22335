"""What protocols call their audio -> what a session holds: 16-bit PCM, or a container as it comes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from api.live.request import MAX_MESSAGE_BYTES

Coding = Literal["pcm16", "mulaw", "alaw", "container"]

SAMPLE_BYTES = 2


def _mulaw(code: int) -> int:
    """A sample of ITU-T G.711, in 16 bits."""
    code = ~code & 0xFF
    size = (((code & 0x0F) << 3) + 0x84 << ((code & 0x70) >> 4)) - 0x84
    return -size if code & 0x80 else size


def _alaw(code: int) -> int:
    code ^= 0x55
    exponent, size = (code & 0x70) >> 4, (code & 0x0F) << 4
    size = size + 8 if exponent == 0 else (size + 0x108) << (exponent - 1)
    return size if code & 0x80 else -size


def _expansion(sample: Callable[[int], int]) -> Callable[[bytes], bytes]:
    both = [sample(code).to_bytes(SAMPLE_BYTES, "little", signed=True) for code in range(256)]
    low, high = bytes(pair[0] for pair in both), bytes(pair[1] for pair in both)

    def expand(data: bytes) -> bytes:
        pcm = bytearray(SAMPLE_BYTES * len(data))
        pcm[::2], pcm[1::2] = data.translate(low), data.translate(high)
        return bytes(pcm)

    return expand


EXPAND: dict[Coding, Callable[[bytes], bytes]] = {
    "pcm16": bytes,
    "mulaw": _expansion(_mulaw),
    "alaw": _expansion(_alaw),
    "container": bytes,
}
"""By coding, bytes of it -> bytes of little-endian PCM, or of the container. One that cuts nothing: a sample is whole
or half as it came."""

FRAME_BYTES: dict[Coding, int] = {
    "pcm16": MAX_MESSAGE_BYTES,
    "mulaw": SAMPLE_BYTES * MAX_MESSAGE_BYTES,
    "alaw": SAMPLE_BYTES * MAX_MESSAGE_BYTES,
    "container": MAX_MESSAGE_BYTES,
}
"""What one message can bring."""
