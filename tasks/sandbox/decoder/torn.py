"""Whether the last packet of a stream is all there, read in the stream's own bytes: FFmpeg decodes what it gets of one.

ADTS is described in ISO/IEC 14496-3, 1.A.2, LOAS there in 1.7.2, MPEG-TS in ISO/IEC 13818-1, 2.4.3.
"""

from __future__ import annotations

import os
from collections.abc import Callable

TRANSPORT_TAIL_BYTES, TAIL_BYTES = 1 << 20, 1 << 16
"""How much of the end is read: many packets of sound, also where most of the stream is a picture."""

CHAINED = 3
"""Packets that follow upon each other where one of them ends: less may be chance."""

TRANSPORT_SIZES = (188, 192, 204)
"""Of MPEG-TS, of M2TS with a time in front of each packet, and with error correction behind it."""

TRANSPORT_SYNC = 0x47
NOT_A_PACKET = 0


def is_torn(name: str, source_fd: int, size: int, stream_id: int) -> bool:
    """Whether a file of `size` bytes in the container that FFmpeg calls `name` ends within a packet; False where
    nothing tells. In MPEG-TS `stream_id` is the sound's PID, and only packets that state their length count.
    """
    start = max(0, size - (TRANSPORT_TAIL_BYTES if name == "mpegts" else TAIL_BYTES))
    if name == "mpegts":
        return _transport_is_torn(os.pread(source_fd, size - start, start), stream_id)
    length_of = {"aac": _adts_bytes, "loas": _loas_bytes}.get(name)
    return length_of is not None and _chain_is_torn(os.pread(source_fd, size - start, start), length_of)


def _chain_is_torn(tail: bytes, length_of: Callable[[bytes, int], int]) -> bool:
    at, count = 0, 0
    while at < len(tail):
        length = length_of(tail, at)
        if length == NOT_A_PACKET:
            at, count = at + 1, 0
        elif at + length > len(tail):
            if count >= CHAINED:
                return True
            at, count = at + 1, 0  # chance, at the beginning of the tail
        else:
            at, count = at + length, count + 1
    return False


def _adts_bytes(tail: bytes, at: int) -> int:
    """Length of the packet that begins there, more than is there if its header is not whole."""
    head = tail[at : at + 6]
    if head[0] != 0xFF or (len(head) > 1 and head[1] & 0xF6 != 0xF0):
        return NOT_A_PACKET
    if len(head) < 6:
        return 7
    return max(7, (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5)


def _loas_bytes(tail: bytes, at: int) -> int:
    head = tail[at : at + 3]
    if head[0] != 0x56 or (len(head) > 1 and head[1] & 0xE0 != 0xE0):
        return NOT_A_PACKET
    return 3 + ((head[1] & 0x1F) << 8 | head[2]) if len(head) == 3 else 4


def _transport_is_torn(tail: bytes, pid: int) -> bool:
    first, size = _transport_grid(tail)
    if not size:
        return False
    lacking = 0
    for at in range(first, len(tail), size):
        packet = tail[at : at + 188]
        if len(packet) < 188 or packet[0] != TRANSPORT_SYNC:
            return packet[0] == TRANSPORT_SYNC
        if (packet[1] & 0x1F) << 8 | packet[2] != pid:
            continue
        payload = _payload(packet)
        if packet[1] & 0x40:  # a packet of sound begins
            stated = int.from_bytes(payload[4:6], "big") if payload[:3] == b"\0\0\1" else 0
            lacking = stated + 6 if stated else 0
        lacking = max(0, lacking - len(payload))
    return lacking > 0


def _transport_grid(tail: bytes) -> tuple[int, int]:
    """Where the run of transport packets begins that the tail ends with, and their size; 0, 0 if there is none."""
    first, best, longest = 0, 0, CHAINED
    for size in TRANSPORT_SIZES:
        for end in range(max(0, len(tail) - size), len(tail)):
            at, count = end, 0
            while at >= 0 and tail[at] == TRANSPORT_SYNC:
                at, count = at - size, count + 1
            if count > longest:
                first, best, longest = at + size, size, count
    return first, best


def _payload(packet: bytes) -> bytes:
    kind = packet[3] >> 4 & 3
    start = 4 + (1 + packet[4] if kind & 2 else 0)
    return packet[start:] if kind & 1 else b""
