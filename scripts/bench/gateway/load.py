"""A load generator: some connections that each send the next request as soon as the last one is answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from urllib.parse import urlsplit

TIMEOUT_S = 30.0


class WrongAnswer(Exception):
    """An answer had another status than it should."""


def rate(url: str, request: Callable[[], bytes], *, status: int, connections: int, seconds: float) -> float:
    """Answers per second. `request` gives the bytes of each request; all go to the host and port of `url`.

    Raises WrongAnswer at the first answer that has not this status.
    """
    return asyncio.run(_rate(url, request, status, connections, seconds))


async def _rate(url: str, request: Callable[[], bytes], status: int, connections: int, seconds: float) -> float:
    address = urlsplit(url)
    begun = time.perf_counter()
    clients = (
        _client(str(address.hostname), address.port or 80, request, status, begun + seconds) for _ in range(connections)
    )
    count = sum(await asyncio.gather(*clients))
    return count / (time.perf_counter() - begun)


async def _client(host: str, port: int, request: Callable[[], bytes], status: int, end: float) -> int:
    reader, writer = await asyncio.open_connection(host, port)
    count = 0
    try:
        while time.perf_counter() < end:
            writer.write(request())
            async with asyncio.timeout(TIMEOUT_S):
                head = await reader.readuntil(b"\r\n\r\n")
                fields = head.lower().split(b"\r\n")
                length = next(int(field.split(b":")[1]) for field in fields if field.startswith(b"content-length:"))
                body = await reader.readexactly(length)
            if int(head.split(b" ", 2)[1]) != status:
                raise WrongAnswer(f"{head!r} {body[:500]!r}")
            count += 1
    finally:
        writer.close()
    return count
