"""A session's listener, and how its work goes: whether it moves, what it costs, how late its text is."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from shared.errors import ParleyError
from shared.live_events import Final, LiveEvent, Partial, SpeechStarted
from shared.telemetry.logs import get_logger
from shared.telemetry.metrics import LIVE_FINAL_SECONDS, LIVE_FINALS, LIVE_FIRST_SECONDS, LIVE_PARTIALS
from shared.transcript import SAMPLE_RATE
from tasks.live.pace import Pace
from tasks.live.watch import Watch

if TYPE_CHECKING:
    from tasks.engines.recogniser import Samples
    from tasks.listening.listener import Listener

log = get_logger(__name__)


class Hearing:
    """Calls `listener`, so that nobody waits for it unseen.

    heard_s : up to here the session has been heard
    """

    def __init__(self, listener: Listener, watch: Watch, pace: Pace, patience_s: float) -> None:
        self._listener, self._watch, self._pace, self._patience_s = listener, watch, pace, patience_s
        self.heard_s = listener.resume_s
        self._passes = self._missed = 0
        self._final_model_error: ParleyError | None = None
        self._speaker_error: ParleyError | None = None

    @property
    def utterance(self) -> int:
        return self._listener.utterance

    @property
    def resume_s(self) -> float:
        return self._listener.resume_s

    @property
    def language(self) -> str | None:
        return self._listener.language

    @property
    def voices(self) -> bytes | None:
        return self._listener.voices

    def feed(self, samples: Samples) -> list[LiveEvent]:
        """As the listener's."""
        listener, seconds = self._listener, len(samples) / SAMPLE_RATE
        was_speaking = listener.is_speaking
        with self._watch.asking(self._patience_s, lambda: listener.steps), self._pace.work() as share:
            events = listener.feed(samples)
        self.heard_s += seconds
        if (error := listener.final_model_error) and error is not self._final_model_error:
            self._final_model_error = error
            log.warning("final_model_failed", code=error.code, message=error.message)
        if (error := listener.speaker_error) and error is not self._speaker_error:
            self._speaker_error = error
            log.warning("speakers_failed", code=error.code, message=error.message)
        passes, missed = listener.passes - self._passes, listener.missed - self._missed
        self._passes, self._missed = listener.passes, listener.missed
        LIVE_PARTIALS.labels("made").inc(passes)
        LIVE_PARTIALS.labels("skipped").inc(missed)
        if was_speaking or listener.is_speaking or events:
            self._pace.hear(seconds, share, passes, missed)
        else:
            self._pace.rest(seconds)
        return events

    def finish(self) -> list[LiveEvent]:
        """As the listener's."""
        with self._watch.asking(self._patience_s, lambda: self._listener.steps), self._pace.work():
            return self._listener.finish()


class Delay:
    """How far behind the speech its text is, by the sound that has arrived: `arrived_s` of the session at a time of
    the monotonic clock. True of sound that comes in real time."""

    def __init__(self) -> None:
        self._arrived_s, self._at = 0.0, time.monotonic()
        self._began: dict[int, float] = {}

    def arrive(self, arrived_s: float) -> None:
        """So much of the session is there now."""
        self._arrived_s, self._at = arrived_s, time.monotonic()

    def behind_s(self, heard_s: float) -> float:
        """How much of it is still to be heard."""
        return max(0.0, self._arrived_s - heard_s)

    def tell(self, events: Sequence[LiveEvent]) -> None:
        """These events are written."""
        for event in events:
            match event:
                case SpeechStarted():
                    self._began = {event.utterance: event.at}
                case Partial() if event.utterance in self._began:
                    LIVE_FIRST_SECONDS.observe(self._age_s(self._began.pop(event.utterance)))
                case Final():
                    LIVE_FINAL_SECONDS.observe(self._age_s(event.end))
                    LIVE_FINALS.labels(event.model).inc()

    def _age_s(self, at_s: float) -> float:
        return max(0.0, time.monotonic() - self._at + self._arrived_s - at_s)
