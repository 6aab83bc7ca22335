"""A container while it arrives, decoded by a child, as its parent sees it."""

from __future__ import annotations

import os
import selectors
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from shared.errors import DecodeFailed, NoAudio, ParleyError, UnsupportedMedia
from shared.transcript import from_json
from tasks.sandbox.confined import Child, Refusal
from tasks.sandbox.forked import ForkServer
from tasks.sandbox.stream import wire

DECODERS = ForkServer(Path(__file__).with_name("__main__.py"))

MEMORY_BYTES = 320 * 1024**2
"""Address space, of which 130 MB are Python and FFmpeg themselves."""

PATIENCE_S = 30.0
"""How long it may neither say a whole message nor take a byte while it has some; its start, on a busy machine,
included."""

MUTE_BYTES = 1 << 20
"""A container with so many bytes and not a sample has no sound that can be heard live."""

REFUSALS: dict[str, type[ParleyError]] = {kind.code: kind for kind in (NoAudio, UnsupportedMedia, DecodeFailed)}


class StreamDecoder:
    """Bytes of a container in, 16-bit PCM of one channel at 16 kHz out, in pieces of at most 64 kB. What is not taken
    from an iterator holds the child up."""

    def __init__(self, child: Child, pipe: int, patience_s: float) -> None:
        self._child, self._pipe, self._patience_s = child, pipe, patience_s
        self._pending = b""
        self._byte_count, self._read, self._message_count = 0, -1, 0
        self._is_mute, self._is_over = True, False

    def feed(self, data: bytes) -> Iterator[memoryview]:
        """What all that has been fed decodes to, as far as it does without what follows.

        Raises NoAudio and UnsupportedMedia for what is no such container, and DecodeFailed.
        """
        yield from self._exchange(memoryview(data), self._byte_count + len(data))
        if self._is_mute and self._byte_count > MUTE_BYTES:
            raise NoAudio("Nothing in the container can be decoded as sound.")

    def end(self) -> Iterator[memoryview]:
        """What is left to say when no more bytes come. Raises as `feed`."""
        self.close()
        yield from self._exchange(memoryview(b""), None)

    def close(self) -> None:
        """No more bytes come. May be called again."""
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1

    def _exchange(self, data: memoryview, until: int | None) -> Iterator[memoryview]:
        """Write the data, and read until the child has read `until` bytes in all, or None, until its end."""
        deadline = time.monotonic() + self._patience_s
        with selectors.DefaultSelector() as selector:
            selector.register(self._child.output, selectors.EVENT_READ)
            if data:
                selector.register(self._pipe, selectors.EVENT_WRITE)
            while not self._is_over and (until is None or self._read < until):
                ready = [key.fd for key, _ in selector.select(max(0.0, deadline - time.monotonic()))]
                if not ready:
                    raise DecodeFailed(f"The decoder of the session said nothing for {self._patience_s:g} seconds.")
                before = self._byte_count, self._message_count
                if data and self._pipe in ready:
                    data = self._write(data)
                    if not data:
                        selector.unregister(self._pipe)
                if self._child.output in ready:
                    yield from self._messages(os.read(self._child.output, wire.MAX_BODY_BYTES))
                if before != (self._byte_count, self._message_count):
                    deadline = time.monotonic() + self._patience_s
        if self._is_over and until is not None:
            raise _nonsense()

    def _write(self, data: memoryview) -> memoryview:
        """What the pipe does not take yet. When the child is gone, its output tells why."""
        try:
            count = os.write(self._pipe, data)
        except BrokenPipeError:
            return memoryview(b"")
        self._byte_count += count
        return data[count:]

    def _messages(self, data: bytes) -> Iterator[memoryview]:
        """Samples among what was read; it is no more than one message's and the next one's beginning is kept."""
        if not data:
            raise self._silent_end()
        self._pending += data
        while len(self._pending) >= wire.HEADER.size:
            kind, length = wire.HEADER.unpack_from(self._pending)
            if length > wire.MAX_BODY_BYTES:
                raise _nonsense()
            end = wire.HEADER.size + length
            if len(self._pending) < end:
                return
            body, self._pending = self._pending[wire.HEADER.size : end], self._pending[end:]
            self._message_count += 1
            if kind == wire.SAMPLES and body and len(body) % 2 == 0:
                self._is_mute = False
                yield memoryview(body)
            else:
                self._hear(kind, body)

    def _hear(self, kind: bytes, body: bytes) -> None:
        """A message that is no samples. Raises what it says, and DecodeFailed for nonsense."""
        match kind:
            case wire.WANTS if len(body) == wire.COUNT.size:
                (count,) = wire.COUNT.unpack(body)
                if not self._read < count <= self._byte_count:
                    raise _nonsense()
                self._read = count
            case wire.REFUSAL:
                try:
                    refusal = from_json(Refusal, body)
                except ValidationError as problem:
                    raise _nonsense() from problem
                raise REFUSALS.get(refusal.code, DecodeFailed)(refusal.message)
            case wire.END if not body:
                self._is_over = True
            case _:
                raise _nonsense()

    def _silent_end(self) -> DecodeFailed:
        code, status, noise = self._child.end()
        error = DecodeFailed("The decoder stopped before it was done with the session.")
        error.__cause__ = RuntimeError(f"decoder ended with {code}/{status}: {noise}")
        return error


@contextmanager
def stream_decoder(
    folder: Path, cpu_s: int, *, server: ForkServer = DECODERS, patience_s: float = PATIENCE_S
) -> Iterator[StreamDecoder]:
    """A decoder for one session, for the time of the block, with so many seconds of processor time. Linux ties its
    life to the calling thread."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    decoder: StreamDecoder | None = None
    try:
        with server.child({"cpu_s": cpu_s, "memory_bytes": MEMORY_BYTES}, folder, fds=(reader,)) as child:
            os.close(reader)
            reader = -1
            decoder = StreamDecoder(child, writer, patience_s)
            yield decoder
    finally:
        if reader >= 0:
            os.close(reader)
        if decoder:
            decoder.close()
        else:
            os.close(writer)


def _nonsense() -> DecodeFailed:
    return DecodeFailed("The decoder of the session gave an answer that makes no sense.")
