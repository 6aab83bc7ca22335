"""The image all-in-one: its command, started from the files that it has, with the environment that it sets."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import tempfile
import time
import wave
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from tests.conftest import MODELS
from tests.deploy.composed import BIN
from tests.deploy.images.dockerfiles import copy, environment, in_effect
from tests.deploy.machine import Machine
from tests.programs import program

IMAGE = ("Dockerfile.worker", "all-in-one")
START_TIMEOUT_S, CHECK_TIMEOUT_S = 600, 60
API_KEY = f"pk_{secrets.token_hex(24)}"
PASSWD = "root:x:0:0:root:/root:/bin/sh\ndemo:x:1000:1000::/tmp:/bin/sh\n"
"""The image's users."""

AS_ITS_USER = (
    ()
    if os.geteuid()
    else (
        "unshare",
        "--mount",
        "sh",
        "-c",
        'mount --bind passwd /etc/passwd && cd app && exec "$0" "$@"',
        "setpriv",
        "--reuid=1000",
        "--regid=1000",
        "--clear-groups",
        "--inh-caps=+dac_override",
        "--ambient-caps=+dac_override",
    )
)
"""Its number, and root's way to a Python that only root can reach."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the image's user may enter, with /app and /data in it."""
    place = Path(tempfile.mkdtemp(prefix="parley-all-in-one-"))
    place.chmod(0o755)
    copy(*IMAGE, place / "app")
    (place / "data").mkdir()
    (place / "passwd").write_text(PASSWD)
    (place / "data/models").symlink_to(MODELS)
    if os.geteuid() == 0:
        os.chown(place / "data", 1000, 1000)
    yield place
    shutil.rmtree(place)


def test_the_image_is_a_whole_service(folder: Path) -> None:
    """The command starts the stack as an ordinary user, out of the files that .dockerignore lets through; the image's
    health check finds it well, a recording goes through it with the key from outside, SIGTERM ends it well, and its log
    has no secret."""
    variables = {name: value.replace("/data", str(folder / "data")) for name, value in environment(*IMAGE).items()}
    env = variables | {"PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(folder / "data")}
    env |= {"API_KEY": API_KEY, "ENGINE": "sleeper", "PYTHONPATH": ""}
    health = json.loads(in_effect(*IMAGE, "HEALTHCHECK").partition("CMD ")[2])

    with Machine(folder, []) as machine, (folder / "log").open("wb") as log:
        if AS_ITS_USER:
            program("setpriv")
        prefix = (*machine.prefix(folder if AS_ITS_USER else folder / "app"), *AS_ITS_USER)
        command = json.loads(in_effect(*IMAGE, "CMD"))
        stack = subprocess.Popen((*prefix, *command), env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + START_TIMEOUT_S
            while not is_well((*prefix, *health), env):
                assert stack.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()[-3000:]
                time.sleep(0.5)
            recording = silence(folder / "silence.wav")
            process = subprocess.run(
                (
                    *prefix,
                    program("curl"),
                    "-s",
                    "-H",
                    f"Authorization: Bearer {API_KEY}",
                    "-F",
                    f"file=@{recording}",
                    "-F",
                    "wait=300",
                    f"http://127.0.0.1:{variables['PORT']}/transcribe",
                ),
                env=env,
                capture_output=True,
                text=True,
                timeout=400,
                check=False,
            )
            assert "segments" in json.loads(process.stdout), process.stdout
        finally:
            stack.terminate()
            ended = stack.wait(300)
        text = (folder / "log").read_text()
        assert ended == 0, text[-3000:]
        secrets = json.loads((folder / "data/parley/secrets.json").read_text())
        assert [name for name, value in (secrets | {"API_KEY": API_KEY}).items() if value in text] == []


def is_well(check: Sequence[str], env: Mapping[str, str]) -> bool:
    """Whether the health check says so, in time."""
    try:
        process = subprocess.run(check, env=env, capture_output=True, timeout=CHECK_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return False
    return process.returncode == 0


def silence(file: Path) -> Path:
    """One second of it."""
    with wave.open(str(file), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        out.writeframes(bytes(32_000))
    return file
