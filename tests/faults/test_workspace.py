"""Folders for temporary files: kept while their process lives, removed when it is gone, however it went."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from scripts.local.apps import ROOT
from tasks.worker.workspace import sweep_scratch, workspace

HOLDER = """
import pathlib, sys
from tasks.worker.workspace import workspace
with workspace(pathlib.Path(sys.argv[1]), "convert") as folder:
    (folder / "audio.wav").write_bytes(b"x")
    print("held", flush=True)
    sys.stdin.read()
"""


def hold(scratch: Path) -> subprocess.Popen[str]:
    """A process that has a folder with a file in it."""
    process = subprocess.Popen(
        (sys.executable, "-c", HOLDER, str(scratch)),
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def folders(scratch: Path) -> list[Path]:
    """What a sweep may remove."""
    return [path for path in scratch.iterdir() if path.is_dir()]


def test_only_folders_of_dead_processes_are_removed(tmp_path: Path) -> None:
    """Of a live and a killed process only the latter's folder goes, and one that was never locked."""
    with hold(tmp_path) as dead:
        dead.kill()
    (tmp_path / "convert-halfmade").mkdir()
    with hold(tmp_path) as alive:
        assert len(folders(tmp_path)) == 3
        assert sweep_scratch(tmp_path) == 2
        (folder,) = folders(tmp_path)
        assert (folder / "audio.wav").read_bytes() == b"x"
        alive.kill()
    assert sweep_scratch(tmp_path) == 1
    assert folders(tmp_path) == []


def test_a_folder_is_gone_after_its_stage(tmp_path: Path) -> None:
    """Also when the stage fails."""
    try:
        with workspace(tmp_path / "scratch", "merge") as folder:
            (folder / "deep").mkdir()
            raise ValueError
    except ValueError:
        pass
    assert folders(tmp_path / "scratch") == []


def test_no_scratch_folder_is_nothing_to_sweep(tmp_path: Path) -> None:
    """A worker starts before anything was ever written."""
    assert sweep_scratch(tmp_path / "none") == 0
