"""Parley's HTTP API as methods."""

from __future__ import annotations

import io
import ipaddress
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import httpx

from cli import VERSION
from cli.failures import NotAccepted, Refused, Unreachable

TIMEOUT = httpx.Timeout(60, connect=10)
"""A gateway answers in milliseconds; behind a full upload it may still be storing the last part."""

STREAM_TIMEOUT = httpx.Timeout(60, connect=10, read=35)
"""Events have a heartbeat every 10 s: three that are missing mean that nobody is there any more."""

CHECK_TIMEOUT = httpx.Timeout(60, connect=10, read=1800)
"""The server reads a large upload back before it answers, at 30 MB/s in the worst case: 50 GiB."""

PATIENCE_S = 60.0
"""How long a server that is away or busy is asked again: a restart with migrations fits into it."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 10.0

BUSY = (429, 502, 503, 504)
"""Answers that say `not now`."""

OnBytes = Callable[[int], None]
"""Called with the number of bytes that were sent so far."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """The task of a submission. `is_replay`: an earlier request with the same Idempotency-Key has made it."""

    task_id: str
    is_replay: bool


class Server:
    """One Parley and one API key. Methods raise Refused, NotAccepted and Unreachable; bodies are as in docs/api.md.

    A server that was there once is asked again for PATIENCE_S when it is away or busy; `pause(seconds)` waits between.
    """

    def __init__(self, url: str, key: str | None, pause: Callable[[float], object] = time.sleep) -> None:
        self.url = url.rstrip("/")
        self._pause = pause
        self._was_there = False
        if key and not (key.isascii() and key.isprintable()):
            raise NotAccepted(401, "unauthorized", "The API key has characters that no key has.", None)
        headers = {"User-Agent": f"parley-cli/{VERSION}"} | ({"Authorization": f"Bearer {key}"} if key else {})
        # a proxy of the environment cannot know this machine's loopback
        self._http = httpx.Client(headers=headers, timeout=TIMEOUT, trust_env=not is_loopback(self.url))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def models(self) -> dict[str, Any]:
        return self._json("GET", "/models")

    def status(self, task_id: str) -> dict[str, Any]:
        return self._json("GET", f"/status/{task_id}")

    def detail(self, task_id: str) -> dict[str, Any]:
        return self._json("GET", f"/tasks/{task_id}")

    def history(self, *, limit: int, cursor: str | None = None, **filters: str | list[str] | None) -> dict[str, Any]:
        parameters = {"limit": str(limit), "cursor": cursor, **filters}
        return self._json("GET", "/history", params={name: value for name, value in parameters.items() if value})

    def cancel(self, task_id: str) -> dict[str, Any]:
        return self._json("POST", f"/tasks/{task_id}/cancel")

    def retry(self, task_id: str) -> str:
        """Retry a failed or cancelled task; the id of the new one."""
        return str(self._json("POST", f"/tasks/{task_id}/retry")["task_id"])

    def delete(self, task_id: str) -> dict[str, Any]:
        return self._json("DELETE", f"/tasks/{task_id}")

    def health(self, path: str) -> tuple[int, dict[str, Any]]:
        """Status and body of one of /health/...; 503 is an answer, too."""
        response = self._send("GET", path, patience_s=0, takes=(503,))
        return response.status_code, _body(response)

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
        return _body(
            self._send(
                "POST", "/uploads", request=lambda: {"json": {"filename": name, "bytes": size, "sha256": sha256}}
            )
        )

    def uploads(self, state: str, cursor: str | None) -> dict[str, Any]:
        parameters = {"limit": "100", "state": state} | ({"cursor": cursor} if cursor else {})
        return self._json("GET", "/uploads", params=parameters)

    def missing_parts(self, upload_id: str, first_part: int) -> dict[str, Any]:
        """The upload with a page of the parts that are still to be sent."""
        parameters = {"missing": "true", "first_part": str(first_part), "limit": "100"}
        return self._json("GET", f"/uploads/{upload_id}", params=parameters)

    def put_part(self, path: str, size: int, content: Callable[[], Iterator[bytes]]) -> None:
        """Send a part of `size` bytes; `content` is asked for them again when it has to be repeated."""
        self._send("PUT", path, headers={"Content-Length": str(size)}, request=lambda: {"content": content()})

    def complete_upload(self, upload_id: str) -> None:
        """Have the server check what has arrived, however long that takes."""
        self._send("POST", f"/uploads/{upload_id}/complete", request=lambda: {"timeout": CHECK_TIMEOUT})

    def delete_upload(self, upload_id: str) -> None:
        self._send("DELETE", f"/uploads/{upload_id}")

    def result(self, task_id: str, format: str) -> bytes:
        """The transcript as a file's content."""
        return self._send("GET", f"/result/{task_id}", request=lambda: {"params": {"format": format}}).content

    def events(self, task_id: str) -> Iterator[dict[str, Any]]:
        """Status and segments until the task has ended, also past a connection that breaks; no segment comes twice."""
        position = None
        away_since: float | None = None
        while position != "end":
            headers = {"Accept": "application/x-ndjson"} | ({"Last-Event-ID": position} if position else {})
            try:
                with self._http.stream(
                    "GET", f"{self.url}/tasks/{task_id}/events", headers=headers, timeout=STREAM_TIMEOUT
                ) as response:
                    if not response.is_success:
                        response.read()
                        raise refusal(response)
                    self._was_there = True
                    for line in response.iter_lines():
                        away_since = None
                        event: dict[str, Any] = json.loads(line)
                        position = event.get("id") or position
                        if event["event"] != "heartbeat":
                            yield event
            except httpx.TransportError as error:
                now = time.monotonic()
                away_since = away_since or now
                if not self._was_there or now - away_since > PATIENCE_S:
                    raise self._unreachable(error) from error
            if position != "end":
                self._pause(FIRST_PAUSE_S)

    # ---- requests

    def _submitted(self, key: str, request: Callable[[], dict[str, Any]]) -> Submitted:
        response = self._send("POST", "/transcribe", headers={"Idempotency-Key": key}, request=request)
        return Submitted(str(_body(response)["task_id"]), response.headers.get("Idempotent-Replayed") == "true")

    def _json(self, method: str, path: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        return _body(self._send(method, path, request=lambda: {"params": params}))

    def _send(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        request: Callable[[], dict[str, Any]] = dict,
        patience_s: float = PATIENCE_S,
        takes: tuple[int, ...] = (),
    ) -> httpx.Response:
        deadline, pause_s = time.monotonic() + patience_s, FIRST_PAUSE_S
        while True:
            try:
                response = self._http.request(method, f"{self.url}{path}", headers=headers, **request())
            except httpx.TransportError as error:
                if not self._was_there or time.monotonic() + pause_s > deadline:
                    raise self._unreachable(error) from error
            except (httpx.InvalidURL, UnicodeError) as error:
                raise Unreachable(f"{self.url} is not the address of a server: {error}.") from error
            else:
                self._was_there = True
                if response.is_success or response.status_code in takes:
                    return response
                after_s = retry_after_s(response)
                if response.status_code not in BUSY or time.monotonic() + max(after_s, pause_s) > deadline:
                    raise refusal(response)
                pause_s = max(after_s, pause_s)
            self._pause(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _unreachable(self, error: httpx.TransportError) -> Unreachable:
        reason = str(error) or type(error).__name__
        return Unreachable(f"{self.url} does not answer ({reason}). Is PARLEY_URL right, and the server running?")


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


def is_loopback(url: str) -> bool:
    """Whether the address is on this machine."""
    try:
        host = httpx.URL(url).host
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except (httpx.InvalidURL, ValueError):
        return False


def retry_after_s(response: httpx.Response) -> float:
    header = response.headers.get("Retry-After", "")
    return float(header) if header.isdecimal() else 0.0


def _body(response: httpx.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise Unreachable(f"{response.url} answers, but not as Parley does. Is PARLEY_URL right?")
    return body


def refusal(response: httpx.Response) -> Refused:
    """The server's own words where it has any; a proxy in front of it has none."""
    try:
        body = response.json()
    except ValueError:
        body = None
    fields = body if isinstance(body, dict) else {}
    code = str(fields.get("code") or f"http_{response.status_code}")
    message = str(fields.get("message") or f"The server answered {response.status_code} {response.reason_phrase}.")
    if response.is_redirect:
        message = f"The server redirects to {response.headers.get('Location')}. Use that address as PARLEY_URL."
    # 403 alone is not about the key: adapter_disabled has it, too
    is_about_key = response.status_code == 401 or code == "forbidden"
    kind = NotAccepted if is_about_key else Refused
    return kind(response.status_code, code, message, fields.get("request_id") or response.headers.get("X-Request-Id"))
