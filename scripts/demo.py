"""`python -m scripts.demo [FILE]`: start everything, transcribe one recording over HTTP, show it, stop everything.

Without FILE it takes the sample call that comes with pyannote.audio: 30 s of telephone, two speakers.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import httpx
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from scripts.local.apps import API, ROOT, WORKERS
from scripts.local.home import HomeInUse, PortTaken
from scripts.local.models import ensure_models
from scripts.local.stack import Stack
from scripts.local.start import (
    DEFAULT_HOME,
    home_from_environment,
    port_from_environment,
    preflight,
    reporter,
    stop_on_signals,
)
from scripts.local.supervisor import StartFailed
from shared.errors import ModelUnavailable

FORMATS = ("json", "srt", "vtt")
DEMO_HOME = f"{DEFAULT_HOME}/demo"  # its own, so that it can run beside `make run`
POLL_S = 0.5
REQUEST_TIMEOUT_S = 60
UPLOAD_TIMEOUT_S = 3600
SILENCE_TIMEOUT_S = 1200  # a task that shows no progress this long is given up


class DemoFailed(Exception):
    """The recording was not transcribed; the message says why."""


class Interrupted(Exception):
    """Ctrl-C."""


@dataclass(frozen=True)
class Status:
    """What GET /status/{task_id} says, as far as a person wants to see it."""

    status: str
    stage: str
    percent: float
    eta_seconds: float | None
    error: str

    @classmethod
    def of(cls, body: dict[str, Any]) -> Status:
        error = body.get("error") or {}
        return cls(
            status=body["status"],
            stage=body.get("stage") or body["status"],
            percent=float(body["progress"]),
            eta_seconds=body.get("eta_seconds"),
            error=f"{error.get('message')} ({error.get('code')})" if isinstance(error, dict) and error else str(error),
        )

    @property
    def eta(self) -> str:
        return f"about {self.eta_seconds:.0f} s left" if self.eta_seconds else ""


class Display(Protocol):
    """Where progress is shown."""

    def show(self, status: Status) -> None:
        """Called for every answer of the server, also when nothing changed."""


class Bar:
    """One moving line, for a terminal."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("queued", total=100, eta="")

    def show(self, status: Status) -> None:
        self._progress.update(self._task, completed=status.percent, description=status.stage, eta=status.eta)


class Lines:
    """A line for each stage and each tenth of the work, for a log."""

    def __init__(self) -> None:
        self._last = ("", -1)

    def show(self, status: Status) -> None:
        point = (status.stage, int(status.percent // 10))
        if point != self._last:
            print(f"  {status.percent:3.0f} %  {status.stage}  {status.eta}".rstrip(), flush=True)
            self._last = point


@contextmanager
def display(console: Console) -> Iterator[Display]:
    """A bar on a terminal, else lines."""
    if not console.is_terminal:
        yield Lines()
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:<12}"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[eta]}"),
    )
    with Progress(*columns, console=console) as progress:
        yield Bar(progress)


def main() -> int:
    console = Console(highlight=False)
    say = reporter(console)
    recording = Path(sys.argv[1]) if len(sys.argv) > 1 else sample()
    folder = recording.parent if len(sys.argv) > 1 else ROOT / "demo"
    if not recording.is_file():
        return failed(f"there is no file {recording}")
    try:
        home, port = home_from_environment(DEMO_HOME), port_from_environment(None)
        preflight(home, port)
        model = ensure_models(os.environ, say)
        leave = stop_on_signals()
        console.print("Starting PostgreSQL, Valkey, the gateway and the workers")
        start = time.monotonic()
        environ = os.environ | {"WHISPER_MODEL": model}
        with Stack(home, port=port, apps=(API, *WORKERS), environ=environ, report=say) as stack:
            console.print(f"Up after {time.monotonic() - start:.1f} s at {stack.url}")
            try:
                transcribe(stack, recording, folder, console, leave)
            except (DemoFailed, httpx.HTTPError) as error:
                return failed(f"{error}\nThe logs are in {stack.home.logs}")
            finally:
                console.print("Stopping everything")
    except (Interrupted, KeyboardInterrupt):
        console.print("Interrupted; everything is stopped.")
        return 130
    except (HomeInUse, PortTaken, StartFailed, ModelUnavailable, ValueError) as error:
        return failed(str(error))
    return 0


def failed(reason: str) -> int:
    Console(stderr=True, highlight=False).print(Text(f"The demo failed: {reason}"), soft_wrap=True)
    return 1


