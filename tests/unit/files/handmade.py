"""Recordings of kinds that FFmpeg reads and PyAV does not write, made by hand."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import av
import numpy as np

Samples = np.ndarray[Any, np.dtype[np.int16]]

BLOCK = 256
"""Samples of a block of Shorten."""

DSS_BLOCK, DSS_BLOCK_HEADER = 512, 6
G723_SIZES = (24, 20, 4, 1)
"""Bytes of a frame of G.723.1 by the lowest two bits of its first byte."""


def sphere(samples: Samples, rate: int, coding: str = "pcm") -> bytes:
    """A NIST SPHERE file of one channel; with coding "pcm,embedded-shorten-v2.00" compressed."""
    fields = (
        f"channel_count -i 1\nsample_count -i {samples.size}\nsample_rate -i {rate}\nsample_n_bytes -i 2\n"
        f"sample_byte_format -s2 01\nsample_sig_bits -i 16\nsample_coding -s{len(coding)} {coding}\nend_head\n"
    )
    head = f"NIST_1A\n   1024\n{fields}".encode().ljust(1024)
    return head + (shorten(samples) if "shorten" in coding else samples.astype("<i2").tobytes())


def shorten(samples: Samples, header: bytes = b"") -> bytes:
    """Shorten, version 2: differences of neighbours in Rice codes. A .shn begins with the header of a WAV."""
    bits: list[str] = []

    def unsigned(value: int, width: int) -> None:
        bits.append("0" * (value >> width) + "1" + (format(value & ((1 << width) - 1), f"0{width}b") if width else ""))

    def long(value: int) -> None:
        unsigned(value.bit_length(), 2)
        unsigned(value, value.bit_length())

    for field in (5, 1, BLOCK, 0, 0, 0):  # 16 bits little-endian, channels, block, predictors, means, skipped bytes
        long(field)
    if header:
        unsigned(9, 2)  # the command for bytes as they are
        unsigned(len(header), 5)
        for byte in header:
            unsigned(byte, 8)
    last = 0
    for start in range(0, samples.size // BLOCK * BLOCK, BLOCK):
        unsigned(1, 2)  # the command for differences
        unsigned(9, 3)  # bits of a difference, less one
        for sample in samples[start : start + BLOCK].tolist():
            difference, last = sample - last, sample
            unsigned(2 * difference if difference >= 0 else -2 * difference - 1, 10)
    unsigned(4, 2)  # the end
    text = "".join(bits)
    text += "0" * (-len(text) % 32)
    return b"ajkg\x02" + int(text, 2).to_bytes(len(text) // 8, "big")


def encoded(samples: Samples, rate: int, codec: str, bit_rate: int | None = None) -> list[bytes]:
    """The packets of an encoder of FFmpeg."""
    encoder = av.CodecContext.create(codec, "w")
    encoder.sample_rate, encoder.layout, encoder.format = rate, "mono", "s16"
    encoder.time_base = Fraction(1, rate)
    if bit_rate:
        encoder.bit_rate = bit_rate
    frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="s16", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
    fifo = av.AudioFifo()
    fifo.write(frame)
    encoder.open()
    size = encoder.frame_size
    return [bytes(packet) for part in fifo.read_many(size) for packet in encoder.encode(part)]


def dss(samples: Samples) -> bytes:
    """A DSS file in its long-play mode, which is G.723.1 at 8 kHz."""
    stream = b"".join(packet[: G723_SIZES[packet[0] & 3]] for packet in encoded(samples, 8_000, "g723_1", 6_300))
    return _dss(2, stream)


def dss_standard(seconds: float) -> bytes:
    """A DSS file in its standard mode with random bits in its frames: it decodes to noise."""
    return _dss(0, random.Random(3).randbytes(round(seconds * 41 * 11_025 / 264)))


def _dss(codec: int, stream: bytes) -> bytes:
    head = bytearray(2 * DSS_BLOCK)
    head[:4] = b"\x02dss"
    head[0x26:0x32] = head[0x32:0x3E] = b"261129101500"
    head[0x2A4] = codec
    room = DSS_BLOCK - DSS_BLOCK_HEADER
    blocks = (stream[at : at + room] for at in range(0, len(stream), room))
    return bytes(head) + b"".join(bytes(DSS_BLOCK_HEADER) + block for block in blocks)


def real_audio(samples: Samples) -> bytes:
    """A RealAudio 1.0 file (.ra), version 3 of its header: 14.4 at 8 kHz."""
    packets = encoded(samples, 8_000, "real_144")
    strings = bytes(4)
    body = bytes(10) + struct.pack(">I", sum(map(len, packets))) + strings
    return b".ra\xfd" + struct.pack(">HH", 3, len(body)) + body + b"".join(packets)


def qcp(frames: Iterable[bytes]) -> bytes:
    """A QCP file (RFC 3625) of QCELP frames at 13 kbit/s, each with its octet of the rate."""
    frames = list(frames)
    data = b"".join(frames)
    codec = bytes.fromhex("416d7f5e15b1d011ba9100805fb4b97e")
    rates = struct.pack("<I", 5) + bytes((34, 4, 16, 3, 7, 2, 3, 1, 1, 0, 0, 0, 0, 0, 0, 0))
    form = (
        bytes((1, 0)) + codec + struct.pack("<H", 2) + b"Qcelp 13K".ljust(80, b"\0")
        + struct.pack("<HHHHH", 13_000, 35, 160, 8_000, 16) + rates + bytes(20)
    )  # fmt: skip
    variable = b"vrat" + struct.pack("<III", 8, 1, len(frames))
    parts = b"QLCMfmt " + struct.pack("<I", len(form)) + form + variable + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(parts)) + parts


def qcelp_frames(count: int) -> list[bytes]:
    """Frames at an eighth of the rate, which say how loud a noise is."""
    return [bytes((1, 0x50 | number % 16, 0x60, 0)) for number in range(count)]


def dsf(samples: Samples, rate: int) -> bytes:
    """A DSF file: one bit 2,822,400 times a second, the sum of whose errors is kept small."""
    speed = 2_822_400
    bits, error = [], 0.0
    for level in np.repeat(samples / 32768.0, speed // rate).tolist():
        error += level
        bits.append(error > 0)
        error -= 1.0 if error > 0 else -1.0
    packed = np.packbits(np.array(bits, bool), bitorder="little").tobytes()
    packed += bytes(-len(packed) % 4096)
    form = b"fmt " + struct.pack("<QIIIIIIQII", 52, 1, 0, 1, 1, speed, 1, len(bits), 4096, 0)
    data = b"data" + struct.pack("<Q", 12 + len(packed)) + packed
    return b"DSD " + struct.pack("<QQQ", 28, 28 + len(form) + len(data), 0) + form + data


def pvf(samples: Samples, rate: int) -> bytes:
    """A Portable Voice Format file."""
    return f"PVF1\n1 {rate} 16\n".encode() + samples.astype(">i2").tobytes()


def avr(samples: Samples, rate: int) -> bytes:
    """An Audio Visual Research file."""
    fields = (0, 16, 0xFFFF, 0, 0xFFFF, rate, samples.size, 0, samples.size, 0, 0, 0)
    head = b"2BIT" + bytes(8) + struct.pack(">HHHHHIIIIHHH", *fields)
    return head.ljust(128, b"\0") + samples.astype(">i2").tobytes()


def eight_svx(samples: Samples, rate: int) -> bytes:
    """An Amiga's IFF file."""
    body = (samples >> 8).astype("i1").tobytes()
    voice = struct.pack(">IIIHBBI", len(body), 0, 0, rate, 1, 0, 0x10000)
    parts = b"8SVXVHDR" + struct.pack(">I", len(voice)) + voice + b"BODY" + struct.pack(">I", len(body)) + body
    return b"FORM" + struct.pack(">I", len(parts)) + parts
