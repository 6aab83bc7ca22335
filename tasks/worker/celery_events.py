"""Celery's events, which Flower shows: a worker sends them only while somebody listens.

Flower asks all workers for events every five seconds. A worker sends them from its start on, as Flower may be there,
and falls silent when it has not been asked for `LISTENED_S`: without Flower a task costs no messages but its ring.
"""

from __future__ import annotations

import time
from typing import Any

from celery import bootsteps
from celery.worker.control import control_command

LISTENED_S = 30.0
LOOK_S = 5.0

GROUPS = frozenset({"task", "worker"})
NONE = frozenset({"none"})
"""No event is in it. With no group at all Celery would send every event."""

_asked_at = time.monotonic()  # in the main process; its start counts as a question


@control_command()
def enable_events(state: Any) -> dict[str, str]:
    """In the place of Celery's own, which is for ever."""
    global _asked_at
    _asked_at = time.monotonic()
    _settle(state.consumer)
    return {"ok": f"events for {LISTENED_S:g} s"}


class Audience(bootsteps.StartStopStep):
    """Whether events are sent, also over a connection to the broker that was made anew."""

    requires = ("celery.worker.consumer.events:Events",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._timer: Any = None

    def start(self, consumer: Any) -> None:
        """Begin to look whether anybody still listens."""
        _settle(consumer)
        self._timer = consumer.timer.call_repeatedly(LOOK_S, _settle, (consumer,))

    def stop(self, consumer: Any) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _settle(consumer: Any) -> None:
    if consumer.event_dispatcher is not None:
        is_heard = time.monotonic() - _asked_at < LISTENED_S
        consumer.event_dispatcher.groups = set(GROUPS if is_heard else NONE)
