"""What stands between a client and Parley in the outside world: a proxy that is just being restarted."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

TIMEOUT_S = 300
OWN_HEADERS = {"connection", "content-length", "host", "transfer-encoding", "date", "server"}


@dataclass
class Proxy:
    """Its address, and the status that each request got."""

    url: str
    statuses: list[int] = field(default_factory=list)


@contextmanager
def restarting(upstream: str) -> Iterator[Proxy]:
    """Answers 503 with `Retry-After: 1` to the first request, and passes all others on."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self._body()
            if not proxy.statuses:
                self._answer(httpx.Response(503, headers={"Retry-After": "1"}))
                return
            headers = {name: value for name, value in self.headers.items() if name.lower() not in OWN_HEADERS}
            self._answer(httpx.post(upstream + self.path, content=body, headers=headers, timeout=TIMEOUT_S))

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                return self.rfile.read(int(self.headers["Content-Length"]))
            pieces = []
            while size := int(self.rfile.readline(), 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(pieces)

        def _answer(self, answer: httpx.Response) -> None:
            proxy.statuses.append(answer.status_code)
            self.send_response(answer.status_code)
            for name, value in answer.headers.items():
                if name.lower() not in OWN_HEADERS:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: pytest shows what matters."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    proxy = Proxy(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
