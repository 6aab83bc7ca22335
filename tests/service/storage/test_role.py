"""Credentials of a machine's role, which are fetched over HTTP whenever they are about to expire."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from shared.config import Settings
from shared.storage import storage_of
from tests.service.storage.conftest import NOWHERE

PATIENCE_S = 10
ROLE = "/role"


class Cloud(ThreadingHTTPServer):
    """Gives credentials that expire at once, the first time without delay and later when `go` is set; takes any PUT."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.go, self.requests = threading.Event(), 0
        self.go.set()


class Answers(BaseHTTPRequestHandler):
    server: Cloud

    def do_GET(self) -> None:
        self.server.requests += 1
        if not self.server.go.wait(PATIENCE_S):
            self.send_error(503)
            return
        end = datetime.now(UTC) + timedelta(minutes=5)
        names = {"AccessKeyId": "a", "SecretAccessKey": "b", "Token": "c", "Expiration": end.isoformat()}
        self._answer(json.dumps(names).encode())

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(b"")

    def _answer(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):  # of the stack that other tests have started
        monkeypatch.delenv(name, raising=False)
    with Cloud() as server:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://127.0.0.1:{server.server_port}{ROLE}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_a_slow_role_holds_nobody_else_up(cloud: Cloud) -> None:
    """While credentials for a part are fetched, the event loop goes on: here it is what lets them come."""
    address = f"http://127.0.0.1:{cloud.server_port}"
    role = {"aws_access_key_id": None, "aws_secret_access_key": None, "s3_endpoint_url": address}
    store = storage_of(Settings.model_validate(NOWHERE | role | {"object_store": "s3"}))
    cloud.go.clear()
    before = cloud.requests

    async def body() -> AsyncIterator[bytes]:
        yield b"x"

    async def upload() -> None:
        part = asyncio.create_task(store.put_part("key", "id", 1, 1, body()))
        while cloud.requests == before:
            await asyncio.sleep(0.01)
        cloud.go.set()
        await part

    asyncio.run(asyncio.wait_for(upload(), 2 * PATIENCE_S))
