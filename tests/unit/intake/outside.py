"""The world outside, on loopback: a media server with good and bad manners, a DNS server, and a canary."""

from __future__ import annotations

import errno
import gzip
import io
import math
import socket
import struct
import threading
import wave
from collections import Counter
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast
from urllib.parse import parse_qs, urlsplit

import dns.message
import dns.rdatatype
import dns.rrset

LOOPBACK = "127.0.0.1"
PATIENCE_S = 30


def tone(seconds: float, rate: int = 8000) -> bytes:
    """A WAV file with a tone of 440 Hz."""
    samples = (round(8000 * math.sin(2 * math.pi * 440 * n / rate)) for n in range(round(seconds * rate)))
    content = io.BytesIO()
    with wave.open(content, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
    return content.getvalue()


TONE = tone(2.0)


class Canary:
    """Listens on one port of 127.0.0.1 and of ::1, and counts whoever connects."""

    def __init__(self) -> None:
        self._visits, self._own_visits = 0, 0
        self._all = _listeners()
        self.port = int(self._all[0].getsockname()[1])
        for listener in self._all:
            threading.Thread(target=self._count, args=(listener,), daemon=True).start()

    def hits(self) -> int:
        """How often it was found.

        Each listener takes its visitors in the order in which they came, counts one and hangs up. When it has hung up
        on a visit of our own, all that were made before are counted.
        """
        for listener in self._all:
            with socket.create_connection(listener.getsockname()[:2], timeout=PATIENCE_S) as own:
                assert own.recv(1) == b""
            self._own_visits += 1
        return self._visits - self._own_visits

    def close(self) -> None:
        for listener in self._all:
            listener.close()

    def _count(self, listener: socket.socket) -> None:
        while True:
            try:
                visitor, _ = listener.accept()
            except OSError:  # closed
                return
            self._visits += 1
            visitor.close()


def _listeners() -> list[socket.socket]:
    """At one port of both addresses. One that is free on the first may be somebody's on the other."""
    while True:
        four = socket.create_server((LOOPBACK, 0))
        if not socket.has_ipv6:
            return [four]
        try:
            return [four, socket.create_server(("::1", four.getsockname()[1]), family=socket.AF_INET6)]
        except OSError as error:
            four.close()
            if error.errno != errno.EADDRINUSE:
                raise


class NameServer:
    """A DNS server. `names` maps a name to the answers of its first, second, ... lookup; the last one stays.

    An answer is a list of addresses. The A and the AAAA query of one lookup get the same one.
    """

    def __init__(self, names: dict[str, Sequence[Sequence[str]]]) -> None:
        self._names = names
        self.queries: Counter[tuple[str, str]] = Counter()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((LOOPBACK, 0))
        self.address = f"{LOOPBACK}:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._socket.close()

    def lookups(self, name: str) -> int:
        return self.queries[name, "A"]

    def _serve(self) -> None:
        while True:
            try:
                wire, client = self._socket.recvfrom(4096)
            except OSError:  # closed
                return
            query = dns.message.from_wire(wire)
            question = query.question[0]
            name, kind = question.name.to_text().rstrip("."), dns.rdatatype.to_text(question.rdtype)
            answers = self._names.get(name, [[]])
            addresses = answers[min(self.queries[name, kind], len(answers) - 1)]
            self.queries[name, kind] += 1
            reply = dns.message.make_response(query)
            fitting = [address for address in addresses if (":" in address) == (kind == "AAAA")]
            if fitting:
                reply.answer.append(dns.rrset.from_text_list(question.name, 0, "IN", kind, fitting))
            self._socket.sendto(reply.to_wire(), client)


class MediaServer(ThreadingHTTPServer):
    """Serves what `pages` maps to a path, as (content type, body), and the manners of _Media. `seen` counts paths."""

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__((LOOPBACK, port), _Media)
        self.host = f"{LOOPBACK}:{self.server_port}"
        self.url = f"http://{self.host}"
        self.pages: dict[str, tuple[str, bytes]] = {}
        self.seen: Counter[str] = Counter()
        self.over = threading.Event()
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self.over.set()
        self.shutdown()
        self.server_close()


class _Media(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        server = cast(MediaServer, self.server)
        path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        server.seen[path] += 1
        first, *rest = path.strip("/").split("/")
        if path in server.pages:
            kind, body = server.pages[path]
            self._send(body, kind)
        elif first == "to":  # redirects to the URL in the query, by way of as many others as the path says
            hops = int(rest[0]) if rest else 0
            self._redirect(f"/to/{hops - 1}?{urlsplit(self.path).query}" if hops else query["url"][0])
        elif first == "circle":
            self._redirect(path)
        elif first == "status":
            self.send_error(int(rest[0]))
        elif first == "busy":  # answers with the status in the path for as often as the path says
            status, times = (int(part) for part in rest[:2])
            if server.seen[path] <= times:
                self._refuse(status, query.get("after", [""])[0])
            else:
                self._send(TONE, "audio/wav")
        elif first in ("breaks", "parts", "swaps"):  # hangs up behind as many bytes as the path says
            # `as` are headers of the first answer, `then` those of the next ones, which heed If-Range only in "swaps"
            is_later = server.seen[path] > 1 and "then" in query
            names = dict(name.split(":", 1) for name in query["then" if is_later else "as"])
            self._break_off(int(rest[0]), names, is_rest=is_later and first != "swaps", is_part=first == "parts")
        elif first == "resets" and server.seen[path] <= int(rest[0]):  # hangs up before it answers
            self.close_connection = True
        elif first == "flood":  # redirects, with a body that has no end
            self._chunks(iter(lambda: bytes(65536), b""), 302, {"Location": query["url"][0]})
        elif first == "named":
            self._send(TONE, "audio/wav", {"Content-Disposition": query["as"][0]})
        elif first == "gzip":
            self._send(gzip.compress(TONE), "audio/wav", {"Content-Encoding": "gzip"})
        elif first == "bomb":
            self._send(gzip.compress(bytes(50_000_000)), "audio/wav", {"Content-Encoding": "gzip"})
        elif first == "short":  # ends before the announced length
            self._head({"Content-Type": "audio/wav", "Content-Length": str(2 * len(TONE))})
            self.wfile.write(TONE)
            self.close_connection = True
        elif first == "large":  # announces more than anybody would take
            self._head({"Content-Type": "audio/wav", "Content-Length": str(10**12)})
            self.close_connection = True
        elif first == "chunked":
            self._chunks(TONE[at : at + 5000] for at in range(0, len(TONE), 5000))
        elif first == "endless":
            self._chunks(iter(lambda: bytes(65536), b""))
        elif first == "silent":  # a head, then nothing for as long as the client waits
            self._head({"Content-Type": "audio/wav", "Content-Length": "1000"})
            server.over.wait(30)
            self.close_connection = True
        elif first == "drip":  # never silent, never done
            self._chunks(self._drops())
        elif path.endswith(".wav"):
            self._send(TONE, "audio/wav")
        else:
            self.send_error(404)

    def _drops(self) -> Iterator[bytes]:
        while not cast(MediaServer, self.server).over.wait(0.05):
            yield b"\x00"

    def _send(self, body: bytes, kind: str, extra: dict[str, str] | None = None) -> None:
        self._head({"Content-Type": kind, "Content-Length": str(len(body)), **(extra or {})})
        self.wfile.write(body)

    def _refuse(self, status: int, retry_after: str) -> None:
        self.send_response(status)
        if retry_after:
            self.send_header("Retry-After", retry_after)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _break_off(self, size: int, names: dict[str, str], *, is_rest: bool, is_part: bool) -> None:
        is_same = is_rest or self.headers.get("If-Range") in names.values()
        begin = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-")) if is_same else 0
        end = min(begin + size, len(TONE)) if begin and is_part else len(TONE)
        headers = {"Content-Type": "audio/wav", "Content-Length": str(end - begin)}
        if begin:
            headers["Content-Range"] = f"bytes {begin}-{end - 1}/{len(TONE)}"
        self._head(headers | names, 206 if begin else 200)
        self.wfile.write(TONE[begin : begin + size])
        self.close_connection = True

    def _redirect(self, url: str) -> None:
        self.send_response(302)
        self.send_header("Location", url)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _head(self, headers: dict[str, str], status: int = 200) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _chunks(self, chunks: Iterator[bytes], status: int = 200, extra: dict[str, str] | None = None) -> None:
        self._head({"Content-Type": "audio/wav", "Transfer-Encoding": "chunked", **(extra or {})}, status)
        try:
            for chunk in chunks:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            self.wfile.write(b"0\r\n\r\n")
        except OSError:  # the client has had enough
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


def hits(canary: Canary) -> int:
    """How often it was found until now."""
    return canary.hits()
