"""Traces: one per task, from the request that made it to the last stage. Off unless OTEL_EXPORTER_OTLP_ENDPOINT is set.

Nothing has to carry the context from the gateway to the workers. The id of a task's trace is the task's own, and its
first span has the lower half of that id (spans.py). So a stage belongs to its trace whoever rings for it, whoever does
it, and however much later. OpenTelemetry's SDK is used by no process when traces are off.
"""

from __future__ import annotations

import uuid
from contextvars import ContextVar
from typing import TYPE_CHECKING

from shared.config import settings

if TYPE_CHECKING:
    from shared.telemetry.spans import Spans

_tasks: ContextVar[dict[uuid.UUID, None] | None] = ContextVar("made", default=None)
_spans: dict[str, Spans | None] = {}


def spans(service: str) -> Spans | None:
    """Where this process tells of its spans; None when traces are off.

    Begins a thread with the first call, so that belongs behind the last fork.
    """
    if service not in _spans:
        _spans[service] = _begin(service) if settings().otel_exporter_otlp_endpoint else None
    return _spans[service]


def _begin(service: str) -> Spans:
    from shared.telemetry.spans import Spans

    return Spans(service)


def watch_tasks() -> dict[uuid.UUID, None]:
    """The tasks, in order, that whatever is called from here on submits, be it in a thread."""
    tasks: dict[uuid.UUID, None] = {}
    _tasks.set(tasks)
    return tasks


def task_made(task_id: uuid.UUID) -> None:
    """A task is being submitted; who watches is told."""
    tasks = _tasks.get()
    if tasks is not None:
        tasks[task_id] = None


def close() -> None:
    """Send what is left, for a second at most. Nothing is told of afterwards."""
    for service, running in _spans.items():
        if running:
            running.close()
        _spans[service] = None
