"""scripts/init_kubernetes.py: the secrets of an overlay."""

from __future__ import annotations

import re
import secrets
import stat
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from scripts.init_env import parse_env

ROOT = Path(__file__).resolve().parents[3]


def write(folder: Path, overlay: str = "cpu") -> str:
    """Run it as a user does, on a Python without our packages; what it says."""
    script = (sys.executable, "-S", ROOT / "scripts" / "init_kubernetes.py", overlay, "--folder", folder)
    return subprocess.run(script, check=True, capture_output=True, text=True, timeout=30).stdout


def values(folder: Path) -> dict[str, str]:
    return {name: value for file in folder.glob("*.env") for name, value in parse_env(file.read_text()).items()}


def test_secrets_are_new_and_private_and_shown_to_nobody(tmp_path: Path) -> None:
    """Each run into an empty folder makes others; only their owner can read them; the output names them, no more."""
    output = write(tmp_path / "one")
    write(tmp_path / "two")
    one, two = values(tmp_path / "one"), values(tmp_path / "two")
    assert one.keys() == two.keys()
    assert not set(one.values()) & set(two.values())
    for name, value in one.items():
        assert name in output
        assert len(re.findall(r"[0-9a-f]{48}", value)) == 1
        assert value not in output
    for file in (tmp_path / "one").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    """What is there stays, also what its owner wrote."""
    write(tmp_path)
    (tmp_path / "api.env").write_text(f"# mine\nAPI_KEY=pk_{secrets.token_urlsafe()}\n")
    before = {file: file.read_text() for file in tmp_path.iterdir()}
    write(tmp_path)
    assert {file: file.read_text() for file in tmp_path.iterdir()} == before


@pytest.mark.parametrize("lost", ["postgres.env", "valkey.env", "servers.env"])
def test_both_sides_of_a_server_agree(tmp_path: Path, lost: str) -> None:
    """The password in the address is the server's, also when one of both files was lost."""
    write(tmp_path)
    (tmp_path / lost).unlink()
    write(tmp_path)
    settings = values(tmp_path)
    assert urlsplit(settings["DATABASE_URL"]).password == settings["POSTGRES_PASSWORD"]
    assert urlsplit(settings["REDIS_URL"]).password == settings["VALKEY_PASSWORD"]


def test_what_only_the_owner_knows_is_asked_for(tmp_path: Path) -> None:
    """Where servers are outside, their addresses are named until they are filled in, and never defaulted."""
    output = write(tmp_path, "gpu")
    names = re.findall(r"to be filled in: (\w+)", output)
    assert names == ["DATABASE_URL", "REDIS_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]
    assert [values(tmp_path)[name] for name in names] == [""] * 4
    file = tmp_path / "servers.env"
    file.write_text(re.sub(r"=$", "=filled", file.read_text(), flags=re.M))
    assert "to be filled in" not in write(tmp_path, "gpu")
    assert values(tmp_path)["DATABASE_URL"] == "filled"


@pytest.mark.parametrize("name", ["secrets.env", "overlays/cpu/secrets.env", "overlays/gpu/secrets/api.env"])
def test_git_ignores_secrets(name: str) -> None:
    """Wherever below deploy/kubernetes they lie."""
    process = subprocess.run(("git", "check-ignore", "-q", f"deploy/kubernetes/{name}"), cwd=ROOT, check=False)
    assert process.returncode == 0
