"""HTTP to one Parley: its errors as exceptions, and patience with a server that is away or busy."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

import httpx

from cli import VERSION
from cli.failures import NotAccepted, Refused, Unreachable

TIMEOUT = httpx.Timeout(60, connect=10)
"""A gateway answers in milliseconds; behind a full upload it may still be storing the last part."""

PATIENCE_S = 60.0
"""How long a server that is away or busy is asked again: a restart with migrations fits into it."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 10.0

BUSY = (429, 502, 503, 504)
"""Answers that say `not now`."""


PAGE = 100
"""Entries of a list in one request; the most that the API gives."""


class Connection:
    """One Parley and one API key. Methods raise Refused, NotAccepted and Unreachable.

    A server that was there once is asked again for PATIENCE_S when it is away or busy; `pause(seconds)` waits between.
    """

    def __init__(self, url: str, key: str | None, pause: Callable[[float], object] = time.sleep) -> None:
        self.url = url.rstrip("/")
        self.pause = pause
        self.was_there = False
        if key and not (key.isascii() and key.isprintable()):
            raise NotAccepted(401, "unauthorized", "The API key has characters that no key has.", None)
        headers = {"User-Agent": f"parley-cli/{VERSION}"} | ({"Authorization": f"Bearer {key}"} if key else {})
        # a proxy of the environment cannot know this machine's loopback
        self.http = httpx.Client(headers=headers, timeout=TIMEOUT, trust_env=not is_loopback(self.url))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()

    def json(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """The answer's body. Parameters that are None are left out."""
        query = {name: value for name, value in (params or {}).items() if value is not None}
        return body_of(
            self.send(
                method, path, headers=headers, request=lambda: {"params": query} | ({"json": body} if body else {})
            )
        )

    def items(self, path: str, limit: int, **filters: object) -> list[dict[str, Any]]:
        """The first `limit` entries of a list that comes a page at a time."""
        items: list[dict[str, Any]] = []
        cursor: str | None = None
        while len(items) < limit:
            page = self.json("GET", path, {**filters, "limit": min(PAGE, limit - len(items)), "cursor": cursor})
            items += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        return items

    def send(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        request: Callable[[], dict[str, Any]] = dict,
        patience_s: float = PATIENCE_S,
        takes: tuple[int, ...] = (),
    ) -> httpx.Response:
        """A successful answer, or one of `takes`. `request` makes the arguments of httpx anew for each attempt."""
        deadline, pause_s = time.monotonic() + patience_s, FIRST_PAUSE_S
        while True:
            try:
                response = self.http.request(method, f"{self.url}{path}", headers=headers, **request())
            except httpx.TransportError as error:
                if not self.was_there or time.monotonic() + pause_s > deadline:
                    raise self.unreachable(error) from error
            except (httpx.InvalidURL, UnicodeError) as error:
                raise Unreachable(f"{self.url} is not the address of a server: {error}.") from error
            else:
                self.was_there = True
                if response.is_success or response.status_code in takes:
                    return response
                after_s = retry_after_s(response)
                if response.status_code not in BUSY or time.monotonic() + max(after_s, pause_s) > deadline:
                    raise refusal(response)
                pause_s = max(after_s, pause_s)
            self.pause(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def unreachable(self, error: httpx.TransportError) -> Unreachable:
        """What the user is told of a connection that failed."""
        reason = str(error) or type(error).__name__
        return Unreachable(f"{self.url} does not answer ({reason}). Is PARLEY_URL right, and the server running?")


def is_loopback(url: str) -> bool:
    """Whether the address is on this machine."""
    try:
        host = httpx.URL(url).host
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except (httpx.InvalidURL, ValueError):
        return False


def retry_after_s(response: httpx.Response) -> float:
    """Seconds that the server asks to wait; 0 where it does not say."""
    header = response.headers.get("Retry-After", "")
    return float(header) if header.isdecimal() else 0.0


def body_of(response: httpx.Response) -> dict[str, Any]:
    """The JSON object of an answer. Raises Unreachable where it is none of Parley's."""
    try:
        body = response.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise Unreachable(f"{response.url} answers, but not as Parley does. Is PARLEY_URL right?")
    return body


def refusal(response: httpx.Response) -> Refused:
    """The server's own words where it has any; a proxy in front of it has none."""
    try:
        body = response.json()
    except ValueError:
        body = None
    fields = body if isinstance(body, dict) else {}
    code = str(fields.get("code") or f"http_{response.status_code}")
    message = str(fields.get("message") or f"The server answered {response.status_code} {response.reason_phrase}.")
    if response.is_redirect:
        message = f"The server redirects to {response.headers.get('Location')}. Use that address as PARLEY_URL."
    # 403 alone is not about the key: adapter_disabled has it, too
    is_about_key = response.status_code == 401 or code == "forbidden"
    kind = NotAccepted if is_about_key else Refused
    return kind(response.status_code, code, message, fields.get("request_id") or response.headers.get("X-Request-Id"))
