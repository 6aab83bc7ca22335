"""One session in the ear of a worker: a thread that reads its chunks and writes what it hears."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import structlog
from sqlalchemy.orm import Session

from shared.config import Settings
from shared.db import session
from shared.errors import DatabaseUnavailable, LeaseLost, NoAudio, ParleyError, UnsupportedMedia
from shared.live import listeners
from shared.live.listeners import Chunk, Claim, Place
from shared.live.sessions import End
from shared.live_events import Cut, Final, LiveEvent
from shared.telemetry.logs import get_logger
from tasks.live import models
from tasks.live.hearing import Delay, Hearing
from tasks.live.pace import Pace
from tasks.live.watch import Watch

if TYPE_CHECKING:
    from tasks.live.sound import Sound
    from tasks.pcm import Samples

log = get_logger(__name__)
T = TypeVar("T")

POLL_S = 0.5
"""How often the database is asked for audio that nobody has told of: what is told may be lost."""

PAUSE_S = 0.5
"""Between two attempts while PostgreSQL is away."""

MOVED_S = 60.0
"""After so much silence it is noted that nobody needs to read it again."""

LOAD_S = 180.0
"""What it may take to load a model, other sessions' models before it included; of a larger one for finals as well."""

AHEAD_S = 60.0
"""Sound of a container may be so far ahead of the clock; more of it is heard no faster than it is spoken. A client that
sends PCM so fast is slowed by its gateway."""


class Stopped(Exception):
    """The session is somebody else's now, or will be."""


class Forsaken(Exception):
    """The session has ended so long ago that nobody waits for what is left to say."""


