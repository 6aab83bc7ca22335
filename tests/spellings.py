"""One API key in many spellings, for whoever reads it: the gateway, and Caddy, which counts the requests of a key."""

from __future__ import annotations

import http.client
from collections.abc import Callable
from dataclasses import dataclass

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Spelling:
    """`headers` makes of a key and of another valid one what is sent; each character is one byte (latin-1)."""

    name: str
    headers: Callable[[str, str], Headers]
    is_key: bool
    """Whether the gateway takes it as the first key."""


def _bearer(name: str, text: str, *, is_key: bool = False) -> Spelling:
    return Spelling(name, lambda key, _: (("Authorization", text.format(key=key)),), is_key)


def _plain(name: str, text: str, *, is_key: bool = False) -> Spelling:
    return Spelling(name, lambda key, _: (("X-API-Key", text.format(key=key)),), is_key)


ODD = {
    "no-break space": "\xa0", "tab": "\t", "vertical tab": "\x0b", "form feed": "\x0c", "next line": "\x85",
    "comma": ",", "semicolon": ";", "colon": ":", "slash": "/", "plus": "+", "equals sign": "=", "dot": ".",
    "tilde": "~", "quote": '"', "a letter of two bytes": "\xc3\xa9", "high byte": "\xff",
    "unit separator": "\x1f", "null": "\x00",
    "a soft hyphen": "\xad", "percent code": "%20", "two spaces inside": "  x",
}  # fmt: skip

SPELLINGS = (
    _bearer("as documented", "Bearer {key}", is_key=True),
    _bearer("scheme in small letters", "bearer {key}", is_key=True),
    _bearer("scheme in capitals", "BEARER {key}", is_key=True),
    _bearer("scheme in both", "bEaReR {key}", is_key=True),
    _bearer("spaces around the value, which is HTTP's own matter", "  Bearer {key} \t ", is_key=True),
    _bearer("two spaces", "Bearer  {key}"),
    _bearer("three spaces", "Bearer   {key}"),
    _bearer("tab for the space", "Bearer\t{key}"),
    _bearer("space and tab", "Bearer \t{key}"),
    _bearer("tab and space", "Bearer\t {key}"),
    _bearer("no space", "Bearer{key}"),
    _bearer("a comma after the scheme", "Bearer, {key}"),
    _bearer("a colon after the scheme", "Bearer: {key}"),
    _bearer("the scheme twice", "Bearer Bearer {key}"),
    _bearer("in quotes", 'Bearer "{key}"'),
    _bearer("with a parameter", "Bearer {key}, realm=x"),
    _bearer("with a second word", "Bearer {key} x"),
    _bearer("another scheme", "Token {key}"),
    _bearer("bare", "{key}"),
    _bearer("only the scheme", "Bearer"),
    _bearer("only the scheme and a space", "Bearer "),
    _plain("plain", "{key}", is_key=True),
    _plain("plain, with spaces around the value", " \t{key}  ", is_key=True),
    _plain("plain, with the scheme", "Bearer {key}"),
    _plain("plain, in quotes", '"{key}"'),
    *(_bearer(f"{name} behind the key", f"Bearer {{key}}{odd}") for name, odd in ODD.items() if odd != "\t"),
    *(_bearer(f"{name} before the key", f"Bearer {odd}{{key}}") for name, odd in ODD.items() if odd != "  x"),
    *(_plain(f"plain, {name} behind the key", f"{{key}}{odd}") for name, odd in ODD.items() if odd != "\t"),
    *(_plain(f"plain, {name} before the key", f"{odd}{{key}}") for name, odd in ODD.items()
      if odd not in ("\t", "  x")),
    Spelling("name in small letters", lambda key, _: (("authorization", f"Bearer {key}"),), True),
    Spelling("plain, name in capitals", lambda key, _: (("X-API-KEY", key),), True),
    Spelling("plain, name with underscores", lambda key, _: (("X_API_Key", key),), False),
    Spelling("both, with the same key", lambda key, _: (("Authorization", f"Bearer {key}"), ("X-API-Key", key)), True),
    Spelling("both, where the bearer wins", lambda key, two: (("X-API-Key", two), ("Authorization", f"Bearer {key}")),
             True),
    Spelling("beside another scheme", lambda key, _: (("Authorization", "Basic eDp5"), ("X-API-Key", key)), True),
    Spelling("beside a broken bearer", lambda key, _: (("Authorization", "Bearer  x"), ("X-API-Key", key)), False),
    Spelling("beside an empty one", lambda key, _: (("Authorization", ""), ("X-API-Key", key)), True),
    Spelling("twice", lambda key, _: (("Authorization", f"Bearer {key}"),) * 2, False),
    Spelling("twice, the other one first",
             lambda key, two: (("Authorization", f"Bearer {two}"), ("Authorization", f"Bearer {key}")), False),
    Spelling("twice, nothing first", lambda key, _: (("Authorization", ""), ("Authorization", f"Bearer {key}")), False),
    Spelling("twice, another scheme first",
             lambda key, _: (("Authorization", "Basic eDp5"), ("Authorization", f"Bearer {key}")), False),
    Spelling("plain, twice", lambda key, _: (("X-API-Key", key),) * 2, False),
    Spelling("plain, twice, the other one first", lambda key, two: (("X-API-Key", two), ("X-API-Key", key)), False),
)  # fmt: skip


def send(host: str, port: int, method: str, path: str, headers: Headers) -> tuple[int, list[str]]:
    """The status of a request with exactly these headers, whatever is in them, and the answer's headers X-Zone and
    X-Limit-Zone; 0 when there is no answer."""
    connection = http.client.HTTPConnection(host, port, timeout=60)
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Content-Length: 0", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers]
    try:
        connection.connect()
        connection.sock.sendall("\r\n".join((*lines, "", "")).encode("latin-1"))
        answer = connection.response_class(connection.sock, method=method)
        answer.begin()
        return answer.status, [
            value for name in ("X-Zone", "X-Limit-Zone") for value in answer.headers.get_all(name, [])
        ]
    except (ConnectionError, http.client.BadStatusLine):
        return 0, []
    finally:
        connection.close()
