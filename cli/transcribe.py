"""`parley transcribe`: many recordings, a few at a time, each from its bytes to the files of its transcript."""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cli import files, parts, remembered
from cli.client import Server, Submitted
from cli.failures import Exit, Failure, Refused, Unreachable
from cli.recordings import Recording
from cli.remembered import Memory
from cli.screen import Row, Screen

FIRST_POLL_S, LONGEST_POLL_S, SLOWER = 0.3, 5.0, 1.3
"""A short call is done in a second or two; a long one needs no more than a look every few seconds."""

ENDED = ("done", "error", "cancelled")


class Stopped(Exception):
    """The user has had enough."""


@dataclass(slots=True)
class Outcome:
    """What became of one recording. `files` were written now, `skipped` were there before."""

    recording: Recording
    task_id: str | None = None
    files: list[Path] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)
    failure: Failure | None = None

    def as_dict(self) -> dict[str, Any]:
        failed = {"code": self.failure.code, "message": self.failure.message} if self.failure else None
        return {
            "recording": str(self.recording.source),
            "task_id": self.task_id,
            "status": "failed" if failed else "done" if self.files else "skipped",
            "files": [str(path) for path in self.files],
            "skipped": [str(path) for path in self.skipped],
            "error": failed,
        }


@dataclass(frozen=True, slots=True)
class Submission:
    """Form fields of the request, formats of the files, and whether existing files are replaced."""

    fields: Mapping[str, str]
    formats: Sequence[str]
    force: bool


