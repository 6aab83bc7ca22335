"""Ways out of yt-dlp's child, tried by native code in it, and what the worker makes of a folder that it leaves."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.egress.policy import Guard
from shared.errors import ExtractionError, FileTooLarge
from tasks.fetch import page
from tasks.sandbox.egress_proxy import EgressProxy
from tasks.sandbox.seccomp import ARCHITECTURES
from tasks.stages.download import Fetched, FetchLimits, download, open_plain
from tests.unit.intake.outside import Canary, hits

ROOT = Path(__file__).resolve().parents[3]
LIMITS = FetchLimits(max_bytes=1_000, max_duration_s=60, timeout_s=30, idle_timeout_s=10)
ALLOWED = {"proxy", "own-file"}


@pytest.mark.skipif(os.uname().machine not in ARCHITECTURES, reason="no list of system calls for this processor")
def test_there_is_no_way_out_of_the_child(tmp_path: Path) -> None:
    """Of some 130 ways to other sockets, programs, processes, files and parts of the kernel none is open to native code
    in the child, while the proxy and plain files of its own folder are."""
    folder, canary = tmp_path / "own", Canary()
    folder.mkdir()
    # root may do nearly everything, so that what is refused is refused by the lock
    with (
        EgressProxy(Guard(), idle_timeout_s=60) as proxy,
        socket.create_server(str(tmp_path / "socket"), family=socket.AF_UNIX),
        subprocess.Popen(["sleep", "600"]) as victim,
    ):
        arguments = (proxy.address[1], canary.port, victim.pid, tmp_path / "socket", folder)
        try:
            ran = subprocess.run(
                [sys.executable, "-I", str(Path(__file__).with_name("jail_break.py")), str(ROOT), *map(str, arguments)],
                cwd=tmp_path,
                env={},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=300,
            )
            assert victim.poll() is None, "the child ended a process that is not its own"
        finally:
            victim.kill()
    outcomes = dict(line.split() for line in ran.stdout.splitlines())
    assert ran.returncode == 0, (ran.stdout, ran.stderr)
    assert {name for name, outcome in outcomes.items() if outcome == "done"} == ALLOWED
    assert len(outcomes) > 130
    assert hits(canary) == 0
    assert {entry.name: stat.S_ISREG(entry.stat().st_mode) for entry in folder.iterdir()} == {"own": True}
    canary.close()


def _link(path: Path, secret: Path) -> None:
    path.symlink_to(secret)


def _hard_link(path: Path, secret: Path) -> None:
    path.hardlink_to(secret)


def _folder(path: Path, secret: Path) -> None:
    path.mkdir()


def _fifo(path: Path, secret: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path, secret: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the name of a socket is short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path.name)
    os.chdir(here)


def _device(path: Path, secret: Path) -> None:
    path.symlink_to("/dev/zero")


def _open_descriptor(path: Path, secret: Path) -> None:
    path.symlink_to("/proc/self/fd/0")


def _dangling(path: Path, secret: Path) -> None:
    path.symlink_to("nowhere")


def _nothing(path: Path, secret: Path) -> None:
    """Nothing is left at all."""


LEFT = (_link, _hard_link, _folder, _fifo, _socket, _device, _open_descriptor, _dangling, _nothing)


@pytest.mark.parametrize("leave", LEFT, ids=lambda leave: leave.__name__)
def test_only_a_plain_file_is_taken_from_the_folder(tmp_path: Path, leave: Callable[[Path, Path], None]) -> None:
    """A link of either kind, a folder, a pipe, a socket or a device in the place of the recording is no recording, is
    never waited for, and nothing behind it is read."""
    secret = tmp_path / "secret"
    secret.write_text("password")

    def way(url: str, folder: Path, limits: FetchLimits, progress: object) -> Fetched:
        leave(folder / "recording", secret)
        return Fetched(folder / "recording", "a.wav")

    with pytest.raises(ExtractionError):
        download("http://example.org/a", tmp_path / "", [way], LIMITS, lambda _: None)
    with pytest.raises(ExtractionError):
        open_plain(tmp_path / "way-0", tmp_path / "way-0" / "recording")


def test_a_file_elsewhere_is_not_taken(tmp_path: Path) -> None:
    """A recording that lies outside its way's folder, below it, or behind a folder that is a link is refused."""
    (tmp_path / "way").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "recording").write_text("x")
    (tmp_path / "way" / "link").symlink_to(tmp_path / "other")
    for path in (tmp_path / "other" / "recording", tmp_path / "way" / "link" / "recording"):
        with pytest.raises(ExtractionError):
            open_plain(tmp_path / "way", path)


def test_a_folder_full_of_small_things_is_too_large(tmp_path: Path) -> None:
    """What lies in folders within the folder counts, and so do names of empty files."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_bytes(bytes(10_000))
    for number in range(1000):
        (tmp_path / f"{number}").touch()
    assert page._size(tmp_path) >= 10_000 + 1000 * page.ENTRY_BYTES


def test_a_recording_beyond_the_limit_is_too_large(tmp_path: Path) -> None:
    """The size of the file itself decides, not what was said of it."""

    def way(url: str, folder: Path, limits: FetchLimits, progress: object) -> Fetched:
        (folder / "recording").write_bytes(bytes(LIMITS.max_bytes + 1))
        return Fetched(folder / "recording", None)

    with pytest.raises(FileTooLarge):
        download("http://example.org/a", tmp_path, [way], LIMITS, lambda _: None)
