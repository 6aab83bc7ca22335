"""An object store that breaks off in the middle of an answer is an outage, not an error of the recording."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from shared.config import Settings
from shared.errors import StorageUnavailable
from shared.storage import Storage, storage_of

SIZE = 1_000_000


class _BreaksOff(BaseHTTPRequestHandler):
    """Promises SIZE bytes, sends a few, hangs up; answers an upload with half a status line."""

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(SIZE))
        self.send_header("ETag", '"0"')
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(bytes(1000))
        self.close_connection = True

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.wfile.write(b"HTTP/1.1 2")
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def storage() -> Iterator[Storage]:
    """A client of a server that breaks off."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _BreaksOff) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}"
        yield storage_of(
            Settings(
                database_url="postgresql+psycopg://nowhere/none",
                redis_url="redis://nowhere/0",
                s3_endpoint_url=address,
                aws_access_key_id="key",
                aws_secret_access_key="secret",
            )
        )
        server.shutdown()
        thread.join(5)


def test_a_transfer_that_is_cut_off_is_an_outage(storage: Storage, tmp_path: Path) -> None:
    """Reading to memory, reading a span, reading to a file and writing: each is StorageUnavailable, worth a retry."""
    file = tmp_path / "recording"
    file.write_bytes(bytes(1000))
    for transfer in (
        lambda: storage.get("a"),
        lambda: storage.get_range("a", 0, SIZE),
        lambda: storage.get_file("a", tmp_path / "copy"),
        lambda: storage.put("a", b"x"),
        lambda: storage.put_file("a", file),
    ):
        with pytest.raises(StorageUnavailable):
            transfer()
