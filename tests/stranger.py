"""A stranger on the same machine or network, who has no key and knocks at a door in every tongue that he knows.

`python stranger.py DOOR...` prints, as JSON, what was said to him; a door is `tcp:HOST:PORT` or `unix:PATH`. It is
standard library alone, so that any user, and any Python, can run it.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import ssl
import struct
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

WAIT_S = 1.5
"""Longer than any of our servers takes to say its first word on loopback."""

CANARY = "stranger-was-here"
PAGES = (
    "/",
    "/metrics",
    "/status",
    "/healthcheck",
    "/dir/assign",
    "/dir/status",
    "/dir/lookup?volumeId=1",
    "/vol/status",
    "/cluster/status",
    "/stats/memory",
    "/stats/counter",
    "/buckets/?pretty=y",
    "/buckets/parley/",
    "/etc/",
    "/topics/",
    "/ui/index.html",
    "/debug/pprof/",
    "/1,01",
    "/parley?list-type=2",
    "/api/tasks",
    "/api/workers",
    "/tasks",
    "/v1/plugin/workers",
    "/stats/disk",
)
CHANGES = (
    ("PUT", f"/buckets/parley/{CANARY}"),
    ("POST", f"/buckets/parley/{CANARY}"),
    ("DELETE", "/buckets/parley/"),
    ("PUT", f"/parley/{CANARY}"),
    ("POST", "/submit"),
    ("POST", "/vol/grow?count=1"),
    ("DELETE", "/1,01"),
    ("GET", f"/col/delete?collection={CANARY}"),
    ("POST", "/api/worker/shutdown/io"),
    ("OPTIONS", "/"),
)
HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0"
"""The preface and empty SETTINGS: every gRPC server that speaks in clear answers with settings of its own."""

POSTGRES = struct.pack("!ii", 0, 196608) + b"user\0parley\0database\0parley\0\0"
POSTGRES = struct.pack("!i", len(POSTGRES)) + POSTGRES[4:]


def words() -> Mapping[str, bytes]:
    """What is said at each door, by name."""
    texts = {"silence": b"", "http2": HTTP2, "postgres": POSTGRES, "valkey": b"INFO\r\nKEYS *\r\nSET canary 1\r\n"}
    texts |= {f"GET {page}": f"GET {page} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode() for page in PAGES}
    body = f"Content-Length: {len(CANARY)}\r\n\r\n{CANARY}"
    texts |= {f"{how} {page}": f"{how} {page} HTTP/1.0\r\nHost: localhost\r\n{body}".encode() for how, page in CHANGES}
    return texts


def knock(door: str, text: bytes, *, tls: bool = False) -> bytes | None:
    """The first 64 KiB of the answer; None where nobody can be reached at all."""
    kind, _, place = door.partition(":")
    family = socket.AF_UNIX if kind == "unix" else socket.AF_INET6 if place.count(":") > 1 else socket.AF_INET
    host, _, port = place.rpartition(":")
    address = ("\0" + place[1:] if place.startswith("@") else place) if kind == "unix" else (host, int(port))
    with contextlib.ExitStack() as stack:
        plain = stack.enter_context(socket.socket(family))
        plain.settimeout(WAIT_S)
        try:
            plain.connect(address)
        except OSError:
            return None
        answer = b""
        with contextlib.suppress(OSError):
            talk = stack.enter_context(_tls(plain)) if tls else plain
            if text:
                talk.sendall(text)
            while len(answer) < 1 << 16 and (piece := talk.recv(1 << 16)):
                answer += piece
        return answer


def _tls(plain: socket.socket) -> ssl.SSLSocket:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context.wrap_socket(plain)


def tour(doors: Iterable[str]) -> dict[str, dict[str, str | None]]:
    """Every word at every door, in clear and over TLS. A door that cannot be reached has None for its first word."""
    names = list(doors)
    with ThreadPoolExecutor(max(1, len(names))) as threads:
        return dict(zip(names, threads.map(_visit, names), strict=True))


def _visit(door: str) -> dict[str, str | None]:
    answers: dict[str, str | None] = {}
    calls = [(name, text, False) for name, text in words().items()]
    calls += [(f"tls {name}", words()[name], True) for name in ("http2", "GET /")]
    for name, text, is_tls in calls:
        answer = knock(door, text, tls=is_tls)
        answers[name] = None if answer is None else answer.decode("latin-1")
        if answer is None:
            break
    return answers


def as_nobody(doors: Iterable[str]) -> dict[str, dict[str, str | None]]:
    """`tour`, made by the user nobody where this process is root; else by the user that it is."""
    out, into = os.pipe()
    if (child := os.fork()) == 0:
        try:
            os.close(out)
            if os.geteuid() == 0:
                os.setgroups([])
                os.setresgid(65534, 65534, 65534)
                os.setresuid(65534, 65534, 65534)
            with os.fdopen(into, "w") as report:
                json.dump(tour(doors), report)
        finally:
            os._exit(0)
    os.close(into)
    with os.fdopen(out) as report:
        text = report.read()
    os.waitpid(child, 0)
    answers: dict[str, dict[str, str | None]] = json.loads(text)
    return answers


def refused(answer: str | None) -> bool:
    """Whether an answer gives nothing away: none at all, an error of HTTP, a demand for a password, an alert of TLS."""
    if not answer:
        return True
    if answer.startswith("HTTP/"):
        return answer.split()[1] in {"400", "401", "403", "404", "405", "415", "426", "501", "505"}
    # Valkey answers each command; PostgreSQL asks for SASL, or says what is wrong
    lines = answer.splitlines()
    is_valkey = all(line.startswith(("-NOAUTH", "-ERR")) for line in lines)
    is_postgres = answer[0] == "E" or (answer[0] == "R" and answer[5:9] == "\0\0\0\x0a")
    is_tls_alert = answer[0] == "\x15"
    return is_valkey or is_postgres or is_tls_alert


if __name__ == "__main__":
    print(json.dumps(tour(sys.argv[1:])))
