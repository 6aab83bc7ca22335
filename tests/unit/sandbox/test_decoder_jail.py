"""What code could do that took over the decoder's child."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tasks.sandbox.forked import ForkServer
from tasks.sandbox.seccomp import ARCHITECTURES


@dataclass
class Outcome:
    name: str
    is_done: bool


@pytest.mark.skipif(os.uname().machine not in ARCHITECTURES, reason="no list of system calls for this processor")
@pytest.mark.parametrize("is_stream", [False, True], ids=["file", "stream"])
def test_there_is_no_way_out_of_the_decoder(is_stream: bool, tmp_path: Path) -> None:
    """Of some 80 ways to files, descriptors, other processes and the machine none is open, not even to root's child;
    and with the pipe of a live session none to whoever writes into it."""
    file = tmp_path / "recording"
    file.write_text("another tenant's")
    before = file.stat()
    server = ForkServer(Path(__file__).with_name("decoder_break.py"))
    reader, writer = os.pipe()
    os.write(writer, b"sound")
    fds = (reader,) if is_stream else ()
    with os.fdopen(reader, "rb"), os.fdopen(writer, "wb"), subprocess.Popen(["sleep", "60"]) as victim:
        with server.child({"path": str(file), "victim": victim.pid}, tmp_path, fds=fds) as child:
            outcomes = [line for line in child.messages(Outcome, timeout_s=60, tick_s=1) if line]
            code, status, noise = child.end()
        assert victim.poll() is None
        victim.kill()
    assert (code, status) == (os.CLD_EXITED, 0), noise
    assert [one.name for one in outcomes if one.is_done] == []
    assert len({one.name for one in outcomes}) > (88 if is_stream else 75)
    assert [entry.name for entry in tmp_path.iterdir()] == ["recording"]
    after = file.stat()
    assert (after.st_mode, after.st_uid, after.st_mtime, after.st_size) == (
        before.st_mode,
        before.st_uid,
        before.st_mtime,
        before.st_size,
    )
