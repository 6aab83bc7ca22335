"""Loading the diarization weights from a Hub that asks for a token."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).parents[3]
FOLDER = Path(os.environ.get("MODEL_DIR", ROOT / "models")) / "diarization"


@contextmanager
def hub(folder: Path, token: str) -> Iterator[str]:
    """A Hugging Face Hub on loopback with one gated repository: the files of `folder`, for one token."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, *, body: bool) -> None:
            _, _, name = self.path.partition("/resolve/main/")
            allowed = self.headers.get("Authorization") == f"Bearer {token}"
            data = (folder / name).read_bytes() if allowed else b""
            self.send_response(200 if allowed else 401)
            if allowed:
                self.send_header("ETag", f'"{name.replace("/", "-")}"')
                self.send_header("X-Repo-Commit", "0" * 40)
            else:
                self.send_header("X-Error-Code", "GatedRepo")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if body:
                self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)


def test_weights_come_from_the_hub_when_there_are_none_at_hand(tmp_path: Path) -> None:
    """With a token that the Hub accepts the pipeline loads; with another the error says what to do."""
    script = """
import sys
from pathlib import Path
from shared.errors import ModelUnavailable
from tasks.diarization.loading import load_pipeline
try:
    load_pipeline(Path(sys.argv[1]), clustering="windows", device="cpu", token="hf_other")
except ModelUnavailable as error:
    print(error.message)
print(load_pipeline(Path(sys.argv[1]), clustering="windows", device="cpu", token="hf_good").klustering)
"""
    with hub(FOLDER, "hf_good") as endpoint:
        run = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path / "no-weights")],
            cwd=ROOT,
            env={**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path / "hub"), "HF_HUB_DISABLE_XET": "1"},
            capture_output=True,
            text=True,
            timeout=300,
        )
    assert run.returncode == 0, run.stderr
    assert "cannot be loaded from the Hub (pyannote/speaker-diarization-community-1)" in run.stdout
    assert run.stdout.splitlines()[-1] == "AgglomerativeClustering"