def sample() -> Path:
    """pyannote's sample call, found without importing the package: that takes seconds."""
    spec = find_spec("pyannote.audio")
    assert spec is not None and spec.origin is not None, "requirements/local.txt brings pyannote.audio"
    return Path(spec.origin).parent / "sample" / "sample.wav"


def transcribe(stack: Stack, recording: Path, folder: Path, console: Console, leave: threading.Event) -> None:
    """Send the recording, follow its task, print the transcript and write it in every format into `folder`."""
    headers = {"Authorization": f"Bearer {stack.api_key}"}
    with httpx.Client(base_url=stack.url, headers=headers, timeout=REQUEST_TIMEOUT_S) as client:
        console.print(f"Sending {recording} ({recording.stat().st_size / 1e6:.1f} MB)", soft_wrap=True)
        with recording.open("rb") as file:
            answer = client.post(
                "/transcribe",
                files={"file": (recording.name, file)},
                data={"diarization": "true"},
                timeout=UPLOAD_TIMEOUT_S,
            )
        task_id = json_of(answer)["task_id"]
        with display(console) as progress:
            follow(client, task_id, progress, leave)
        show(json_of(client.get(f"/result/{task_id}", params={"format": "json"})), console)
        for name in FORMATS:
            text = checked(client.get(f"/result/{task_id}", params={"format": name})).content
            write(folder / f"{recording.stem}.{name}", text)
            console.print(f"Written: {folder / recording.stem}.{name}", soft_wrap=True)


def write(file: Path, content: bytes) -> None:
    """Raises DemoFailed when the folder cannot be written to."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    except OSError as error:
        raise DemoFailed(f"the transcript is ready but cannot be written: {error}") from error


def follow(client: httpx.Client, task_id: str, progress: Display, leave: threading.Event) -> None:
    """Return when the task is done. Raises DemoFailed when it ends in any other way or stands still."""
    last, changed = None, time.monotonic()
    while True:
        status = Status.of(json_of(client.get(f"/status/{task_id}")))
        progress.show(status)
        if status.status == "done":
            return
        if status.status in ("error", "cancelled"):
            raise DemoFailed(f"the task ended as {status.status}: {status.error}")
        if (status.stage, status.percent) != last:
            last, changed = (status.stage, status.percent), time.monotonic()
        if time.monotonic() - changed > SILENCE_TIMEOUT_S:
            raise DemoFailed(f"no progress for {SILENCE_TIMEOUT_S} s in stage {status.stage}")
        if leave.wait(POLL_S):
            raise Interrupted


def show(result: dict[str, Any], console: Console) -> None:
    """The transcript, one line per segment, and what there is to say about it."""
    console.print()
    for segment in result["segments"]:
        times = f"{clock(segment['start'])} - {clock(segment['end'])}"
        speaker = segment.get("speaker") or "-"
        console.print(f"  [dim]{times}[/]  [bold]{speaker:<6}[/]", Text(segment["text"].strip()), soft_wrap=True)
    speakers = ", ".join(f"{speaker['id']} {speaker['seconds']:.1f} s" for speaker in result["speakers"])
    console.print(
        f"\n{result['duration']:.1f} s of audio, language {result['language']}, model {result['model']}, "
        f"speakers: {speakers or 'none'}, processed in {result['processing_time']:.1f} s",
        soft_wrap=True,
    )
    if result["cached"]:
        console.print("Same recording, same options: this is the transcript that an earlier run stored.")
    for warning in result["warnings"]:
        console.print(Text(f"warning: {warning}"))


def clock(seconds: float) -> str:
    """Minutes, seconds and tenths; hours only where there are any."""
    tenths = round(seconds * 10)
    hours, rest = divmod(tenths, 36_000)
    minutes, tenths = divmod(rest, 600)
    return (f"{hours}:" if hours else "") + f"{minutes:02}:{tenths // 10:02}.{tenths % 10}"


def checked(answer: httpx.Response) -> httpx.Response:
    """The answer itself. Raises DemoFailed with the server's words when it is an error."""
    if answer.is_error:
        raise DemoFailed(f"{answer.request.method} {answer.request.url.path}: {answer.status_code} {answer.text}")
    return answer


def json_of(answer: httpx.Response) -> dict[str, Any]:
    body: dict[str, Any] = checked(answer).json()
    return body


if __name__ == "__main__":
    sys.exit(main())
