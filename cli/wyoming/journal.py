"""A line about each request. What was said is in none of them."""

from __future__ import annotations

import json

from cli.failures import Failure
from cli.screen import complain
from cli.wyoming.gateway import Spoken


class Journal:
    """Lines for people on stderr, or with `as_json` objects on stdout."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json

    def transcript(self, client: str, spoken: Spoken, seconds: float, wait_s: float) -> None:
        """`seconds` is the length of the recording, `wait_s` from its end to the transcript."""
        if self._as_json:
            self._print(client, spoken.task_id, spoken.language, seconds, wait_s, None)
        else:
            complain(
                f"{client}  {seconds:.1f} s in {spoken.language or 'no language'}, "
                f"answered after {wait_s:.2f} s, task {spoken.task_id}"
            )

    def failure(self, client: str, failure: Failure, seconds: float) -> None:
        """`seconds` of audio came and are not transcribed."""
        if self._as_json:
            self._print(client, None, None, seconds, None, failure)
        else:
            lost = f" Not transcribed: {seconds:.1f} s." if seconds else ""
            complain(f"{client}  {failure.code}: {failure.message}{lost}")

    def _print(
        self,
        client: str,
        task_id: str | None,
        language: str | None,
        seconds: float,
        wait_s: float | None,
        failure: Failure | None,
    ) -> None:
        entry = {
            "client": client,
            "task_id": task_id,
            "language": language,
            "seconds": round(seconds, 3),
            "wait_seconds": None if wait_s is None else round(wait_s, 3),
            "error": {"code": failure.code, "message": failure.message} if failure else None,
        }
        print(json.dumps(entry, ensure_ascii=False), flush=True)
