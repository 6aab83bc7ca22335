"""Package indexes on loopback, with wheels of a few bytes."""

from __future__ import annotations

import hashlib
import threading
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Literal

Manner = Literal["good", "silent", "stalling"]
"""silent: no answer until the index is closed; stalling: the answer begins, and its page does not come."""


@dataclass(frozen=True)
class Wheel:
    """An empty package."""

    name: str
    version: str
    content: bytes
    tag: str = "py3-none-any"

    @property
    def file(self) -> str:
        return f"{self.name.replace('-', '_')}-{self.version}-{self.tag}.whl"

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


def wheel(name: str, version: str, requires: Iterable[str] = (), extra: str = "") -> Wheel:
    """A wheel; `extra` gives the same version other content, and so another hash."""
    content = BytesIO()
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    needs = "".join(f"Requires-Dist: {need}\n" for need in requires)
    files = {
        "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}\n{extra}",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "RECORD": "".join(f"{info}/{each},,\n" for each in ("METADATA", "WHEEL", "RECORD")),
    }
    with zipfile.ZipFile(content, "w") as archive:
        for file, text in files.items():
            archive.writestr(zipfile.ZipInfo(f"{info}/{file}"), text)
    return Wheel(name, version, content.getvalue())


@dataclass
class Index:
    """A simple index, as PyPI is one, and the paths that it was asked for."""

    url: str
    paths: list[str] = field(default_factory=list)


@contextmanager
def index(wheels: Iterable[Wheel], manner: Manner = "good") -> Iterator[Index]:
    """An index that serves until the block ends."""
    shelf = {each.file: each for each in wheels}
    closed = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            running.paths.append(self.path)
            if manner == "silent":
                closed.wait()
                return
            self.answer()

        def do_HEAD(self) -> None:
            self.answer()

        def answer(self) -> None:
            path = self.path.replace("%2B", "+").strip("/")
            content = shelf[path].content if path in shelf else self.page(path)
            self.send_response(200 if content else 404)
            self.send_header("Content-Type", "application/octet-stream" if path in shelf else "text/html")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if manner == "stalling":
                closed.wait()
            elif self.command == "GET":
                self.wfile.write(content)

        def page(self, path: str) -> bytes:
            links = [
                f'<a href="/{each.file.replace("+", "%2B")}#sha256={each.sha256}">{each.file}</a><br>'
                for each in shelf.values()
                if path.rpartition("/")[2] == each.name
            ]
            return f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>".encode() if links else b""

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: pytest shows what matters."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running = Index(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield running
    finally:
        closed.set()
        server.shutdown()
        server.server_close()
        thread.join()
