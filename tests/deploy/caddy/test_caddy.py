"""Stock Caddy with our Caddyfile, before the real gateway and the real object store."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import botocore.config
import pytest

from tests.deploy.composed import BIN
from tests.deploy.conftest import Deployment

SITE = "http://caddy:8080"
MB = 1024**2
TRIES = 3
UPLOAD_BYTES, CADDY_BYTES = 512 * MB, 128 * MB
"""Several times what Caddy may hold, so that a buffered body could not hide. Idle it takes about 60 MB."""


def curl(deployment: Deployment, *arguments: str, timeout_s: float = 300) -> str:
    """curl on the machine of the deployment, with the first key; returns what it prints."""
    key = f"Authorization: Bearer {deployment.api_key}"
    process = deployment.run("curl", "-sS", "--max-time", "280", "-H", key, *arguments, timeout_s=timeout_s)
    assert process.returncode == 0, process.stderr
    return process.stdout


def signer(deployment: Deployment, url: str | None = None) -> Any:
    """A client of S3 that signs for the public address, or for `url`."""
    described = deployment.described["services"]["api"]["environment"]
    return boto3.client(
        "s3",
        endpoint_url=url or described["S3_PUBLIC_ENDPOINT_URL"],
        region_name="us-east-1",
        aws_access_key_id=described["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=described["AWS_SECRET_ACCESS_KEY"],
        config=botocore.config.Config(s3={"addressing_style": "path"}, signature_version="s3v4"),
    )


def test_answers_have_safe_headers_and_an_id(deployment: Deployment) -> None:
    """An answer names no server, cannot be framed or sniffed, and carries the request's id, also one that was given."""
    answer = curl(deployment, "-i", "-H", "X-Request-Id: abc-123", f"{SITE}/models").lower()
    for line in (
        "x-content-type-options: nosniff",
        "x-frame-options: deny",
        "referrer-policy: no-referrer",
        "cross-origin-opener-policy: same-origin",
        "x-request-id: abc-123",
        "cache-control: no-store",
    ):
        assert line in answer
    assert "server:" not in answer and "via:" not in answer
    named = [line for line in curl(deployment, "-i", f"{SITE}/models").lower().splitlines() if "x-request-id" in line]
    assert len(named) == 1 and len(named[0]) > 30


@pytest.mark.parametrize(
    "path",
    [
        "/metrics",
        "/metrics/",
        "//metrics",
        "/%6Detrics",
        "/METRICS",
        "/x/../metrics",
        "/flower/metrics",
        "/flower/healthcheck",
        "/grafana/metrics",
        "/grafana/api/health",
    ],
)
def test_metrics_are_not_there_from_outside(deployment: Deployment, path: str) -> None:
    """However it is written, what is for operators only is not found."""
    status, body = curl(deployment, "--path-as-is", "-w", "\n%{http_code}", f"{SITE}{path}").rsplit("\n", 1)[::-1]
    assert status == "404"
    assert "# HELP" not in body


