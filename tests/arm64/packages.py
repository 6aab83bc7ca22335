"""Parley's virtual environment for ARM64, made on any processor: the wheels of the lock, and a stamp that says so."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from scripts.bootstrap import LOCKS, ROOT, TORCH_CPU_INDEX, cpu_version, fingerprint, included, index_page
from scripts.supply import lock, platforms

MACHINE, PYTHON = "aarch64", "3.11"
TESTS = ("pytest", "pytest-timeout", "pluggy", "iniconfig", "packaging", "pygments")
"""Of the set `dev`: what the jails' tests need."""

TORCH = ("torch", "torchaudio", "torchcodec")
PUBLIC = ("torch==2.10.0", "torchaudio==2.10.0")
"""The last of PyPI's wheels for ARM64 that are builds for CPUs, where PyTorch's index does not answer. torchcodec of
that time has none, and nothing here decodes by it."""

INSTALL_TIMEOUT_S = 1800


def torch() -> str:
    """What of torch there will be, in words: the locked build for CPUs, or PyPI's last one."""
    return f"torch {cpu_version()}" if _has_locked_torch() else f"{PUBLIC[0].replace('==', ' ')} of PyPI"


def install(folder: Path) -> None:
    """A virtual environment in the folder, for Debian's Python, up to date as bootstrap.py sees it."""
    packages = folder / f"lib/python{PYTHON}/site-packages"
    packages.mkdir(parents=True)
    (folder / "bin").mkdir()
    for name in ("python", "python3"):
        (folder / "bin" / name).symlink_to(f"/usr/bin/python{PYTHON}")
    (folder / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\nversion = 3.11.2\n")
    entries = _entries("dev")
    names = ({*_entries("local"), *TESTS} & set(entries)) - set(TORCH)
    locked = folder / "locked.txt"
    locked.write_text("\n".join(entries[name].text() for name in sorted(names)) + "\n")
    _uv(packages, "--require-hashes", "-r", str(locked))
    if _has_locked_torch():
        text = "\n".join(entries[name].text() for name in TORCH)
        locked.write_text(re.sub(r"^torch==\S+", f"torch=={cpu_version()}", text, flags=re.MULTILINE) + "\n")
        strategy = ("--index-strategy", "unsafe-best-match")
        _uv(packages, "--require-hashes", "--index", _index(), *strategy, "-r", str(locked))
    else:
        _uv(packages, *PUBLIC)
    locked.unlink()
    stamp = {name: fingerprint(name) for name in _locks("local")} | {"accelerator": "cpu"}
    (folder / "requirements.json").write_text(json.dumps(stamp, indent=2) + "\n")
    compile_files(packages)


def take_program(package: str, name: str, target: Path) -> None:
    """The program of a locked package, in place of this machine's."""
    with tempfile.TemporaryDirectory() as folder:
        locked = Path(folder) / "locked.txt"
        locked.write_text(_entries("dev")[package].text() + "\n")
        _uv(Path(folder) / "packages", "--require-hashes", "-r", str(locked))
        shutil.copy2(Path(folder) / "packages/bin" / name, target)


def lock_public_torch(requirements: Path) -> None:
    """Where the locked build for CPUs cannot be had, put PyPI's last one into these requirements in its place."""
    if _has_locked_torch():
        return
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(PUBLIC) + "\n")
        file.flush()
        platform = ("--python-platform", f"{MACHINE}-{platforms.GLIBC}", "--python-version", PYTHON)
        text = lock.compiled(Path(file.name), "--no-deps", "--generate-hashes", *platform, with_cuda=True)
    locked = requirements / "locks/worker.txt"
    entries = {each.name: each for each in (*lock.parse(locked.read_text()), *lock.parse(text))}
    includes = [line for line in locked.read_text().splitlines() if line.startswith("-r ")]
    locked.write_text("\n".join([*includes, *(each.text() for each in entries.values())]) + "\n")
    (requirements / "torch-cpu.txt").write_text(f"{PUBLIC[0]}\n")


def compile_files(folder: Path) -> None:
    """Python's compiled files, which would take the emulated machine minutes; none where no Python 3.11 is here."""
    is_same = f"{sys.version_info.major}.{sys.version_info.minor}" == PYTHON
    python = sys.executable if is_same else shutil.which(f"python{PYTHON}")
    if python:
        command = (python, "-m", "compileall", "-q", "-j", "2", "--invalidation-mode", "unchecked-hash", str(folder))
        subprocess.run(command, check=False, capture_output=True, timeout=INSTALL_TIMEOUT_S)


def _locks(name: str) -> list[str]:
    """The set and those that it includes, as far as they have locks."""
    return [each for each in included(name) if (LOCKS / f"{each}.txt").exists()]


def _entries(name: str) -> dict[str, lock.Entry]:
    entries = (each for other in _locks(name) for each in lock.parse((LOCKS / f"{other}.txt").read_text()))
    return {each.name: each for each in entries}


def _index() -> str:
    return os.environ.get("TORCH_CPU_INDEX", TORCH_CPU_INDEX)


def _has_locked_torch() -> bool:
    file = f"torch-{cpu_version()}-cp311-cp311-manylinux_2_28_{MACHINE}.whl"
    page = index_page(f"{_index()}/torch/")
    return file in page or file.replace("+", "%2B") in page


def _uv(target: Path, *arguments: str) -> None:
    command = (
        sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:",
        "--python-platform", f"{MACHINE}-{platforms.GLIBC}", "--python-version", PYTHON, "--target", str(target),
    )  # fmt: skip
    process = subprocess.run(
        (*command, *arguments), cwd=ROOT, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False
    )
    assert process.returncode == 0, process.stderr[-3000:]
