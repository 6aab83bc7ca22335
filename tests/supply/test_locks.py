"""requirements/locks follow requirements/*.txt, and have a hash for every file that may be installed."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from scripts.bootstrap import included
from scripts.supply import lock
from tests.deploy.images.dockerfiles import ROOT, stages

CONSTRAINTS = "constraints"
ALL = (*lock.SETS, "torch-cpu", "torch-cuda")


def pins(file: Path) -> dict[str, str]:
    """Version by package of a readable file, without those that it includes."""
    lines = (line.partition("#")[0].strip() for line in file.read_text().splitlines())
    requirements = [Requirement(line) for line in lines if line and not line.startswith("-")]
    for each in requirements:
        assert re.fullmatch(r"[=!]=[^,*]+", str(each.specifier)), f"{each} is no single version"
    return {canonicalize_name(each.name): str(each.specifier)[2:] for each in requirements}


def closure(name: str) -> dict[str, lock.Entry]:
    """Every entry of a lock and of the locks that it includes."""
    text = (lock.LOCKS / f"{name}.txt").read_text()
    entries = {entry.name: entry for entry in lock.parse(text)}
    for other in re.findall(r"^-r (\S+)\.txt$", text, re.MULTILINE):
        entries |= closure(other)
    return entries


def test_each_set_has_its_lock() -> None:
    """There is a lock for each file that names packages to install, and none besides."""
    inputs = {file.stem for file in lock.INPUTS.glob("*.txt")} - {CONSTRAINTS}
    assert inputs == {file.stem for file in lock.LOCKS.iterdir()} == set(ALL)


@pytest.mark.parametrize("name", lock.SETS)
def test_a_lock_has_what_its_set_names(name: str) -> None:
    """Every pin of a set, and of the sets that it includes, is in its lock at the same version."""
    entries = closure(name)
    for other in set(included(name)) - {CONSTRAINTS}:
        for package, version in pins(lock.INPUTS / f"{other}.txt").items():
            assert entries[package].version == version, package


def test_locks_and_constraints_are_the_same_packages() -> None:
    """constraints.txt names every package of the locks at its version, and no other; no lock has a second version."""
    locked = {
        (entry.name, entry.version) for name in ALL for entry in lock.parse((lock.LOCKS / f"{name}.txt").read_text())
    }
    assert locked == set(pins(lock.INPUTS / "constraints.txt").items())


@pytest.mark.parametrize("name", ALL)
def test_each_entry_has_hashes(name: str) -> None:
    """Every entry of a lock is one version with SHA-256 hashes, each once."""
    for entry in lock.parse((lock.LOCKS / f"{name}.txt").read_text()):
        assert entry.hashes, entry
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", each) for each in entry.hashes), entry
        assert len(set(entry.hashes)) == len(entry.hashes)


def test_torch_has_both_builds() -> None:
    """The lock has the wheels for CPUs of every Python and processor, PyPI's besides, and no library for cards;
    those are in a lock of their own."""
    lines = lock.CPU_HASHES.read_text().splitlines()
    files = {file: f"sha256:{digest}" for digest, file in (line.split("  ") for line in lines)}
    version = pins(lock.INPUTS / "torch-cpu.txt")["torch"]
    tags = [f"cp{python.replace('.', '')}" for python in lock.PYTHONS]
    assert set(files) == {
        f"torch-{version}-{tag}-{tag}-manylinux_2_28_{machine}.whl" for tag in tags for machine in lock.MACHINES
    }
    torch = closure("worker")["torch"]
    assert torch.version == version.removesuffix("+cpu") == pins(lock.INPUTS / "worker.txt")["torch"]
    assert set(files.values()) < set(torch.hashes)
    assert len(set(torch.hashes) - set(files.values())) >= len(files), "PyPI has a wheel for each of them"
    assert not [name for name in closure("dev") if name.startswith(("nvidia-cud", "nvidia-cublas", "triton"))]
    assert {"triton", "nvidia-cublas", "nvidia-cudnn-cu13"} < set(closure("torch-cuda"))
    assert pins(lock.INPUTS / "torch-cuda.txt")["torch"] == version


def test_images_are_installed_by_hash() -> None:
    """Every pip that installs in a Dockerfile takes locks only, by hash, and builds nothing."""
    runs = [
        run for file in ("Dockerfile", "Dockerfile.worker") for stage in stages(file) for run in stage.values("RUN")
    ]
    commands = [part for run in runs for part in re.split(r"&&|;", run) if " install " in part and "pip" in part]
    assert len(commands) >= 6
    for command in commands:
        assert "--require-hashes" in command and "--only-binary=:all:" in command, command
        words = command.partition(" install ")[2].split()
        files = [word.strip('"') for option, word in pairwise(words) if option == "-r"]
        assert files and all(file.startswith("requirements/locks/") for file in files), command
        assert len([word for word in words if not word.startswith("-")]) == len(files), f"only locks: {command}"
        for file in files:
            assert (ROOT / file.replace("${ACCELERATOR}", "cpu")).exists() and (
                ROOT / file.replace("${ACCELERATOR}", "cuda")
            ).exists()


def test_pip_takes_the_locks() -> None:
    """pip reads the largest lock in its strictest way, and everything that it names is what this environment has."""
    pip = subprocess.run(
        (
            sys.executable,
            "-m",
            "pip",
            "install",
            "--dry-run",
            "--no-deps",
            "--no-input",
            "--require-hashes",
            "--only-binary=:all:",
            "-r",
            lock.LOCKS / "dev.txt",
        ),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert pip.returncode == 0, pip.stdout[-2000:] + pip.stderr[-2000:]
    assert "Would install" not in pip.stdout, "make venv-dev"


@pytest.mark.parametrize(
    ("marker", "expected"),
    [
        (
            "python_full_version < '3.15' and ((platform_machine == 'aarch64' and sys_platform == 'linux') or "
            "(platform_machine == 'x86_64' and sys_platform == 'linux'))",
            "",
        ),
        (
            "python_full_version < '3.11.3' and ((platform_machine == 'aarch64' and sys_platform == 'linux') or "
            "(platform_machine == 'x86_64' and sys_platform == 'linux'))",
            "python_full_version < '3.11.3'",
        ),
        ("platform_machine == 'x86_64'", "platform_machine == 'x86_64'"),
        ("", ""),
    ],
)
def test_markers_say_only_what_tells_apart(marker: str, expected: str) -> None:
    """What holds for all Pythons and processors is left out of a marker, what does not stays."""
    assert lock.simple(marker) == expected
