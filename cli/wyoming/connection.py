"""One client: what it asks for and says, and what it is answered."""

from __future__ import annotations

import asyncio
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from cli.failures import Failure
from cli.wyoming import frames
from cli.wyoming.catalog import PROGRAM, Catalog
from cli.wyoming.frames import Event, Lost
from cli.wyoming.gateway import Gateway, Spoken
from cli.wyoming.journal import Journal
from cli.wyoming.recording import Budget, Format, Recording
from cli.wyoming.request import Request

QUIET_S, LINGER_S = 2.0, 30.0
"""An error waits in the line while its reader still writes: closed at once, it would be lost on the way. What comes
is read and thrown away until nothing has come for so long, but no longer than that."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Of a connection: length of a recording, silence between two events, wait for a transcript; all in seconds."""

    recording_s: float
    idle_s: float
    answer_s: float


@dataclass(frozen=True, slots=True)
class House:
    """What all connections share. `language` is that of clients who name none."""

    gateway: Gateway
    catalog: Catalog
    budget: Budget
    limits: Limits
    journal: Journal
    language: str | None


class Connection:
    """Serves one client until it leaves or an error ends it: Home Assistant ends its wait only when the line closes."""

    def __init__(self, house: House, reader: StreamReader, writer: StreamWriter) -> None:
        self._house, self._reader, self._writer = house, reader, writer
        self._client = peer(writer)
        self._request = Request()
        self._recording: Recording | None = None
        self._answer: asyncio.Task[Spoken] | None = None
        self._answer_since = 0.0

    async def serve(self) -> None:
        """Returns when the connection is closed. When it is cancelled, the client is told that the bridge ends."""
        try:
            await self._serve()
        except Failure as failure:
            self._note(failure)
            if self._answer is None:
                self._forget()  # first: whoever is told that the memory is full may come again at once
            await farewell(self._writer, self._reader, failure)
        except (Lost, ConnectionError):
            self._note(Failure("connection_lost", "The client left."))
        except asyncio.CancelledError:
            stop = Failure("shutting_down", "The bridge is stopped.")
            if self._recording is not None:
                self._note(stop)
            self._writer.write(_error(stop))
            raise
        finally:
            if self._answer is not None:
                await _settle(self._answer)
            self._forget()
            self._writer.close()

    async def _serve(self) -> None:
        while (event := await self._next()) is not None:
            await self._handle(event)
        if self._recording is not None:
            raise Lost

    async def _next(self) -> Event | None:
        """The next event. A transcript that is ready meanwhile is sent."""
        if self._answer is None:
            return await self._read()
        reading = asyncio.create_task(frames.read(self._reader))
        try:
            await asyncio.wait((reading, self._answer), return_when=asyncio.FIRST_COMPLETED)
            if not self._answer.done():
                return reading.result()
            await self._deliver()
            async with asyncio.timeout(self._house.limits.idle_s):
                return await reading
        except TimeoutError:
            return None
        finally:
            await _settle(reading)

    async def _read(self) -> Event | None:
        try:
            async with asyncio.timeout(self._house.limits.idle_s):
                return await frames.read(self._reader)
        except TimeoutError:
            if self._recording is None:
                return None
            raise self._idle() from None

    async def _handle(self, event: Event) -> None:
        match event.type:
            case "audio-chunk":
                await self._chunk(event)
                return
            case "audio-start":
                await self._begin(Format.of(event.data))
            case "audio-stop":
                await self._end()
            case "transcribe":
                await self._deliver()
                self._request = Request.of(event.data)
            case "describe":
                await self._send("info", await self._house.catalog.info())
            case "ping":
                await self._send("pong", {"text": event.data.get("text")})
            case "select-program" if event.data.get("name") != PROGRAM:
                raise Failure("unknown_program", f"The only program here is {PROGRAM}.")
            case _:
                pass  # the protocol grows; what is not known is passed over
        await self._pass_over(event)

    async def _begin(self, format: Format) -> None:
        """A second start of the same format continues the recording, so that nothing that was said is lost."""
        await self._deliver()
        if self._recording is None or (self._recording.format != format and not self._recording.seconds):
            self._recording = Recording(format, self._house.limits.recording_s, self._house.budget)
        elif self._recording.format != format:
            raise Failure("format_changed", f"The audio was {self._recording.format} and is now {format}.")

    async def _chunk(self, event: Event) -> None:
        """Audio without a start begins with its first chunk, as in Home Assistant's own recogniser."""
        await self._begin(Format.of(event.data))
        assert self._recording is not None
        self._recording.expect(event.payload_bytes)
        try:
            pieces = frames.payload(self._reader, event)
            while True:
                async with asyncio.timeout(self._house.limits.idle_s):
                    piece = await anext(pieces, b"")
                if not piece:
                    return
                self._recording.add(piece)
        except TimeoutError:
            raise self._idle() from None

    async def _end(self) -> None:
        await self._deliver()
        if self._recording is None or not self._recording.seconds:
            self._forget()
            await self._send("transcript", {"text": ""})
            return
        self._answer_since = time.monotonic()
        self._answer = asyncio.create_task(self._transcribed(self._recording))

    async def _transcribed(self, recording: Recording) -> Spoken:
        answer_s = self._house.limits.answer_s
        try:
            async with asyncio.timeout(answer_s):
                return await self._house.gateway.transcribe(recording.wav(), await self._fields())
        except TimeoutError:
            raise Failure("timeout", f"There was no transcript within {answer_s:g} s.") from None

    async def _fields(self) -> dict[str, str]:
        """Of the request to the API."""
        request, catalog = self._request, self._house.catalog
        language = request.language or self._house.language
        model = await catalog.choose(request.model, language)
        hotwords = request.hotwords
        if hotwords and not await catalog.takes_hotwords(model):
            hotwords = ""
        fields = {"priority": "interactive", "language": language, "model": model, "hotwords": hotwords}
        return {name: value for name, value in fields.items() if value}

    async def _deliver(self) -> None:
        """Send the transcript that is on its way, if any. Raises the Failure that came instead of it."""
        if self._answer is None:
            return
        answer, recording = self._answer, self._recording
        spoken = await answer
        assert recording is not None
        self._answer = None
        self._house.journal.transcript(self._client, spoken, recording.seconds, time.monotonic() - self._answer_since)
        self._forget()
        await self._send("transcript", {"text": spoken.text, "language": spoken.language})

    async def _pass_over(self, event: Event) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._house.limits.idle_s):
                async for _ in frames.payload(self._reader, event):
                    pass
                return
        raise self._idle()

    async def _send(self, type: str, data: Mapping[str, Any]) -> None:
        self._writer.write(frames.encode(type, data))
        try:
            async with asyncio.timeout(self._house.limits.idle_s):
                await self._writer.drain()
        except TimeoutError:
            raise Lost from None  # a client that does not read

    def _idle(self) -> Failure:
        return Failure("idle", f"Nothing came for {self._house.limits.idle_s:g} s.")

    def _note(self, failure: Failure) -> None:
        self._house.journal.failure(self._client, failure, self._recording.seconds if self._recording else 0)

    def _forget(self) -> None:
        """The recording and what was asked about it."""
        if self._recording is not None:
            self._recording.close()
        self._recording = None
        self._request = Request()


async def farewell(writer: StreamWriter, reader: StreamReader, failure: Failure, linger_s: float = LINGER_S) -> None:
    """Tell a client why its connection ends, and let it read that; what it still sends is thrown away."""
    with suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(linger_s):
            writer.write(_error(failure))
            writer.write_eof()
            await writer.drain()
            while await _piece(reader):
                pass


async def _piece(reader: StreamReader) -> bytes:
    """What comes next. Raises TimeoutError after QUIET_S. In a flood asyncio.wait_for would swallow a cancellation."""
    async with asyncio.timeout(QUIET_S):
        return await reader.read(frames.PIECE_BYTES)


async def _settle(task: asyncio.Task[Any]) -> None:
    """Cancel a task whose outcome nobody wants any more."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def peer(writer: StreamWriter) -> str:
    """The client's address."""
    address = writer.get_extra_info("peername") or ("?", "?")
    host = f"[{address[0]}]" if ":" in str(address[0]) else address[0]
    return f"{host}:{address[1]}"


def _error(failure: Failure) -> bytes:
    return frames.encode("error", {"text": failure.message, "code": failure.code})
