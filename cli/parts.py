"""A large recording goes in parts: what has arrived stays on the server when the line or this program breaks off."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from cli.client import OnBytes, Server
from cli.failures import Refused

LARGE_BYTES = 256 * 1024**2
"""Smaller files go in one request, which costs this much again at most: 4 minutes at 10 Mbit/s."""

CHUNK_BYTES = 64 * 1024
BEGINNINGS = 3
"""Another run that sends the same bytes deletes the upload when its task is there; then this one begins again."""


def send(server: Server, path: Path, sha256: str, on_bytes: OnBytes) -> str:
    """The id of a complete upload of the file; parts that an earlier run has sent are not sent again.

    Raises what the server's methods raise, and OSError.
    """
    for retries in reversed(range(BEGINNINGS)):
        try:
            return _upload(server, path, sha256, on_bytes)
        except Refused as refused:
            if refused.status != 404 or not retries:
                raise
    raise AssertionError


def _upload(server: Server, path: Path, sha256: str, on_bytes: OnBytes) -> str:
    size = path.stat().st_size
    name = path.name.encode(errors="replace").decode()
    upload = _open_upload(server, size, sha256) or server.begin_upload(name, size, sha256)
    upload_id = str(upload["upload_id"])
    if upload["state"] == "open":
        byte_count, next_part = int(upload["received_bytes"]), 1
        while next_part:
            listed = server.missing_parts(upload_id, next_part)
            for part in listed["parts"]:
                start = (part["number"] - 1) * upload["part_bytes"]
                server.put_part(upload_id, part["number"], part["bytes"], partial(_slice, path, start, part["bytes"]))
                byte_count += part["bytes"]
                on_bytes(byte_count)
            next_part = listed["next_part"]
    if upload["state"] != "complete":
        server.complete_upload(upload_id)
    return upload_id


def _open_upload(server: Server, size: int, sha256: str) -> dict[str, Any] | None:
    """The upload that an earlier run left off, with what it has."""
    for state in ("open", "checking"):
        cursor = None
        while True:
            page = server.uploads(state, cursor)
            for item in page["items"]:
                if (item["bytes"], item["sha256"]) == (size, sha256):
                    return server.missing_parts(item["upload_id"], 1)
            cursor = page["next_cursor"]
            if not cursor:
                break
    return None


def _slice(path: Path, start: int, size: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(start)
        while size and (chunk := file.read(min(CHUNK_BYTES, size))):
            size -= len(chunk)
            yield chunk
