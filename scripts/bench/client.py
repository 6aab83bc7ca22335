"""The few calls that benches make of the public API."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx

TIMEOUT_S = 3600.0


class Client:
    """A caller of one Parley. A hundred polls a second, `poll_s` of 0.01, take a quarter of a core from the gateway and
    so from what is measured: where tasks take seconds, poll rarely.
    """

    def __init__(self, url: str, api_key: str, *, poll_s: float = 0.1) -> None:
        self._poll_s = poll_s
        self._http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {api_key}"}, timeout=60)

    def submit(self, recording: Path, **options: Any) -> str:
        """Send a recording; the id of its task."""
        with recording.open("rb") as content:
            response = self._http.post("/transcribe", files={"file": (recording.name, content)}, data=options)
        response.raise_for_status()
        return str(response.json()["task_id"])

    def wait(self, task_id: str) -> dict[str, Any]:
        """Poll until the task has ended; its last status. Raises RuntimeError unless it is done."""
        end = time.monotonic() + TIMEOUT_S
        while time.monotonic() < end:
            status: dict[str, Any] = self._http.get(f"/status/{task_id}").raise_for_status().json()
            if status["status"] == "done":
                return status
            if status["status"] in ("error", "cancelled"):
                raise RuntimeError(f"task {task_id}: {status}")
            time.sleep(self._poll_s)
        raise RuntimeError(f"task {task_id} did not end within {TIMEOUT_S:g} s")

    def result(self, task_id: str) -> dict[str, Any]:
        """The transcript."""
        answer: dict[str, Any] = self._http.get(f"/result/{task_id}").raise_for_status().json()
        return answer

    def rttm(self, task_id: str) -> str:
        """The turns of the speakers, as RTTM."""
        return self._http.get(f"/result/{task_id}", params={"format": "rttm"}).raise_for_status().text
