"""One line on one session: frames in, each stored before it is acknowledged; events out.

Nothing is read from the client while what it has sent is not committed, so a slow database slows the client and
takes no memory. What is not acknowledged when the line ends the client sends again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from anyio import to_thread

from api.live.bells import bells
from api.live.bounds import Bounds
from api.live.line import Input, Line, LineClosed, Signal
from api.postgres.reader import reader
from shared.config import Settings
from shared.db import Query, session
from shared.errors import Cancelled, DatabaseUnavailable, InvalidRequest, NotFound, SessionTaken
from shared.live import sessions
from shared.live.sessions import AT_ONCE, SAMPLE_BYTES, End, Hold, Look
from shared.states import JobState
from tasks.app import ring

CHUNK_S, CONTAINER_CHUNK_BYTES = 0.25, 4096
"""Smaller frames are stored together, but none waits for others longer than GATHER_S."""

GATHER_S = 0.1
POLL_S = 1.0
"""How often a session is looked at that nobody has rung for: a ring may be lost."""

TOUCH_S = 10.0
PAUSE_S = 0.5
"""Between two attempts while PostgreSQL is away."""

AHEAD_S, PAUSED_S = 60.0, 20.0

LAST_WORDS_S = 30.0
"""How long a client is kept for the last words of a session that has ended."""


LAST_SOUND_S = 5.0
"""How long sound is stored that had come before a line was found to be cut."""


class Restarting(Exception):
    """This gateway ends; the client goes on at another."""


class Conversation:
    """Of one client, accepted and greeted."""

    def __init__(self, line: Line, held: Hold, config: Settings, bounds: Bounds) -> None:
        self._line, self._held, self._config, self._bounds = line, held, config, bounds
        self._seq, self._bytes = held.seq, held.bytes  # stored
        self._has_ended = held.end_reason is not None
        self._ended_at = time.monotonic()
        self._cut_at = 0.0
        self._next_message: Input | None = None
        self._hearing: asyncio.Task[Input] | None = None

    async def run(self, seq: int, after: int) -> None:
        """Until the session is over. `seq` is the frame that the client has sent last, `after` the last event that it
        was told of.

        Raises LineClosed, Restarting, SessionTaken, Cancelled, NotFound when the task was deleted, and InvalidRequest.
        """
        await _until_first(self._hear(seq), self._tell_to_the_end(after))

    async def _tell_to_the_end(self, after: int) -> None:
        """Raises LineClosed, but where nobody can send it again not before what the client had sent is stored."""
        try:
            await self._tell(after)
        except LineClosed:
            if not self._line.is_resumable:
                await asyncio.sleep(LAST_SOUND_S)  # whoever hears finds the line's end behind it, and ends both
            raise

    # ---- audio in

    async def _hear(self, number: int) -> None:
        """Frames behind the client's frame `number`; those that are stored already are passed over."""
        try:
            while True:
                message = await self._next(self._config.live_idle_s)
                if message is None:
                    await self._end(End.IDLE)
                elif message is Signal.END:
                    await self._end(End.CLIENT)
                elif isinstance(message, bytes) and not self._has_ended:
                    number += 1
                    if number <= self._seq:
                        await self._line.stored(self._seq, self._bytes)
                    else:
                        await (self._gather(message) if message else self._cut())
                        number = self._seq
        finally:
            if self._hearing:
                self._hearing.cancel()

    async def _cut(self) -> None:
        """A chunk of its own; not many, however fast a client asks for them."""
        await asyncio.sleep(self._cut_at + GATHER_S - time.monotonic())
        self._cut_at = time.monotonic()
        await self._store([b""])

    async def _gather(self, first: bytes) -> None:
        """Take further frames for a moment, then store all of them."""
        until = time.monotonic() + GATHER_S
        enough = CONTAINER_CHUNK_BYTES if self._held.is_container else CHUNK_S * SAMPLE_BYTES * self._held.rate
        frames, missing = [first], enough - len(first)
        while missing > 0 and (rest_s := until - time.monotonic()) > 0:
            try:
                message = await self._next(rest_s)
            except (LineClosed, InvalidRequest):
                await self._store(frames)
                raise
            if message is None:
                break
            if message is Signal.END or message == b"":
                self._next_message = message
                break
            if isinstance(message, bytes):
                frames.append(message)
                missing -= len(message)
        await self._store(frames)

    async def _store(self, frames: Sequence[bytes]) -> None:
        data, seq = b"".join(frames), self._seq + len(frames)
        row = await self._patiently(sessions.append(self._held, seq, self._seq, data))
        if row is None and not await self._is_stored(seq):
            return
        self._seq, self._bytes = seq, self._bytes + len(data)
        await self._line.stored(seq, self._bytes)
        await self._keep_time()
        await self._end_if_bound()

    async def _keep_time(self) -> None:
        """Take sound that is more than a minute ahead of the clock no faster than it is spoken: nobody can listen
        faster, and it would fill the disk. Of a container no faster than its bytes can be spoken: who listens to it
        has to keep time."""
        per_s = SAMPLE_BYTES * self._held.rate
        ahead_s = self._bytes / per_s - self._held.age.now_s
        if ahead_s > AHEAD_S:
            await asyncio.sleep(
                min(PAUSED_S, ahead_s - AHEAD_S)
            )  # a frame may be longer: the next one waits for the rest

    async def _is_stored(self, seq: int) -> bool:
        """Whether a chunk that could not be stored is there: the answer was lost. Raises what says why it is not."""
        look = await self._look(0)
        self._check(look)
        if look.end_reason is None and look.seq != seq:
            raise SessionTaken("The session stands elsewhere.")
        self._has_ended = look.end_reason is not None
        return look.seq == seq

    async def _look_at_bounds(self) -> None:
        with suppress(DatabaseUnavailable):
            await self._bounds.look()
        await self._end_if_bound()

    async def _end_if_bound(self) -> None:
        if reason := self._bounds.reason(self._bytes):
            await self._end(reason)

    async def _end(self, reason: End) -> None:
        """Unless another line holds the session."""

        def end() -> None:
            with session() as work:
                rings = sessions.end(work, self._held.job_id, reason, sessions.holds(self._held))
            ring(rings)

        while not self._has_ended:
            try:
                await to_thread.run_sync(end)
            except DatabaseUnavailable:
                if bells.is_closing:
                    raise Restarting from None
                await asyncio.sleep(PAUSE_S)
            else:
                self._has_ended, self._ended_at = True, time.monotonic()

    async def _next(self, timeout_s: float) -> Input | None:
        """What the client says next; None when there was nothing in time. What was not taken is there the next time."""
        if (message := self._next_message) is not None:
            self._next_message = None
            return message
        task = self._hearing or asyncio.ensure_future(self._line.hear())
        self._hearing = task
        await asyncio.wait({task}, timeout=None if self._has_ended else timeout_s)
        if not task.done():
            return None
        self._hearing = None
        return task.result()

    # ---- events out

    async def _tell(self, after: int) -> None:
        touched_at = time.monotonic()
        with bells.bell(self._held.job_id) as bell:
            while True:
                bell.clear()
                if bells.is_closing:
                    raise Restarting
                look = await self._look(after)
                self._check(look)
                for event in look.events:
                    await self._line.tell(event)
                    after = event["id"]
                if len(look.events) == AT_ONCE:
                    continue
                if look.end_reason and self._is_told(look):
                    seconds = look.heard_s if self._held.is_container else self._held.spoken_s(look.bytes)
                    await self._line.over(look.end_reason, seconds, is_whole=look.is_whole)
                    return
                if time.monotonic() - touched_at >= min(TOUCH_S, self._config.live_resume_s / 3):
                    await self._patiently(sessions.touch(self._held))
                    touched_at = time.monotonic()
                    if not look.end_reason:
                        await self._look_at_bounds()
                try:
                    await asyncio.wait_for(bell.wait(), POLL_S)
                except TimeoutError:
                    continue

    def _is_told(self, look: Look) -> bool:
        if not self._has_ended:  # ended by somebody else: the sweep
            self._has_ended, self._ended_at = True, time.monotonic()
        return look.is_heard or time.monotonic() - self._ended_at > LAST_WORDS_S

    def _check(self, look: Look) -> None:
        if look.holder != self._held.holder:
            raise SessionTaken("Another connection has taken the session over.")
        if look.state in (JobState.CANCELLED, JobState.CANCELLING):
            raise Cancelled("The task was cancelled.")

    async def _look(self, after: int) -> Look:
        row = await self._patiently(sessions.look(self._held.job_id, after))
        if row is None:
            raise NotFound("The task was deleted.")
        return sessions.look_of(row)

    async def _patiently(self, query: Query) -> Any:
        """The query's row, when PostgreSQL is there."""
        while True:
            try:
                return await reader.first_row(query)
            except DatabaseUnavailable:
                if bells.is_closing:
                    raise Restarting from None
                await asyncio.sleep(PAUSE_S)


@asynccontextmanager
async def ended_by_socket(held: Hold) -> AsyncIterator[None]:
    """Whatever ends the block ends the session, unless another socket has it. What cannot be ended now, as the database
    is away, ends as a session does whose client stays away."""

    def end() -> None:
        with session() as work:
            rings = sessions.end(work, held.job_id, End.CLIENT, sessions.holds(held))
        ring(rings)

    try:
        yield
    finally:
        with suppress(DatabaseUnavailable):
            await asyncio.shield(to_thread.run_sync(end))


async def _until_first(*work: Coroutine[Any, Any, None]) -> None:
    """Until one of them ends; the others are cancelled. Raises what it raised."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        finished, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in finished:
        task.result()
