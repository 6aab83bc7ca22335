"""deploy/caddy/ratelimit.caddy in a Caddy that has the plugin: CADDY_RATELIMIT names it, `make caddy` builds one."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.caddy.door import Door
from tests.deploy.composed import BIN, ROOT
from tests.deploy.conftest import Deployment
from tests.spellings import SPELLINGS

HERE, S3 = 18080, 19000
SUBMITS = 5
KEYS = 3

SPELL = f"""
import json, sys
from tests.spellings import SPELLINGS, send
port, keys = int(sys.argv[1]), sys.argv[2:]
def submit(headers): return send("127.0.0.1", port, "POST", "/transcribe", headers)
said = [[submit((("X-API-Key", keys[0]),)) for _ in range({SUBMITS + 1})]]
said.append([submit(one.headers(keys[0], keys[0])) for one in SPELLINGS])
withheld = [(("Connection", name), ("Authorization", f"Bearer pk_{{n}}"), ("X-API-Key", keys[0]))
            for n, name in enumerate(("Authorization", "x-api-key", "close, authorization"))]
said.append([submit(headers) for headers in withheld])
said.append([submit((("X-API-Key", key),)) for key in keys[1:]])
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def program(deployment: Deployment) -> Path:
    """A copy where that machine sees it."""
    path = os.environ.get("CADDY_RATELIMIT")
    if not path:
        pytest.skip("CADDY_RATELIMIT names no Caddy with the rate-limit plugin, so its limits are not run (make caddy)")
    return Path(shutil.copy(path, deployment.folder / "caddy-ratelimit"))


@pytest.fixture
def door(deployment: Deployment, program: Path, tmp_path: Path) -> Iterator[Deployment]:
    """A second Caddy, with the plugin and all limits as they are by default, but for the submits."""
    changes = {
        "RATELIMIT_FILE": "deploy/caddy/ratelimit.caddy",
        "SUBMITS_PER_MINUTE": str(SUBMITS),
        "PARLEY_SITE": f"http://:{HERE}",
        "S3_SITE": f"http://:{S3}",
    }
    with Door(deployment, tmp_path / "door", changes, program=program):
        yield deployment


def test_each_limit_is_there(door: Deployment) -> None:
    """scripts/check_ratelimit.py, as operators run it, is refused by each of the four limits."""
    process = door.run(str(BIN / "python"), str(ROOT / "scripts/check_ratelimit.py"), f"http://127.0.0.1:{HERE}")
    assert process.returncode == 0, process.stdout + process.stderr
    assert [line.split(":")[0] for line in process.stdout.splitlines()] == ["submit", "upload", "poll", "address"]
    assert process.stdout.count("refused after") == 4


def test_no_second_spelling_passes_a_limit_that_is_used_up(door: Deployment) -> None:
    """With a key's submits used up, that key in any spelling is refused by Caddy or no key to the gateway; the same
    where `Connection` would withhold the one that was counted. Other keys are not concerned."""
    keys = []
    for number in range(KEYS):
        creation = door.run(
            "env",
            *(f"{name}={value}" for name, value in door.service("api").environment.items()),
            str(BIN / "python"),
            "-m",
            "scripts.create_api_key",
            f"spelling {number}",
        )
        assert creation.returncode == 0, creation.stderr
        keys.append(creation.stdout.strip())
    began = time.monotonic()
    process = door.run(str(BIN / "python"), "-c", SPELL, str(HERE), *keys)
    assert process.returncode == 0, process.stderr
    assert time.monotonic() - began < 30, "the window of a minute may be over"
    used_up, spelled, withheld, others = json.loads(process.stdout)
    assert [status for status, _ in used_up] == [422] * SUBMITS + [429]
    for spelling, (status, zones) in zip(SPELLINGS, spelled, strict=True):
        if spelling.is_key:
            assert (status, zones) == (429, ["submit"]), spelling.name
        else:
            assert status in (400, 401, 429), spelling.name
    assert [status for status, _ in withheld] == [400] * 3
    assert [status for status, _ in others] == [422] * (KEYS - 1)
