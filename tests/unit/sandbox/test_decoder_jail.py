"""What code could do that took over the decoder's child."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers of its system calls are those of x86-64")
def test_there_is_no_way_out_of_the_decoder(tmp_path: Path) -> None:
    """Of some 75 ways to files, descriptors, other processes and the machine none is open, not even to root's child."""
    file = tmp_path / "recording"
    file.write_text("another tenant's")
    before = file.stat()
    with subprocess.Popen(["sleep", "60"]) as victim:
        ran = subprocess.run(
            [
                sys.executable,
                "-I",
                str(Path(__file__).with_name("decoder_break.py")),
                str(ROOT),
                str(file),
                str(victim.pid),
            ],
            cwd=tmp_path,
            env={},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert victim.poll() is None
        victim.kill()
    outcomes = dict(line.split("\t") for line in ran.stdout.splitlines())
    assert ran.returncode == 0, ran.stderr
    assert [name for name, outcome in outcomes.items() if outcome == "done"] == []
    assert len(outcomes) > 70
    assert [entry.name for entry in tmp_path.iterdir()] == ["recording"]
    after = file.stat()
    assert (after.st_mode, after.st_uid, after.st_mtime, after.st_size) == (
        before.st_mode,
        before.st_uid,
        before.st_mtime,
        before.st_size,
    )