class Ear(threading.Thread):
    """Listens from the place of the claim to the session's end.

    bell : to be set when there is more audio
    failed : it ended by an error, and the session is to be given back
    """

    def __init__(self, claim: Claim, config: Settings, pace: Pace) -> None:
        super().__init__(name=f"ear-{claim.job_id}", daemon=True)
        self.claim = claim
        self.bell = threading.Event()
        self.failed = False
        self._config, self._pace = config, pace
        self._watch, self._delay = Watch(), Delay()
        self._heard_s = claim.place.resume_s
        self._event, self._place = claim.event, claim.place
        self._stopped = False

    def stop(self) -> None:
        """Write nothing more, and end soon."""
        self._stopped = True
        self.bell.set()

    def is_stuck(self) -> bool:
        """Whether its model gives no answer. To be asked now and then."""
        return self._watch.is_stuck()

    @property
    def question(self) -> int:
        """The number of what it asks its model. Who asked before has a lower one."""
        return self._watch.number

    @property
    def behind_s(self) -> float:
        """Seconds of sound that have arrived and are not heard yet."""
        return self._delay.behind_s(self._heard_s)

    def run(self) -> None:
        """Until the end; nothing is raised."""
        claim = self.claim
        structlog.contextvars.bind_contextvars(job_id=str(claim.job_id), request_id=claim.request_id)
        log.info("listening", fence=claim.fence, resume_s=round(claim.place.resume_s, 1))
        try:
            with ExitStack() as stack:
                with self._watch.asking(LOAD_S * (2 if self._config.live_final_model else 1)):
                    listener = stack.enter_context(models.listener(self._config, claim))
                    self._pace.workers = models.workers(self._config)
                self._listen(Hearing(listener, self._watch, self._pace, self._config.live_stall_s))
        except (Stopped, LeaseLost):
            log.info("listening_left", events=self._event)
        except ParleyError as error:
            self.failed = True
            log.warning("listening_failed", code=error.code, message=error.message)
        except Exception:
            self.failed = True
            log.exception("listening_failed", code="unexpected_error")
        else:
            log.info("listening_done", events=self._event)

    def _listen(self, listener: Hearing) -> None:
        from tasks.live import sound as sounds

        claim = self.claim
        with sounds.opened(claim, self._config) as sound:
            try:
                self._hear(listener, sound)
            except Forsaken:
                log.warning("listening_forsaken", heard_s=round(listener.heard_s, 1))
                self._patiently(lambda work: listeners.finish(work, claim, listener.heard_s, is_whole=False))
            except (NoAudio, UnsupportedMedia) as error:
                if not sound.is_mute:
                    raise
                from tasks.app import ring  # with Celery, which listening needs for nothing else

                log.warning("listening_refused", code=error.code, message=error.message)
                ring(self._patiently(lambda work: listeners.end(work, claim, End.UNDECODABLE)))
            else:
                self._patiently(lambda work: listeners.finish(work, claim, listener.heard_s))

    def _hear(self, listener: Hearing, sound: Sound) -> None:
        """To the session's end. Raises Forsaken, and what `sound` raises."""
        seq = self._patiently(lambda work: listeners.frame_before(work, self.claim.job_id, sound.first))
        is_past = self.claim.attempt <= 1
        while True:
            self.bell.clear()
            chunks, is_last = self._read(seq, sound)
            for data, cut in parts(chunks, sound.first):
                events = self._hear_all(sound.hear(data), listener, sound) if data else []
                if cut is not None and not sound.is_behind:
                    events += [*cut_off(listener.finish()), Cut(listener.utterance - 1, cut)]
                self._write(events, listener)
            seq = chunks[-1].seq if chunks else seq
            # behind all that had arrived with the claim: of an ended session the last pass is still to come
            goes_on = seq > self.claim.seq or not (chunks or is_last)
            if not is_past and goes_on and not sound.is_behind:
                is_past = True
                self._patiently(lambda work: listeners.get_past(work, self.claim))
            if is_last:
                break
            if not chunks:
                self.bell.wait(POLL_S)
        self._write(self._hear_all(sound.end(), listener, sound), listener)
        self._write(listener.finish(), listener)

    def _hear_all(self, blocks: Iterator[Samples], listener: Hearing, sound: Sound) -> list[LiveEvent]:
        """What the last block tells; what those before it tell is written."""
        events: list[LiveEvent] = []
        for samples in blocks:
            self._write(events, listener)
            self._keep_time(sound)
            events = listener.feed(samples)
        return events

    def _keep_time(self, sound: Sound) -> None:
        """Raises Forsaken and Stopped."""
        while sound.ahead_s() > AHEAD_S:
            if not self._patiently(lambda work: listeners.is_waited_for(work, self.claim.job_id)):
                raise Forsaken
            time.sleep(PAUSE_S)

    def _read(self, seq: int, sound: Sound) -> tuple[list[Chunk], bool]:
        arrived = self._patiently(lambda work: listeners.chunks(work, self.claim.job_id, seq))
        self._delay.arrive(sound.seconds(arrived.bytes))
        return arrived.chunks, arrived.is_last

    def _write(self, events: Sequence[LiveEvent], listener: Hearing) -> None:
        self._heard_s = listener.heard_s
        place = Place(listener.utterance, listener.resume_s, listener.language, listener.voices)
        if events:
            lease_s = self._config.live_lease_s
            self._event = self._patiently(
                lambda work: listeners.record(work, self.claim, events, self._event, place, lease_s)
            )
            self._delay.tell(events)
        elif place.resume_s - self._place.resume_s >= MOVED_S:
            self._patiently(lambda work: listeners.move(work, self.claim, place))
        else:
            place = replace(self._place)
        self._place = place

    def _patiently(self, change: Callable[[Session], T]) -> T:
        """Raises Stopped, and what the change raises, but for a database that is away."""
        while True:
            if self._stopped:
                raise Stopped
            try:
                with session() as work:
                    return change(work)
            except DatabaseUnavailable:
                time.sleep(PAUSE_S)


def parts(chunks: Sequence[Chunk], first: int) -> Iterator[tuple[bytes, int | None]]:
    """What is to be heard together, from the session's byte `first` on, and the frame that cuts behind it, if any."""
    begin = 0
    for place, chunk in enumerate(chunks):
        if not chunk.data:
            yield behind(chunks[begin:place], first), chunk.seq
            begin = place + 1
    if begin < len(chunks):
        yield behind(chunks[begin:], first), None


def cut_off(events: Sequence[LiveEvent]) -> list[LiveEvent]:
    """The same, where it was the client that ended the utterance."""
    return [replace(event, is_cut=True) if isinstance(event, Final) else event for event in events]


def behind(chunks: Sequence[Chunk], first: int) -> bytes:
    """The bytes of chunks, from the session's byte `first` on."""
    return b"".join(chunk.data[max(0, first - chunk.start) :] for chunk in chunks)
