"""Live streams over plain HTTP, as Icecast and Shoutcast send them: they have no end, so somebody has to set one."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing

from shared.egress.policy import Guard, Target
from shared.errors import LiveStream, SourceUnavailable
from shared.transcript import Caveat

SERVERS = ("icecast", "shoutcast", "steamcast", "liquidsoap")
SOUND = ("audio/", "application/ogg")

LOOK_S, SLOW_BYTES_PER_S = 20.0, 48_000
"""Sound of unknown length that comes this slowly for so long, 384 kbit/s, is taken for a live stream."""

MAX_HEAD_BYTES = 1 << 14
CHUNK_BYTES = 1 << 14


def refusal() -> LiveStream:
    """The error for a stream that nobody set an end to."""
    return LiveStream("This is a live stream: max_duration says how many seconds of it to record.")


def cut(seconds: float) -> Caveat:
    """The warning that more was to come."""
    return Caveat("live_stream_cut", f"This is a live stream, recorded for {seconds:g} s as max_duration asks.")


def is_labelled(headers: Mapping[str, str]) -> bool:
    """Whether the headers of an answer are those of a radio server, and say nothing of a length."""
    if "content-length" in headers:
        return False
    server = headers.get("server", "").lower()
    return any(name.lower().startswith(("icy-", "ice-")) for name in headers) or server.startswith(SERVERS)


class Bound:
    """When the recording of a body without a length is over.

    `seconds` are those of the caller, None if nothing was asked for. A server first sends what it has kept of the last
    seconds, so where it tells its bit rate the bytes are counted, too.
    """

    def __init__(
        self, headers: Mapping[str, str], seconds: float | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds, self._clock = seconds, clock
        rate = headers.get("icy-br", "").partition(",")[0].strip()
        self._bytes_per_s = int(rate) * 125 if rate.isdecimal() and 8 <= int(rate) <= 20_000 else None
        self._is_sound = headers.get("content-type", "").lower().startswith(SOUND)
        self._began = clock()
        self._bytes = 0

    @property
    def share(self) -> float:
        """How much of it is recorded."""
        return min((self._clock() - self._began) / self._seconds, 1.0) if self._seconds else 0.0

    def is_reached(self, size: int) -> bool:
        """Some bytes have come; whether they were the last. Raises LiveStream for what turns out to have no end."""
        self._bytes += size
        elapsed = self._clock() - self._began
        if self._seconds is None:
            if self._is_sound and elapsed > LOOK_S and self._bytes < SLOW_BYTES_PER_S * elapsed:
                raise refusal()
            return False
        is_full = self._bytes_per_s is not None and self._bytes >= self._seconds * self._bytes_per_s
        return is_full or elapsed >= self._seconds


def shoutcast(guard: Guard, target: Target, timeout_s: float) -> tuple[dict[str, str], Iterator[bytes]]:
    """What a Shoutcast 1 server sends, whose answers begin with `ICY 200 OK` and are no HTTP: headers and body.

    Raises BlockedAddress and SourceUnavailable.
    """
    connection = guard.connect(target.host, target.port, timeout_s)
    try:
        connection.settimeout(timeout_s)
        lines = (
            f"GET {target.path} HTTP/1.0",
            f"Host: {target.netloc}",
            "User-Agent: Parley",
            "Accept: audio/*",
            "",
            "",
        )
        connection.sendall("\r\n".join(lines).encode("ascii"))
        head = b""
        while b"\r\n\r\n" not in head:
            data = connection.recv(CHUNK_BYTES)
            if not data or len(head) > MAX_HEAD_BYTES:
                raise SourceUnavailable("The server of the URL gave no answer that can be read.")
            head += data
    except OSError as error:
        connection.close()
        raise SourceUnavailable("The connection to the server of the URL failed.") from error
    except SourceUnavailable:
        connection.close()
        raise
    top, _, rest = head.partition(b"\r\n\r\n")
    status, *fields = top.decode("latin-1").split("\r\n")
    if status.split()[:2] != ["ICY", "200"]:
        connection.close()
        raise SourceUnavailable(f"The server of the URL answered {status[:100]}.")
    pairs = (field.partition(":") for field in fields)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}, _body(connection, rest)


def _body(connection: socket.socket, rest: bytes) -> Iterator[bytes]:
    with closing(connection):
        if rest:
            yield rest
        try:
            while data := connection.recv(CHUNK_BYTES):
                yield data
        except OSError:  # as good an end as any: what has come is kept
            return
