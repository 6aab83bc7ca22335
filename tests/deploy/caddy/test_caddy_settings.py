"""Caddy with other settings: a certificate, a small MAX_BODY and a short UPLOAD_TIMEOUT."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.caddy.door import Door
from tests.deploy.caddy.test_caddy import signer
from tests.deploy.composed import BIN
from tests.deploy.conftest import Deployment

SITE, S3 = "https://localhost:18443", "http://localhost:19000"
BODY_BYTES, TIMEOUT_S = 1_000_000, 5

SEND_SLOWLY = r"""
import socket, ssl, sys, time
loose = ssl.create_default_context()
loose.check_hostname, loose.verify_mode = False, ssl.CERT_NONE
s = loose.wrap_socket(socket.create_connection(("localhost", 18443)), server_hostname="localhost")
s.settimeout(60)
s.sendall(b"POST /transcribe HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n")
s.sendall(b"Content-Length: 900000\r\nX-API-Key: %s\r\n\r\n{" % sys.argv[1].encode())
begun = time.monotonic()
print(s.recv(100).partition(b"\r\n")[0].decode())
print(time.monotonic() - begun)
"""


@pytest.fixture(scope="module")
def door(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """As with a domain, but that the certificate is Caddy's own."""
    changes = {
        "PARLEY_SITE": "localhost",
        "S3_SITE": "http://:19000",
        "MAX_BODY": "1MB",
        "UPLOAD_TIMEOUT": f"{TIMEOUT_S}s",
    }
    folder = tmp_path_factory.mktemp("settings") / "door"
    with Door(deployment, folder, changes, "\tlocal_certs\n\tskip_install_trust\n"):
        # the first certificate takes a moment
        ready = deployment.run(
            "curl", "-sfk", "--retry", "50", "--retry-delay", "1", "--retry-all-errors", f"{SITE}/health/live"
        )
        assert ready.returncode == 0, ready.stderr
        yield deployment


@pytest.mark.parametrize(
    ("path", "status"),
    [("/health/live", "200"), ("/models", "401"), ("/metrics", "404"), ("/grafana/login", "503")],
)
def test_answers_are_safe_over_tls(door: Deployment, path: str, status: str) -> None:
    """Every answer, also one of Caddy's own, cannot be framed or sniffed and asks to be fetched by TLS only."""
    answer = door.run("curl", "-sSik", "--max-time", "60", f"{SITE}{path}")
    head = answer.stdout.lower().replace("\r", "").partition("\n\n")[0].splitlines()
    assert head[0].split()[1] == status, answer
    for line in (
        "strict-transport-security: max-age=31536000",
        "x-content-type-options: nosniff",
        "x-frame-options: deny",
        "referrer-policy: no-referrer",
        "cross-origin-opener-policy: same-origin",
    ):
        assert head.count(line) == 1
    assert not [line for line in head if line.startswith(("server:", "via:"))]


def test_plain_http_leads_to_tls(door: Deployment) -> None:
    """With a domain, a request without TLS is sent to where there is some."""
    answer = door.run("curl", "-sSi", "--max-time", "60", "http://localhost:18080/models").stdout.lower()
    assert answer.split()[1] == "308"
    assert "location: https://localhost" in answer


@pytest.mark.parametrize("encoding", ["Content-Type: audio/wav", "Transfer-Encoding: chunked"])
def test_a_recording_above_max_body_is_refused(door: Deployment, tmp_path: Path, encoding: str) -> None:
    """More than MAX_BODY is 413, with or without a Content-Length."""
    (tmp_path / "large").write_bytes(bytes(BODY_BYTES * 4))
    key = f"Authorization: Bearer {door.api_key}"
    # not its exit status: curl is still sending when the answer comes, and may miss the end of it
    process = door.run(
        "curl",
        "-sSk",
        "--http1.1",
        "--max-time",
        "60",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        "-H",
        key,
        "-H",
        encoding,
        "-F",
        f"file=@{tmp_path}/large",
        f"{SITE}/transcribe",
    )
    assert process.stdout == "413", process.stderr


def test_an_object_above_max_body_is_refused(door: Deployment, tmp_path: Path) -> None:
    """The host for presigned URLs takes what is within MAX_BODY; more is 413, and is not stored."""
    client, ask = signer(door, S3), ("curl", "-sS", "--max-time", "60", "-o", "/dev/null", "-w", "%{http_code}")
    for name, size, status in (("within", BODY_BYTES // 2, "200"), ("above", BODY_BYTES * 4, "413")):
        (tmp_path / name).write_bytes(bytes(size))
        what = {"Bucket": "parley", "Key": f"max-body-{name}"}
        assert (
            door.run(*ask, "-T", f"{tmp_path}/{name}", client.generate_presigned_url("put_object", what)).stdout
            == status
        )
        stored = door.run(*ask, client.generate_presigned_url("get_object", what)).stdout
        assert stored == ("200" if status == "200" else "404")


def test_a_slow_body_is_cut_off(door: Deployment) -> None:
    """A client that does not finish its request within UPLOAD_TIMEOUT is told so and let go.

    The body is a large one: for the end of one below 256 KiB Go waits longer before it answers.
    """
    process = door.run(str(BIN / "python"), "-c", SEND_SLOWLY, door.api_key, timeout_s=90)
    status, elapsed_s = process.stdout.splitlines()
    assert status == "HTTP/1.1 408 Request Timeout"
    assert TIMEOUT_S / 2 < float(elapsed_s) < TIMEOUT_S + 25
