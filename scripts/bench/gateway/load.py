"""A load generator: some connections that each send the next request as soon as the last one is answered."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

TIMEOUT_S = 30.0


class WrongAnswer(Exception):
    """An answer had another status than it should."""


@dataclass(frozen=True)
class Load:
    """What came of it: answers, seconds on the wall, and the 99th percentile of the times to an answer."""

    answers: int
    seconds: float
    p99_ms: float

    @property
    def rate(self) -> float:
        return self.answers / self.seconds


def load(url: str, request: Callable[[], bytes], *, status: int, connections: int, seconds: float) -> Load:
    """`request` gives the bytes of each request; all go to the host and port of `url`.

    Raises WrongAnswer at the first answer that has not this status.
    """
    return asyncio.run(_load(url, request, status, connections, seconds))


async def _load(url: str, request: Callable[[], bytes], status: int, connections: int, seconds: float) -> Load:
    address = urlsplit(url)
    start = time.perf_counter()
    clients = (
        _client(str(address.hostname), address.port or 80, request, status, start + seconds) for _ in range(connections)
    )
    waits = [wait for waited in await asyncio.gather(*clients) for wait in waited]
    took = time.perf_counter() - start
    return Load(len(waits), took, 1000 * statistics.quantiles(waits, n=100, method="inclusive")[98])


async def _client(host: str, port: int, request: Callable[[], bytes], status: int, end: float) -> list[float]:
    """The time to each answer."""
    reader, writer = await asyncio.open_connection(host, port)
    waits: list[float] = []
    try:
        while (sent_at := time.perf_counter()) < end:
            writer.write(request())
            async with asyncio.timeout(TIMEOUT_S):
                head = await reader.readuntil(b"\r\n\r\n")
                fields = head.lower().split(b"\r\n")
                length = next(int(field.split(b":")[1]) for field in fields if field.startswith(b"content-length:"))
                body = await reader.readexactly(length)
            if int(head.split(b" ", 2)[1]) != status:
                raise WrongAnswer(f"{head!r} {body[:500]!r}")
            waits.append(time.perf_counter() - sent_at)
    finally:
        writer.close()
    return waits
