"""The image of a trial: the whole stack in one container, by the commands of deploy.md."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

from tests.containers.deployment import Deployment
from tests.deploy.documented import DEPLOY, blocks, section
from tests.engine import builds

START_TIMEOUT_S = 600
PORT = 7860


def test_the_image_transcribes_and_tells_no_secret(deployment: Deployment, call: Path) -> None:
    """It starts by deploy.md's command, with the weights in its volume; a recording with two speakers comes back as a
    transcript; its log has neither the key nor any other secret that the stack made."""
    engine = deployment.engine
    builds.build_target(engine, deployment.checkout, "all-in-one", "parley")
    run = next(line for block in blocks(section(DEPLOY, "All in one container")) for line in block if " run " in line)
    command = re.sub(r"-e API_KEY=\S*\$\([^)]*\)\"?", '-e API_KEY="$KEY"', run)
    assert command != run, "the documented command makes a key"
    copy = "mkdir -p /data/models && cp -a /from/. /data/models/ && chown -R 1000:1000 /data"
    volumes = "-v parley_models:/from -v parley:/data"
    deployment.type(f"docker run --rm -u 0 {volumes} --entrypoint sh parley -c '{copy}'")
    key = f"pk_{engine.run('openssl rand -hex 24').stdout.strip()}"
    deployment.type(f"export KEY={key}; {command.replace('docker run --rm', 'docker run -d --name all-in-one')}")
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while (state := engine.inspect("all-in-one")[0]["State"]).get("Health", {}).get("Status") != "healthy":
            assert state["Running"] and time.monotonic() < deadline, engine.docker("logs", "all-in-one").stderr[-3000:]
            time.sleep(1)
        ask = f'curl -sS --fail-with-body -m 600 -H "Authorization: Bearer {key}" http://localhost:{PORT}'
        answer = deployment.type(f"{ask}/transcribe -F file=@{call} -F diarization=true -F wait=300")
        assert len(json.loads(answer)["speakers"]) == 2
        log = engine.docker("logs", "all-in-one")
        text = engine.docker("exec", "all-in-one", "sh", "-c", "cat /data/parley/secrets.json").stdout
        secrets = [value for value in json.loads(text).values() if isinstance(value, str)]
        assert len(secrets) > 2
        assert [secret for secret in (key, *secrets) if secret in log.stdout + log.stderr] == []
    finally:
        engine.docker("rm", "-fv", "all-in-one")
