"""A client of the public API that remembers everything it was told about its tasks."""

from __future__ import annotations

import hashlib
import io
import os
import time
import uuid
import wave
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import httpx

from shared.states import TERMINAL
from shared.transcript import SAMPLE_RATE

REQUEST_TIMEOUT_S = 30


@dataclass
class Task:
    """A task that the gateway acknowledged. `statuses` holds (status, progress) as read, `texts` each answer."""

    id: uuid.UUID
    sha256: str
    statuses: list[tuple[str, int]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    is_deleted: bool = False


class Caller:
    """One API key. Methods raise httpx.HTTPStatusError for every answer that is not 2xx."""

    def __init__(self, url: str, key: str, poll_s: float = 0.1) -> None:
        self._poll_s = poll_s
        self.http = httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=REQUEST_TIMEOUT_S, trust_env=False
        )

    def submit(self, recording: bytes | None = None, **fields: object) -> Task:
        """Send a recording, by default one of its own, with the form's `fields`. The task was acknowledged by a 202."""
        content = noise() if recording is None else recording
        form = {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in fields.items()}
        answer = self.http.post("/transcribe", data=form, files={"file": ("call.wav", content)})
        answer.raise_for_status()
        return Task(uuid.UUID(answer.json()["task_id"]), hashlib.sha256(content).hexdigest())

    def look(self, task: Task) -> dict[str, Any]:
        """The body of GET /status, noted in `task.statuses`."""
        answer = self.http.get(f"/status/{task.id}")
        answer.raise_for_status()
        body: dict[str, Any] = answer.json()
        task.statuses.append((body["status"], body["progress"]))
        return body

    def wait(self, task: Task, states: Collection[str] = TERMINAL, timeout_s: float = 60) -> str:
        """Poll, also past an outage, until the task is in one of `states`. Raises TimeoutError."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                status = str(self.look(task)["status"])
            except (httpx.TransportError, httpx.HTTPStatusError) as error:
                if isinstance(error, httpx.HTTPStatusError) and error.response.status_code < 500:
                    raise
                status = type(error).__name__
            if status in states:
                return status
            if time.monotonic() > deadline:
                raise TimeoutError(f"{task.id} is {status}, not {'/'.join(sorted(states))}, after {timeout_s:g} s")
            time.sleep(self._poll_s)

    def read(self, task: Task) -> str:
        """The text of the finished transcript, noted in `task.texts`."""
        answer = self.http.get(f"/result/{task.id}", params={"format": "json"})
        answer.raise_for_status()
        task.texts.append(str(answer.json()["full_text"]))
        return task.texts[-1]

    def cancel(self, task: Task) -> str:
        """Ask for the end of the task; the status it has then."""
        answer = self.http.post(f"/tasks/{task.id}/cancel")
        answer.raise_for_status()
        body = answer.json()
        task.statuses.append((body["status"], body["progress"]))
        return str(body["status"])

    def delete(self, task: Task) -> dict[str, Any]:
        """Erase the task; its receipt."""
        answer = self.http.delete(f"/tasks/{task.id}")
        answer.raise_for_status()
        task.is_deleted = True
        body: dict[str, Any] = answer.json()
        return body


def noise(seconds: float = 0.25) -> bytes:
    """A WAV of random samples: short, and unlike every other, so that no answer is known already."""
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(os.urandom(2 * round(seconds * SAMPLE_RATE)))
    return content.getvalue()
