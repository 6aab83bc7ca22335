"""The bridge as its own process, and its clients: Home Assistant's code in few words, and a bare socket."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import wave
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.event import Event
from wyoming.info import Describe, Info

from scripts.local.apps import ROOT

PATIENCE_S = 240
RATE, WIDTH, CHANNELS = 16_000, 2, 1
CHUNK_BYTES = 2048
"""As Home Assistant's microphones send them."""


@dataclass
class Bridge:
    """A running `parley wyoming`."""

    process: subprocess.Popen[bytes]
    port: int
    errors: Path

    def log(self) -> str:
        """What it wrote to stderr so far."""
        return self.errors.read_text()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """The exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)

    def talk(self, conversation: Callable[[AsyncTcpClient], Awaitable[Any]]) -> Any:
        """What a conversation over a connection of its own returns."""

        async def connected() -> Any:
            client = AsyncTcpClient("127.0.0.1", self.port)
            await client.connect()
            try:
                async with asyncio.timeout(PATIENCE_S):
                    return await conversation(client)
            finally:
                await client.disconnect()

        return asyncio.run(connected())

    def raw(self, content: bytes, *, half_close: bool = False) -> list[dict[str, Any]]:
        """The events that answer some bytes on a bare socket, until the bridge closes it."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S) as connection:
            connection.sendall(content)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
            received = b""
            while piece := connection.recv(65536):
                received += piece
        return events(received)


@contextmanager
def bridge(home: Path, url: str, key: str, *arguments: str, program: Sequence[str] = ("-m", "cli")) -> Iterator[Bridge]:
    """A bridge on a free port, up when it listens."""
    errors, output = home / "bridge.err", home / "bridge.out"
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PARLEY_URL": url, "PARLEY_API_KEY": key}
    command = (sys.executable, *program, "wyoming", "--uri", "tcp://127.0.0.1:0", *arguments)
    with errors.open("wb") as stderr, output.open("wb") as stdout:
        process = subprocess.Popen(command, cwd=home, env=env, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            has_ended = process.poll() is not None  # before its lines are read: it may listen and end between the two
            if line := re.search(r"Listening on tcp://[\d.]+:(\d+)", errors.read_text()):
                break
            assert not has_ended and time.monotonic() < deadline, errors.read_text()
            time.sleep(0.02)
        yield Bridge(process, int(line[1]), errors)
    finally:
        process.kill()
        process.wait()


def voice(seconds: float = 0.5) -> bytes:
    """Samples unlike all others."""
    return os.urandom(round(seconds * RATE) * WIDTH * CHANNELS)


def wav(samples: bytes, rate: int = RATE, width: int = WIDTH, channels: int = CHANNELS) -> bytes:
    """The file of these samples."""
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setframerate(rate)
        file.setsampwidth(width)
        file.setnchannels(channels)
        file.writeframes(samples)
    return content.getvalue()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


async def describe(client: AsyncTcpClient) -> Info:
    """As Home Assistant's config flow asks."""
    await client.write_event(Describe().event())
    event = await client.read_event()
    assert event is not None and Info.is_type(event.type), event
    return Info.from_event(event)


async def say(
    client: AsyncTcpClient, samples: bytes, request: Transcribe | None, chunk_bytes: int = CHUNK_BYTES
) -> None:
    """As the loop of Home Assistant's stt.py writes."""
    if request is not None:
        await client.write_event(request.event())
    await client.write_event(AudioStart(rate=RATE, width=WIDTH, channels=CHANNELS).event())
    for chunk in pieces(samples, chunk_bytes):
        await client.write_event(AudioChunk(rate=RATE, width=WIDTH, channels=CHANNELS, audio=chunk).event())
    await client.write_event(AudioStop().event())


async def hear(client: AsyncTcpClient) -> Transcript | None:
    """As Home Assistant reads: everything else is passed over, and a line that closes is an error."""
    while (event := await client.read_event()) is not None:
        if Transcript.is_type(event.type):
            return Transcript.from_event(event)
    return None


async def error(client: AsyncTcpClient) -> dict[str, Any]:
    """The error that comes next, behind which the line is closed."""
    event = await client.read_event()
    assert event is not None and event.type == "error", event
    assert await client.read_event() is None
    return event.data


def pieces(samples: bytes, size: int) -> Iterable[bytes]:
    return (samples[start : start + size] for start in range(0, len(samples), size))


def events(received: bytes) -> list[dict[str, Any]]:
    """Each `data` of these events, with the `type` in it."""
    entries = []
    while received:
        line, _, rest = received.partition(b"\n")
        header = json.loads(line)
        size = header["data_length"]
        entries.append({"type": header["type"], **json.loads(rest[:size])})
        received = rest[size:]
    return entries


def event(type: str, payload: bytes = b"", **data: Any) -> Event:
    return Event(type, data, payload)