class Run:
    """Transcribes recordings, `at_once` of them side by side. `stop` may be called from a signal's handler."""

    def __init__(self, url: str, api_key: str | None, request: Submission, screen: Screen) -> None:
        self._url, self._api_key, self._request, self._screen = url, api_key, request, screen
        self._memory = Memory()
        self._stopping = threading.Event()
        self._waiting: queue.SimpleQueue[Recording] = queue.SimpleQueue()
        self._ended: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self._on_server: dict[Recording, str] = {}

    def __call__(self, recordings: Sequence[Recording], at_once: int) -> list[Outcome]:
        """All outcomes, as they came. Raises KeyboardInterrupt, with work left on the server, when interrupted."""
        self._memory.tidy()
        for recording in recordings:
            self._waiting.put(recording)
        for _ in range(min(at_once, len(recordings))):
            # daemons: an interrupted run does not wait for a request that hangs
            threading.Thread(target=self._work, daemon=True).start()
        try:
            return [self._ended.get() for _ in recordings]
        except KeyboardInterrupt:
            self._stopping.set()
            raise

    def on_server(self) -> dict[Recording, str]:
        """The unfinished tasks that were begun or joined here. Equal recordings have the same."""
        return dict(self._on_server)

    def _work(self) -> None:
        with Server(self._url, self._api_key, self._pause) as server:
            while not self._stopping.is_set():
                try:
                    recording = self._waiting.get_nowait()
                except queue.Empty:
                    return
                outcome, row = Outcome(recording), self._screen.row(recording.name)
                try:
                    self._transcribe(server, outcome, row)
                except Stopped:
                    return
                except Failure as failure:
                    outcome.failure = failure
                except OSError as error:
                    outcome.failure = Failure("local_file", str(error))
                except Exception as error:  # noqa: BLE001 - the others are not to wait for this one for ever
                    outcome.failure = Failure("internal", f"{type(error).__name__}: {error}")
                row.end(_summary(outcome))
                self._ended.put(outcome)

    def _transcribe(self, server: Server, outcome: Outcome, row: Row) -> None:
        missing = self._missing(outcome)
        if not missing:
            return
        task_id = outcome.task_id = self._task(server, outcome.recording, row)
        self._on_server[outcome.recording] = task_id
        try:
            self._follow(server, task_id, row)
        except Failure:
            del self._on_server[outcome.recording]
            raise
        del self._on_server[outcome.recording]
        for format in missing:
            target = outcome.recording.target(format)
            files.write(target, server.result(task_id, format), force=self._request.force)
            outcome.files.append(target)

    def _missing(self, outcome: Outcome) -> list[str]:
        """The formats that are still to be written. Raises Failure where a file is in the way."""
        if self._request.force:
            return list(self._request.formats)
        missing, source = [], outcome.recording.source
        for format in self._request.formats:
            target = outcome.recording.target(format)
            if not target.exists():
                missing.append(format)
            elif isinstance(source, Path) and target.stat().st_mtime < source.stat().st_mtime:
                raise Failure("file_exists", f"{target} is older than the recording; --force replaces it.")
            else:
                outcome.skipped.append(target)
        return missing

    def _task(self, server: Server, recording: Recording, row: Row) -> str:
        """The task of an earlier run, tried again if it had failed; else a new one."""
        content = self._content(recording, row)
        key = remembered.request_key(self._url, self._api_key, content, self._request.fields)
        task_id = self._memory.get(key)
        was_there = task_id is not None
        state = self._state(server, task_id) if task_id else None
        if task_id is None or state is None:
            submitted = self._submit(server, recording, content, key, row)
            task_id, was_there = submitted.task_id, submitted.is_replay
            state = self._state(server, task_id) if was_there else None
        if was_there and state in ("error", "cancelled"):
            task_id = server.retry(task_id)
        try:
            self._memory.put(key, task_id)
        except OSError as error:  # then the next run sends it again, and the server knows it by its key
            self._screen.say(f"{recording.name}: the task could not be remembered ({error})")
        return task_id

    def _content(self, recording: Recording, row: Row) -> str:
        """What tells the recording from others: the SHA-256 of a file, or the URL."""
        source = recording.source
        if isinstance(source, str):
            return source
        size = source.stat().st_size
        return remembered.sha256(source, lambda byte_count: self._step(row, "reading", byte_count, size))

    def _submit(self, server: Server, recording: Recording, content: str, key: str, row: Row) -> Submitted:
        source, fields = recording.source, self._request.fields
        if isinstance(source, str):
            return server.submit_url(source, fields, key)
        size = source.stat().st_size

        def on_bytes(byte_count: int) -> None:
            self._step(row, "uploading", byte_count, size)

        if size < parts.LARGE_BYTES:
            return server.submit_file(source, fields, key, on_bytes)
        upload_id = parts.send(server, source, content, on_bytes)
        submitted = server.submit_upload(upload_id, fields, key)
        with suppress(Failure):  # the task has the recording now; else it goes when its time is over
            server.delete_upload(upload_id)
        return submitted

    def _follow(self, server: Server, task_id: str, row: Row) -> None:
        """Returns when the task is done. Raises Failure with the error that ended it."""
        poll_s = FIRST_POLL_S
        while (now := server.status(task_id))["status"] not in ENDED:
            row.step(now["stage_detail"] or now["status"], now["progress"], now["eta_seconds"])
            self._pause(poll_s)
            poll_s = min(SLOWER * poll_s, LONGEST_POLL_S)
        if now["status"] == "cancelled":
            raise Failure("cancelled", "The task was cancelled. The same command tries again.")
        if now["status"] == "error":
            error = now["error"] or {}
            raise Failure(error.get("code", "unknown"), error.get("message", "The task failed."))

    def _state(self, server: Server, task_id: str) -> str | None:
        """None when the server does not know the task any more."""
        try:
            return str(server.status(task_id)["status"])
        except Refused as refused:
            if refused.status == 404:
                return None
            raise

    def _step(self, row: Row, step: str, byte_count: int, size: int) -> None:
        if self._stopping.is_set():
            raise Stopped
        row.step(step, 100 * byte_count / size if size else 100)

    def _pause(self, seconds: float) -> None:
        if self._stopping.wait(seconds):
            raise Stopped


def exit_code(outcomes: Sequence[Outcome]) -> Exit:
    """What the shell is told: a server that went away weighs more than a recording that failed."""
    failures = [outcome.failure for outcome in outcomes if outcome.failure]
    return max((failure.exit for failure in failures), default=Exit.DONE)


def _summary(outcome: Outcome) -> str:
    failure = outcome.failure
    if failure:
        of_task = f" (task {outcome.task_id})" if outcome.task_id and not isinstance(failure, Unreachable) else ""
        return f"failed: {failure.code}: {failure.message}{of_task}"
    if outcome.files:
        return "written " + ", ".join(str(path) for path in outcome.files)
    return "skipped, " + ", ".join(path.name for path in outcome.skipped) + " is there"
