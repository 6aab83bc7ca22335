"""Events of the Wyoming protocol as bytes: a line of JSON, then more data and a payload, both of announced lengths.

The other side is not trusted with a length: the package `wyoming` would keep as much as it announces in memory.
"""

from __future__ import annotations

import json
from asyncio import IncompleteReadError, LimitOverrunError, StreamReader
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from cli.failures import Failure

MAX_HEADER_BYTES = 64 * 1024
"""Of the line. The stream's limit."""

MAX_DATA_BYTES = 1024 * 1024
"""Of the data behind the line: `transcribe` may list all names of a home."""

PIECE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Event:
    """An event without its payload, of which `payload_bytes` follow in the stream."""

    type: str
    data: Mapping[str, Any]
    payload_bytes: int = 0


class Garbled(Failure):
    """What came is not an event."""

    def __init__(self, message: str) -> None:
        super().__init__("protocol_error", message)


class Lost(Exception):
    """The connection ended within an event."""


async def read(reader: StreamReader) -> Event | None:
    """The next event; None where the stream ends. Raises Garbled, Lost, ConnectionError."""
    try:
        line = await reader.readuntil(b"\n")
    except IncompleteReadError as error:
        if error.partial:
            raise Lost from error
        return None
    except LimitOverrunError as error:
        raise Garbled(f"The line of an event is longer than {MAX_HEADER_BYTES} bytes.") from error
    header = _object(line, "The line of an event")
    data = header.get("data") or {}
    if not isinstance(header.get("type"), str) or not isinstance(data, dict):
        raise Garbled("An event has a type, which is a string, and data, which is an object.")
    size = _length(header, "data_length")
    if size > MAX_DATA_BYTES:
        raise Garbled(f"The data of an event is longer than {MAX_DATA_BYTES} bytes.")
    if size:
        try:
            data = {**data, **_object(await reader.readexactly(size), "The data of an event")}
        except IncompleteReadError as error:
            raise Lost from error
    return Event(header["type"], data, _length(header, "payload_length"))


async def payload(reader: StreamReader, event: Event) -> AsyncIterator[bytes]:
    """The payload of an event that was just read, in pieces. Raises Lost, ConnectionError."""
    remaining = event.payload_bytes
    while remaining:
        piece = await reader.read(min(remaining, PIECE_BYTES))
        if not piece:
            raise Lost
        remaining -= len(piece)
        yield piece


def encode(type: str, data: Mapping[str, Any]) -> bytes:
    """An event without a payload."""
    content = json.dumps(data, ensure_ascii=False).encode(errors="replace")
    return json.dumps({"type": type, "data_length": len(content)}).encode() + b"\n" + content


def _object(content: bytes, what: str) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise Garbled(f"{what} is not a JSON object.")
    return value


def _length(header: Mapping[str, Any], name: str) -> int:
    value = header.get(name) or 0
    if type(value) is not int or value < 0:
        raise Garbled(f"{name} is not a number of bytes.")
    return value
