"""The few calls that benches make of the public API."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx

TIMEOUT_S = 3600.0
WAIT_S = 60.0
"""How long one request for the end of a task is held open."""


class Client:
    """A caller of one Parley. It is told of the end of a task and does not poll: polls would take processor time from
    what is measured."""

    def __init__(self, url: str, api_key: str) -> None:
        headers = {"Authorization": f"Bearer {api_key}"}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=2 * WAIT_S, trust_env=False)

    def submit(self, recording: Path, **options: Any) -> str:
        """Send a recording; the id of its task."""
        with recording.open("rb") as content:
            response = self._http.post("/transcribe", files={"file": (recording.name, content)}, data=options)
        response.raise_for_status()
        return str(response.json()["task_id"])

    def wait(self, task_id: str) -> dict[str, Any]:
        """The status of the task once it has ended. Raises RuntimeError unless it is done."""
        end = time.monotonic() + TIMEOUT_S
        while time.monotonic() < end:
            answer = self._http.get(f"/status/{task_id}", params={"wait": WAIT_S})
            status: dict[str, Any] = answer.raise_for_status().json()
            if status["status"] == "done":
                return status
            if status["status"] in ("error", "cancelled"):
                raise RuntimeError(f"task {task_id}: {status}")
        raise RuntimeError(f"task {task_id} did not end within {TIMEOUT_S:g} s")

    def result(self, task_id: str) -> dict[str, Any]:
        """The transcript."""
        answer: dict[str, Any] = self._http.get(f"/result/{task_id}").raise_for_status().json()
        return answer

    def rttm(self, task_id: str) -> str:
        """The turns of the speakers, as RTTM."""
        return self._http.get(f"/result/{task_id}", params={"format": "rttm"}).raise_for_status().text