def test_grafana_has_its_place(deployment: Deployment, tmp_path: Path) -> None:
    """Below /grafana is whatever answers to that name, asked by the whole path; nobody does without the profiles, which
    is 503."""
    path = f"{SITE}/grafana/login"
    assert json.loads(curl(deployment, path))["code"] == "service_unavailable"
    (tmp_path / "grafana").mkdir()
    (tmp_path / "grafana" / "login").write_text("who are you")
    server = subprocess.Popen(
        (*deployment.machine.prefix(tmp_path), BIN / "python", "-m", "http.server", "3000"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert (
            curl(deployment, "--retry", "20", "--retry-delay", "1", "--retry-all-errors", "-f", path) == "who are you"
        )
    finally:
        server.terminate()
        server.wait(60)


def test_flower_has_a_password(deployment: Deployment) -> None:
    """Flower is at /flower/ for who knows the password, with what its pages need, and for nobody else."""
    flower = deployment.service("flower")
    user = deployment.described["services"]["flower"]["environment"]["FLOWER_BASIC_AUTH"]
    ask = ("curl", "-sS", "--max-time", "110", "-w", "\n%{http_code}")
    flower.start()
    try:
        flower.wait_healthy()
        refused = deployment.run(*ask, f"{SITE}/flower/").stdout
        page, status = deployment.run(*ask, "-u", user, f"{SITE}/flower/").stdout.rsplit("\n", 1)
        (script, *_) = re.findall(r'src="(/flower/static/[^"]+\.js[^"]*)"', page)
        assert refused.endswith("\n401") and "<html" not in refused
        assert status == "200"
        assert deployment.run(*ask, "-u", user, f"{SITE}{script}").stdout.endswith("\n200")
    finally:
        flower.ask_to_stop()
        assert flower.wait_stopped()


def test_a_body_that_is_too_large_is_refused(deployment: Deployment, tmp_path: Path) -> None:
    """A call that takes small bodies answers 413 in the shape of all errors, without the gateway reading it all.

    Whoever still sends may lose the answer when the connection is closed, and asks again.
    """
    (tmp_path / "large").write_bytes(b"x" * 17_000_000)
    ask = (
        "curl",
        "-sS",
        "--max-time",
        "110",
        "-H",
        f"Authorization: Bearer {deployment.api_key}",
        "-w",
        "\n%{http_code}",
        "-H",
        "Content-Type: application/json",
        "-H",
        "Expect:",
        "--data-binary",
        f"@{tmp_path}/large",
        f"{SITE}/admin/keys",
    )
    for _ in range(TRIES):
        answer = deployment.run(*ask)
        body, _, status = answer.stdout.rpartition("\n")
        assert status in ("413", "000"), answer
        if status == "413" and body.endswith("}"):
            break
    assert status == "413", answer
    assert {"code", "message", "request_id"} <= set(json.loads(body))
    assert json.loads(body)["code"] == "file_too_large"


def peak_bytes(deployment: Deployment) -> int:
    """The most memory that Caddy has ever had."""
    caddy = deployment.service("caddy").process
    assert caddy is not None
    (peak_kb,) = re.findall(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{caddy.pid}/status").read_text(), re.MULTILINE)
    return int(peak_kb) * 1024


def test_a_large_recording_goes_through_unbuffered(deployment: Deployment, tmp_path: Path) -> None:
    """A recording of half a GB is taken, and Caddy holds little of it at any time."""
    with (tmp_path / "long.wav").open("wb") as file:
        file.truncate(UPLOAD_BYTES)
    answer = json.loads(curl(deployment, "-F", f"file=@{tmp_path}/long.wav", f"{SITE}/transcribe"))
    assert answer["status"] == "queued"
    assert peak_bytes(deployment) < CADDY_BYTES
    curl(deployment, "-X", "DELETE", f"{SITE}/tasks/{answer['task_id']}")


def test_presigned_urls_work_and_nothing_else_does(deployment: Deployment, tmp_path: Path) -> None:
    """What was signed for the public address is stored and read through Caddy; without a signature it is 403."""
    client = signer(deployment)
    what = {"Bucket": "parley", "Key": "presigned"}
    (tmp_path / "part").write_bytes(b"some bytes")
    status = ("-o", "/dev/null", "-w", "%{http_code}")
    plain: Callable[..., str]
    plain = lambda *arguments: deployment.run("curl", "-sS", *arguments).stdout  # noqa: E731 - a key would be a second signature

    assert plain(*status, "-T", f"{tmp_path}/part", client.generate_presigned_url("put_object", what)) == "200"
    assert plain(client.generate_presigned_url("get_object", what)) == "some bytes"
    assert plain(*status, client.generate_presigned_url("get_object", what).replace("presigned", "other")) == "403"
    assert plain(*status, "http://localhost:9000/parley/presigned") == "403"
    assert plain(*status, "http://localhost:9000/") == "403"


def test_the_gateway_sees_the_client(deployment: Deployment) -> None:
    """A client cannot give itself another address; one request has one id in the logs of Caddy and the gateway."""
    forged = ("-H", "X-Forwarded-For: 203.0.113.66", "-H", "Forwarded: for=203.0.113.66")
    request_id = curl(deployment, *forged, "-o", "/dev/null", "-w", "%header{x-request-id}", f"{SITE}/models")
    line = deployment.logged("api", request_id)
    assert line["client"] == "127.0.0.1"
    assert "203.0.113.66" not in deployment.service("api").log.read_text()
    logged = deployment.logged("caddy", request_id)
    assert logged["request_id"] == line["request_id"] == request_id
    assert line["path"] == logged["request"]["uri"] == "/models"


def test_slow_headers_are_cut_off(deployment: Deployment) -> None:
    """A client that does not finish its headers within ten seconds is let go."""
    script = (
        "import socket, time\ns = socket.create_connection(('caddy', 8080))\n"
        "s.sendall(b'GET / HTTP/1.1\\r\\nHost: x\\r\\n')\n"
        "s.settimeout(30); begun = time.monotonic(); s.recv(1000); s.recv(1000)\nprint(time.monotonic() - begun)"
    )
    process = deployment.run(str(BIN / "python"), "-c", script, timeout_s=300)
    assert 5 < float(process.stdout) < 25, process.stderr


def test_check_ratelimit_tells_when_there_is_no_limit(deployment: Deployment) -> None:
    """Against a Caddy without the plugin the script says of each limit that nothing was refused; the gateway's own
    limit of a key is not taken for Caddy's."""
    created = json.loads(
        curl(
            deployment,
            "--json",
            '{"name": "limited", "scopes": ["transcribe"], "requests_per_minute": 5}',
            f"{SITE}/admin/keys",
        )
    )
    script = (str(BIN / "python"), "-m", "scripts.check_ratelimit", SITE, "--requests", "40", "--connections", "4")
    invented, limited = deployment.run(*script), deployment.run(*script, "--key", created["key"])
    assert invented.returncode == limited.returncode == 1
    assert re.findall(r"^(\w+): 40 requests in .* no 429 by Caddy$", invented.stdout, re.MULTILINE) == [
        "submit",
        "upload",
        "poll",
        "address",
    ]
    by_gateway = re.findall(
        r"^(\w+): 40 requests in (\S+) s, no 429 by Caddy; (\d+) times 429 by the gateway", limited.stdout, re.MULTILINE
    )
    assert [zone for zone, *_ in by_gateway] == ["submit", "upload", "poll"]
    _, took_s, refused = by_gateway[0]
    # The window slides: where the minute turns meanwhile, the five count less and less, and there is room for one more
    # at once and for another with every twelfth second.
    assert 34 - float(took_s) // 12 <= int(refused) <= 35
