"""`python3 scripts/check_ratelimit.py URL`: does Caddy of a running deployment refuse a flood with 429 and Retry-After?

Proves each limit of deploy/caddy/ratelimit.caddy by itself: submit, upload and poll, which are per API key, and
address, which is per client address. Sends requests over many connections at once until one is refused by that limit.
None of them does anything, as the key is an invented one. With --key it is a real one, whose limits are then used up
for a minute, and the requests send no recording; a 429 of the gateway's own is told apart and does not count. Your
address is refused for some ten seconds afterwards. To your own deployment only. Needs nothing but Python. Exit status 0
when all four limits work.
"""

from __future__ import annotations

import argparse
import http.client
import secrets
import ssl
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

TIMEOUT_S = 10
NOBODY = "00000000-0000-7000-8000-000000000000"
ZONE_HEADER = "X-Limit-Zone"
"""In each 429 of Caddy's, and in none of the gateway's (deploy/caddy/errors.caddy)."""


@dataclass(frozen=True)
class Zone:
    """A limit by the name that Caddy gives it, and a request that counts for it."""

    name: str
    method: str
    path: str
    is_per_key: bool = True


ZONES = (
    Zone("submit", "POST", "/transcribe"),
    Zone("upload", "PUT", f"/uploads/{NOBODY}/parts/1"),
    Zone("poll", "GET", f"/status/{NOBODY}"),
    # the last, as nothing is let through afterwards
    Zone("address", "GET", "/models", is_per_key=False),
)


@dataclass
class Flood:
    """One zone's requests, sent by several threads. `refused` is the first 429 of Caddy's: zone and Retry-After."""

    url: str
    zone: Zone
    requests: int
    headers: dict[str, str]
    attempts: int = 0
    of_gateway: int = 0
    refused: tuple[str, str | None] | None = None
    failed: Exception | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, connections: int) -> None:
        """Send until a refusal, a failure or the last request. Raises OSError or HTTPException."""
        threads = [threading.Thread(target=self._send, daemon=True) for _ in range(connections)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self.failed and not self.refused:
            raise self.failed

    def _send(self) -> None:
        connection = connect(self.url)
        try:
            while self._goes_on():
                connection.request(self.zone.method, self.zone.path, headers=self.headers)
                answer = connection.getresponse()
                answer.read()
                if answer.status == 429:
                    self._note(answer.getheader(ZONE_HEADER), answer.getheader("Retry-After"))
        except (OSError, http.client.HTTPException) as error:
            self.failed = error
        finally:
            connection.close()

    def _goes_on(self) -> bool:
        with self.lock:
            if self.refused or self.failed or self.attempts >= self.requests:
                return False
            self.attempts += 1
            return True

    def _note(self, zone: str | None, after: str | None) -> None:
        with self.lock:
            if zone is None:
                self.of_gateway += 1
            else:
                self.refused = self.refused or (zone, after)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0 when each zone refused as it should, 1 otherwise; one line on each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="address of the deployment, such as https://parley.example.org")
    parser.add_argument("--key", help="a real API key in the place of an invented one")
    parser.add_argument(
        "--requests", type=int, default=4000, help="at most, for one limit; more than it lets through (%(default)s)"
    )
    parser.add_argument(
        "--connections", type=int, default=32, help="at once; more for a deployment far away (%(default)s)"
    )
    options = parser.parse_args(arguments)
    key = options.key or f"pk_invented_{secrets.token_hex(8)}"
    proved = []
    for zone in ZONES:
        headers = {"Authorization": f"Bearer {key}"} if zone.is_per_key else {}
        flood = Flood(options.url, zone, options.requests, headers)
        start = time.monotonic()
        try:
            flood.run(options.connections)
        except (OSError, http.client.HTTPException) as error:
            print(f"{options.url}: {type(error).__name__}: {error}")
            return 1
        is_proved, verdict = judge(flood, time.monotonic() - start)
        proved.append(is_proved)
        print(f"{zone.name}: {verdict}")
    return 0 if all(proved) else 1


def judge(flood: Flood, elapsed_s: float) -> tuple[bool, str]:
    """Whether the zone itself refused, with a Retry-After of 1 s to 10 min, and words about it."""
    of_gateway = f"; {flood.of_gateway} times 429 by the gateway, for this key" if flood.of_gateway else ""
    if flood.refused is None:
        return False, f"{flood.attempts} requests in {elapsed_s:.1f} s, no 429 by Caddy{of_gateway}"
    zone, after = flood.refused
    if zone != flood.zone.name:
        return False, f"refused by the limit {zone!r} before its own, after {flood.attempts} requests{of_gateway}"
    if after is None or not after.isdecimal() or not 1 <= int(after) <= 600:
        return False, f"429, but Retry-After is {after!r}{of_gateway}"
    return True, f"refused after {flood.attempts} requests, Retry-After {after} s{of_gateway}"


def connect(url: str) -> http.client.HTTPConnection:
    """A connection that is kept for all requests of a thread."""
    parts = urlsplit(url)
    if parts.scheme == "https":
        return http.client.HTTPSConnection(parts.netloc, timeout=TIMEOUT_S, context=ssl.create_default_context())
    return http.client.HTTPConnection(parts.netloc, timeout=TIMEOUT_S)


if __name__ == "__main__":
    sys.exit(main())
