"""A program of a fork server whose child says what no decoder of a live session says. Its seconds say which."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[3]))

from tasks.sandbox.fork_server import serve
from tasks.sandbox.stream import wire

LIES = {
    1: wire.HEADER.pack(wire.SAMPLES, 1 << 31),
    2: wire.message(wire.SAMPLES),
    3: wire.message(wire.SAMPLES, b"odd"),
    4: wire.message(wire.WANTS, wire.COUNT.pack(1 << 40)),
    5: wire.message(wire.WANTS, b"1"),
    6: wire.message(wire.WANTS, wire.COUNT.pack(0)) * 2,
    7: wire.message(wire.REFUSAL, b"[]"),
    8: wire.message(wire.END, b"x"),
    9: wire.message(wire.END),
    10: wire.message(b"?"),
    11: b"{}\n" * 100,
}
SILENT, DRIPPING = 12, 13


def lie(job: dict[str, Any], descriptors: list[int], server_pid: int) -> None:
    os.write(1, LIES.get(job["cpu_s"], b""))
    if job["cpu_s"] == SILENT:
        time.sleep(60)
    if job["cpu_s"] == DRIPPING:
        for byte in wire.message(wire.SAMPLES, bytes(60)):
            os.write(1, bytes([byte]))
            time.sleep(0.5)


if __name__ == "__main__":
    serve(lambda: None, lie)
