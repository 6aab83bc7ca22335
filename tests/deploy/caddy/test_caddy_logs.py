"""What stands in Caddy's logs, and what must not."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

from tests.deploy.caddy.test_caddy import SITE, curl, signer
from tests.deploy.composed import ROOT
from tests.deploy.conftest import LOGGED_S, Deployment
from tests.programs import program

HUNG_UP = "aborting with incomplete response"
"""What Caddy says of an answer whose client went away, with the whole request beside it."""


def hang_up(deployment: Deployment, *arguments: str) -> None:
    """Ask, and leave when the answer has begun."""
    with subprocess.Popen(
        (*deployment.machine.prefix(ROOT), program("curl"), "-sSN", "--max-time", "280", *arguments),
        stdout=subprocess.PIPE,
    ) as asking:
        assert asking.stdout is not None
        assert asking.stdout.read(1), "there is no answer"
        asking.kill()


def test_no_log_has_a_key_or_a_signature(deployment: Deployment, tmp_path: Path) -> None:
    """Keys, queries and signatures are in nothing that Caddy writes: not of a request that was answered, and not of a
    download or a stream of events whose client hangs up."""
    log = deployment.service("caddy").log
    before = log.read_text().count(HUNG_UP)
    s3, stored = signer(deployment), {"Bucket": "parley", "Key": "downloaded"}
    (tmp_path / "large").write_bytes(bytes(32 * 1024**2))
    put, get = (s3.generate_presigned_url(name, stored) for name in ("put_object", "get_object"))
    assert deployment.run("curl", "-sSf", "-T", f"{tmp_path}/large", put).returncode == 0
    task = json.loads(curl(deployment, "-F", f"file=@{tmp_path}/large", f"{SITE}/transcribe"))["task_id"]

    key = ("-H", f"X-API-Key: {deployment.api_key}")
    curl(deployment, *key, f"{SITE}/models?canary=7")
    for path in ("", "/result?canary=8"):
        curl(deployment, f"{SITE}/shared/sh_canary{path}")
    hang_up(deployment, *key, get)
    hang_up(deployment, *key, f"{SITE}/tasks/{task}/events?X-Amz-Signature=canary")

    deadline = time.monotonic() + LOGGED_S
    while (text := log.read_text()).count(HUNG_UP) < before + 2:
        assert time.monotonic() < deadline, text[-3000:]
        time.sleep(0.2)
    for secret in (deployment.api_key, "canary", "Signature", "Api-Key", "Bearer", put.partition("?")[2]):
        assert secret not in text
    assert json.loads(curl(deployment, "-X", "DELETE", f"{SITE}/tasks/{task}"))["erased"]
