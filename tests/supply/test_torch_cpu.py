"""`scripts/supply/torch_cpu.py` against an index on loopback."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.bootstrap import cpu_version
from scripts.supply import torch_cpu
from scripts.supply.lock import CPU_HASHES
from tests.supply.packages import Wheel, index

WHEELS = [
    Wheel("torch", cpu_version(), f"{python} {machine}".encode(), f"cp3{python}-cp3{python}-manylinux_2_28_{machine}")
    for python in range(10, 16)
    for machine in ("x86_64", "aarch64", "s390x")
]


def test_hashes_come_from_the_links_of_pytorchs_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file lists the wheels of every Python and processor that Parley runs on, as the committed one does."""
    with index(WHEELS) as pytorch:
        monkeypatch.setenv("TORCH_CPU_INDEX", pytorch.url)
        torch_cpu.main(tmp_path / "hashes")
    pairs = [line.split("  ") for line in (tmp_path / "hashes").read_text().splitlines()]
    lines = {file: sha256 for sha256, file in pairs}
    assert list(lines) == [line.split()[1] for line in CPU_HASHES.read_text().splitlines()]
    assert set(lines.items()) < {(each.file, each.sha256) for each in WHEELS}


def test_a_wheel_without_a_hash_leaves_the_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the index lacks one of them, it is named, and nothing is written."""
    with index([each for each in WHEELS if each.tag != "cp314-cp314-manylinux_2_28_aarch64"]) as pytorch:
        monkeypatch.setenv("TORCH_CPU_INDEX", pytorch.url)
        with pytest.raises(SystemExit, match=r"no hash for .*-cp314-cp314-manylinux_2_28_aarch64\.whl: hashes stays"):
            torch_cpu.main(tmp_path / "hashes")
    assert not (tmp_path / "hashes").exists()
