"""How much memory is free, and which card is whose."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.engines import cards, memory

ROOT = Path(__file__).parents[3]
MB = 1024**2


def group(folder: Path, limit: str, usage: int, files: int, version: int) -> None:
    """A memory cgroup's files, of which the kernel could drop `files` bytes."""
    names = memory.CGROUP_FILES["" if version == 2 else "memory"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / names[0]).write_text(f"{limit}\n")
    (folder / names[1]).write_text(f"{usage}\n")
    (folder / "memory.stat").write_text(f"anon 1\ninactive_file {files}\ntotal_inactive_file {files}\n")


@pytest.mark.parametrize(("version", "line", "top"), [(2, "0::/pod/worker", ""), (1, "4:memory:/pod/worker", "memory")])
def test_every_cgroup_on_the_way_up_counts(tmp_path: Path, version: int, line: str, top: str) -> None:
    """The room of a group is its limit less what it uses, but for files that can be dropped; parents have theirs."""
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "cgroup").write_text(f"7:cpuset:/\n{line}\n")
    mount = tmp_path / "mount"
    group(mount / top / "pod" / "worker", str(800 * MB), 300 * MB, 100 * MB, version)
    group(mount / top / "pod", str(500 * MB), 450 * MB, 0, version)
    assert sorted(memory.cgroup_rooms(tmp_path, mount)) == [50 * MB, 600 * MB]


def test_a_container_sees_its_own_group_at_the_top(tmp_path: Path) -> None:
    """Where the host's name of the group leads nowhere, the group that is mounted counts; `max` is no limit."""
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "cgroup").write_text("0::/system.slice/docker-1f2e.scope\n")
    group(tmp_path / "mount", str(2000 * MB), 500 * MB, 0, 2)
    assert list(memory.cgroup_rooms(tmp_path, tmp_path / "mount")) == [1500 * MB]
    group(tmp_path / "mount", "max", 500 * MB, 0, 2)
    assert list(memory.cgroup_rooms(tmp_path, tmp_path / "mount")) == []


def test_a_limit_of_address_space_counts() -> None:
    """A process that may take 4 GB of addresses has less than that, on a machine with more."""
    program = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (4 * 1024**3,) * 2)\n"
        "from tasks.engines import memory; print(memory.free_bytes('cpu'))"
    )
    process = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert 0 < int(process.stdout) < 4 * 1024**3


@pytest.mark.parametrize(
    ("listed", "processes", "shares"),
    [
        ("01", 2, ["0", "1"]),
        ("0123", 2, ["02", "13"]),
        ("0123", 1, ["0123"]),
        ("01", 4, ["0", "1", "0", "1"]),
        ("012", 2, ["02", "1"]),
    ],
)
def test_each_card_has_a_process_before_any_has_two(listed: str, processes: int, shares: list[str]) -> None:
    """Processes take the cards in turn; only where there are more cards than processes has one several."""
    assert ["".join(cards.share(listed, index, processes)) for index in range(processes)] == shares


def test_a_process_hides_the_cards_of_others() -> None:
    """What CUDA will see is this process's share, by the numbers of nvidia-smi; without a list nothing is touched."""
    program = (
        "import os; from tasks.engines import cards; cards.take('GPU-8a, GPU-9b', 1, 2)\n"
        "print(os.environ['CUDA_VISIBLE_DEVICES'], os.environ['CUDA_DEVICE_ORDER'])"
    )
    process = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert process.stdout.split() == ["GPU-9b", "PCI_BUS_ID"]
    before = dict(os.environ)
    assert cards.take("", 0, 2) == ()
    assert dict(os.environ) == before
