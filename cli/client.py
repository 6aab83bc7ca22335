"""Parley's HTTP API as methods."""

from __future__ import annotations

import io
import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import httpx

from cli.connection import FIRST_PAUSE_S, PATIENCE_S, Connection, body_of, refusal

STREAM_TIMEOUT = httpx.Timeout(60, connect=10, read=35)
"""Events have a heartbeat every 10 s: three that are missing mean that nobody is there any more."""

CHECK_TIMEOUT = httpx.Timeout(60, connect=10, read=1800)
"""The server reads a large upload back before it answers, at 30 MB/s in the worst case: 50 GiB."""

OnBytes = Callable[[int], None]
"""Called with the number of bytes that were sent so far."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """The task of a submission. `is_replay`: an earlier request with the same Idempotency-Key has made it."""

    task_id: str
    is_replay: bool


class Server(Connection):
    """What several commands ask for. Methods raise Refused, NotAccepted, Unreachable; bodies are as in docs/api.md."""

    def models(self) -> dict[str, Any]:
        return self.json("GET", "/models")

    def status(self, task_id: str) -> dict[str, Any]:
        return self.json("GET", f"/status/{task_id}")

    def detail(self, task_id: str) -> dict[str, Any]:
        return self.json("GET", f"/tasks/{task_id}")

    def cancel(self, task_id: str) -> dict[str, Any]:
        return self.json("POST", f"/tasks/{task_id}/cancel")

    def retry(self, task_id: str) -> str:
        """Retry a failed or cancelled task; the id of the new one. A repeated request makes no second one."""
        headers = {"Idempotency-Key": f"parley-cli-{uuid.uuid4()}"}
        return str(self.json("POST", f"/tasks/{task_id}/retry", headers=headers)["task_id"])

    def delete(self, task_id: str) -> dict[str, Any]:
        return self.json("DELETE", f"/tasks/{task_id}")

    def health(self, path: str) -> tuple[int, dict[str, Any]]:
        """Status and body of one of /health/...; 503 is an answer, too."""
        response = self.send("GET", path, patience_s=0, takes=(503,))
        return response.status_code, body_of(response)

    def submit_url(self, url: str, fields: Mapping[str, str], key: str) -> Submitted:
        """Have the server fetch a recording. The same `key` never makes a second task."""
        return self._submitted(key, lambda: {"json": {"url": url, **fields}})

    def submit_file(self, path: Path, fields: Mapping[str, str], key: str, on_bytes: OnBytes) -> Submitted:
        """Send a recording, a chunk at a time. The same `key` never makes a second task. Raises OSError as well."""
        name = path.name.encode(errors="replace").decode()
        with path.open("rb") as file:
            counted = _Counted(file, on_bytes)
            return self._submitted(
                key, lambda: {"data": fields, "files": {"file": (name, counted, "application/octet-stream")}}
            )

    def submit_upload(self, upload_id: str, fields: Mapping[str, str], key: str) -> Submitted:
        """Make a task of a complete upload. The same `key` never makes a second task."""
        return self._submitted(key, lambda: {"json": {"upload_id": upload_id, **fields}})

    # ---- uploads in parts

    def begin_upload(self, name: str, size: int, sha256: str) -> dict[str, Any]:
        """`complete` at once when the server has these bytes already."""
        body = {"filename": name, "bytes": size, "sha256": sha256}
        return self.json("POST", "/uploads", body=body)

    def uploads(self, state: str, cursor: str | None) -> dict[str, Any]:
        return self.json("GET", "/uploads", {"limit": "100", "state": state, "cursor": cursor})

    def missing_parts(self, upload_id: str, first_part: int) -> dict[str, Any]:
        """The upload with a page of the parts that are still to be sent."""
        parameters = {"missing": "true", "first_part": str(first_part), "limit": "100"}
        return self.json("GET", f"/uploads/{upload_id}", parameters)

    def put_part(self, upload_id: str, number: int, size: int, content: Callable[[], Iterator[bytes]]) -> None:
        """Send a part of `size` bytes; `content` is asked for them again when it has to be repeated."""
        path = f"/uploads/{upload_id}/parts/{number}"  # the answer's is for who does not know below what the API is
        self.send("PUT", path, headers={"Content-Length": str(size)}, request=lambda: {"content": content()})

    def complete_upload(self, upload_id: str) -> None:
        """Have the server check what has arrived, however long that takes."""
        self.send("POST", f"/uploads/{upload_id}/complete", request=lambda: {"timeout": CHECK_TIMEOUT})

    def delete_upload(self, upload_id: str) -> None:
        self.send("DELETE", f"/uploads/{upload_id}")

    def result(self, task_id: str, format: str) -> bytes:
        """The transcript as a file's content."""
        return self.send("GET", f"/result/{task_id}", request=lambda: {"params": {"format": format}}).content

    def transcript(self, task_id: str) -> dict[str, Any]:
        """The newest version, in json."""
        return self.json("GET", f"/result/{task_id}", {"format": "json"})

    def correct(self, task_id: str, correction: Mapping[str, Any]) -> int:
        """Correct a transcript; the number of its newest version."""
        return int(self.json("PATCH", f"/tasks/{task_id}", body=correction)["version"])

    def events(self, task_id: str) -> Iterator[dict[str, Any]]:
        """Status and segments until the task has ended, also past a connection that breaks; no segment comes twice."""
        position = None
        away_since: float | None = None
        while position != "end":
            headers = {"Accept": "application/x-ndjson"} | ({"Last-Event-ID": position} if position else {})
            try:
                with self.http.stream(
                    "GET", f"{self.url}/tasks/{task_id}/events", headers=headers, timeout=STREAM_TIMEOUT
                ) as response:
                    if not response.is_success:
                        response.read()
                        raise refusal(response)
                    self.was_there = True
                    for line in response.iter_lines():
                        away_since = None
                        event: dict[str, Any] = json.loads(line)
                        position = event.get("id") or position
                        if event["event"] != "heartbeat":
                            yield event
            except httpx.TransportError as error:
                now = time.monotonic()
                away_since = away_since or now
                if not self.was_there or now - away_since > PATIENCE_S:
                    raise self.unreachable(error) from error
            if position != "end":
                self.pause(FIRST_PAUSE_S)

    # ---- requests

    def _submitted(self, key: str, request: Callable[[], dict[str, Any]]) -> Submitted:
        response = self.send("POST", "/transcribe", headers={"Idempotency-Key": key}, request=request)
        return Submitted(str(body_of(response)["task_id"]), response.headers.get("Idempotent-Replayed") == "true")


class _Counted(io.RawIOBase):
    """A file that tells how much of it was read; httpx reads it in chunks of 64 KiB and rewinds it to send it again."""

    def __init__(self, file: BinaryIO, on_bytes: OnBytes) -> None:
        self._file, self._on_bytes = file, on_bytes

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._on_bytes(self._file.tell())
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def fileno(self) -> int:
        return self._file.fileno()
