"""`python3 scripts/check_ratelimit.py URL`: does a running deployment refuse a flood with 429 and Retry-After?

Sends requests without a key until one is refused, at most --requests of them, to your own deployment only: until the
minute is over your address is refused there. Needs nothing but Python. Exit status 0 when the limit works.
"""

from __future__ import annotations

import argparse
import http.client
import ssl
import sys
from collections.abc import Sequence
from urllib.parse import urlsplit

TIMEOUT_S = 10


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0 with one line on what was seen; 1 when nothing was refused, or not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="address of the deployment, such as https://parley.example.org")
    parser.add_argument("--path", default="/models", help="what is asked for (default: %(default)s)")
    parser.add_argument(
        "--requests", type=int, default=4000, help="at most; more than REQUESTS_PER_ADDRESS (default: %(default)s)"
    )
    parser.add_argument("--key", help="an API key: its own limits then count as well")
    given = parser.parse_args(arguments)
    try:
        is_limited, said = flood(given.url, given.path, given.requests, given.key)
    except (OSError, http.client.HTTPException) as error:
        is_limited, said = False, f"{given.url}: {type(error).__name__}: {error}"
    print(said)
    return 0 if is_limited else 1


def flood(url: str, path: str, requests: int, key: str | None) -> tuple[bool, str]:
    """Whether one of the requests was refused with 429 and a Retry-After of 1 s to 10 min, and a line about it."""
    connection = connect(url)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    for number in range(1, requests + 1):
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 429:
            continue
        after = answer.getheader("Retry-After")
        if after is None or not after.isdecimal() or not 1 <= int(after) <= 600:
            return False, f"request {number}: 429, but Retry-After is {after!r}"
        return True, f"request {number}: 429, Retry-After {after} s"
    return False, f"{requests} requests, no 429"


def connect(url: str) -> http.client.HTTPConnection:
    """One connection for all requests, so that a short window is enough."""
    parts = urlsplit(url)
    if parts.scheme == "https":
        return http.client.HTTPSConnection(parts.netloc, timeout=TIMEOUT_S, context=ssl.create_default_context())
    return http.client.HTTPConnection(parts.netloc, timeout=TIMEOUT_S)


if __name__ == "__main__":
    sys.exit(main())
