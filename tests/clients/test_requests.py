"""Requests of clients that are not run themselves, as their source writes them, sent with a real recording."""

from __future__ import annotations

import re
import subprocess
import time
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from scripts.local.home import LOOPBACK, Home
from scripts.local.stack import Stack
from tests.clients import answers
from tests.clients.written import Request, clients
from tests.deploy.composed import BIN

CADDYFILE = """:9000 {
\treverse_proxy parley:8000 {
\t\theader_up X-API-Key KEY
\t}
}
"""
"""docs/clients.md has this one, for clients that send no key."""

ANSWER_TIMEOUT_S = 300
READY_TIMEOUT_S = 120


@pytest.fixture(scope="module")
def keyless(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Caddy with the documented Caddyfile, on a port of its own, that knows the key."""
    folder = tmp_path_factory.mktemp("caddy")
    port = Home(folder).ports(["caddy"])["caddy"]  # of those that no connection and no other lane is given meanwhile
    server = httpx.URL(stack.url)
    text = CADDYFILE.replace(":9000", f"http://{LOOPBACK}:{port}").replace("KEY", stack.api_key)
    text = text.replace("parley:8000", f"{server.host}:{server.port}")
    (folder / "Caddyfile").write_text(f"{{\n\tadmin off\n}}\n{text}")
    with (folder / "log").open("wb") as log:
        command = (BIN / "caddy", "run", "--config", folder / "Caddyfile", "--adapter", "caddyfile")
        caddy = subprocess.Popen(
            command, env={"HOME": str(folder)}, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        url = f"http://{LOOPBACK}:{port}"
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not _answers(url):
            assert caddy.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()[-3000:]
            time.sleep(0.1)
        yield url
    finally:
        caddy.kill()
        caddy.wait(10)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/live", timeout=30).is_success
    except httpx.TransportError:
        return False


WRITTEN = [(client, request) for client in clients() for request in client.requests]


@pytest.mark.parametrize(
    "request_",
    [request for _, request in WRITTEN],
    ids=[f"{client.name}: {request.does}" for client, request in WRITTEN],
)
def test_a_request_is_answered_as_its_client_reads_it(
    http: httpx.Client, keyless: str, clip: Path, request_: Request
) -> None:
    """The status, and each value that the client reads, of its kind. What is refused is named."""
    if request_.key:
        answer = send(http, request_, clip)
    else:
        with httpx.Client(base_url=keyless, timeout=30) as proxied:
            answer = send(proxied, request_, clip)
    assert answer.status_code == request_.status, answer.text
    assert answers.faults(answers.body(answer, request_.answer), request_.reads) == []


def send(http: httpx.Client, request: Request, clip: Path) -> httpx.Response:
    files: dict[str, Any] = {}
    if request.method == "POST":
        files = {request.part: (request.filename, samples(clip) if request.samples else clip.read_bytes())}
    return http.request(
        request.method,
        request.path,
        data=request.form,
        params=request.query or None,
        files=files or None,
        timeout=ANSWER_TIMEOUT_S,
    )


def samples(clip: Path) -> bytes:
    """Nothing but the recording's samples, 16 bits, mono, 16 kHz."""
    with wave.open(str(clip)) as recording:
        assert (recording.getframerate(), recording.getnchannels(), recording.getsampwidth()) == (16_000, 1, 2)
        return bytes(recording.readframes(recording.getnframes()))


def test_whoever_sends_no_key_is_refused(stack: Stack, clip: Path) -> None:
    """Without the proxy these clients get 401."""
    for request in (request for _, request in WRITTEN if not request.key):
        with httpx.Client(base_url=stack.url, timeout=30) as stranger:
            assert send(stranger, request, clip).status_code == 401


def test_the_page_has_the_proxy_that_is_tried_here() -> None:
    """The Caddyfile of docs/clients.md, line by line."""
    page = (Path(__file__).parents[2] / "docs" / "clients.md").read_text()
    assert re.findall(r"```caddy\n(.*?)```", page, re.DOTALL) == [CADDYFILE]
