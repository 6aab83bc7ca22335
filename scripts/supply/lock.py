"""`python -m scripts.supply.lock`: write requirements/locks from requirements/*.txt, every package with its hashes.

uv resolves each set once for all Pythons and processors that Parley runs on. A lock has what its set adds to the sets
that it includes. The lock `worker` fits both builds of torch; what only the build for NVIDIA cards needs is in
`torch-cuda`, so that an image for CPUs stays free of it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.markers import Marker
from packaging.utils import canonicalize_name

from scripts.bootstrap import included

ROOT = Path(__file__).resolve().parents[2]
INPUTS = ROOT / "requirements"
LOCKS = INPUTS / "locks"
CPU_HASHES = INPUTS / "torch-cpu.sha256"

SETS = ("pip", "base", "api", "asr", "cuda", "worker", "models", "local", "dev")
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
PATCHES = ("3.11.0", "3.11.2", "3.11.15", "3.12.0", "3.13.0", "3.14.0")
"""Releases at which a marker may tell Pythons apart: Debian 12 has 3.11.2."""
MACHINES = ("x86_64", "aarch64")
COMMAND = "python -m scripts.supply.lock"

TORCH_CPU_NEEDS = (
    "filelock",
    "typing-extensions>=4.10.0",
    "setuptools>=77.0.3",
    "sympy>=1.13.3",
    "networkx>=2.5.1",
    "jinja2",
    "fsspec>=0.8.5",
)
"""Requires-Dist of torch 2.13.0+cpu. uv reads PyPI, whose build of this version needs CUDA's libraries as well."""


@dataclass(frozen=True)
class Entry:
    """One package of a lock."""

    name: str
    version: str
    marker: str
    """For which Pythons and processors; empty for all."""
    hashes: tuple[str, ...]

    def text(self) -> str:
        condition = f" ; {self.marker}" if self.marker else ""
        return " \\\n    ".join(
            (f"{self.name}=={self.version}{condition}", *(f"--hash={each}" for each in self.hashes))
        )


def main() -> None:
    LOCKS.mkdir(exist_ok=True)
    entries = {name: resolve(name, with_cuda=False) for name in SETS}
    for name in SETS:
        bases = [other for other in included(name)[1:] if other in SETS]
        base_entries = {each for other in bases for each in entries[other]}
        includes = [f"-r {other}.txt" for other in direct(name)]
        write(name, includes, [entry for entry in entries[name] if entry not in base_entries])
    names = {entry.name for entry in entries["worker"]}
    cuda = [entry for entry in resolve("worker", with_cuda=True) if entry.name not in names]
    write("torch-cpu", ["-c ../torch-cpu.txt"], [])
    write("torch-cuda", ["-c ../torch-cuda.txt"], cuda)


def direct(name: str) -> list[str]:
    """Sets that this set's file includes itself."""
    lines = (INPUTS / f"{name}.txt").read_text().splitlines()
    return [line[3:].strip().removesuffix(".txt") for line in lines if line.startswith("-r ")]


def write(name: str, includes: list[str], entries: list[Entry]) -> None:
    header = f"# Made by `{COMMAND}` from requirements/*.txt. Do not edit."
    (LOCKS / f"{name}.txt").write_text("\n".join([header, *includes, *(entry.text() for entry in entries)]) + "\n")


def resolve(name: str, *, with_cuda: bool) -> list[Entry]:
    """The whole closure of a set, sorted by name, as uv resolves it.

    Raises SystemExit with uv's message where the pins contradict each other or the index cannot be reached.
    """
    python = f"python_version < '3.{int(PYTHONS[-1].split('.')[1]) + 1}'"
    environments = [f"sys_platform == 'linux' and platform_machine == '{machine}' and {python}" for machine in MACHINES]
    text = compiled(
        INPUTS / f"{name}.txt",
        "--universal",
        "--python-version",
        PYTHONS[0],
        "--generate-hashes",
        settings=[f"environments = {environments!r}"],
        with_cuda=with_cuda,
    )
    return [with_cpu_hashes(replace(entry, marker=simple(entry.marker))) for entry in parse(text)]


def compiled(file: Path, *options: str | Path, settings: Sequence[str] = (), with_cuda: bool) -> str:
    """What `uv pip compile` writes for a file of requirements; wheels only.

    Raises SystemExit with uv's message where the pins contradict each other or the index cannot be reached.
    """
    if not with_cuda:
        version = cpu_version().partition("+")[0]
        metadata = f'{{ name = "torch", version = "{version}", requires-dist = {list(TORCH_CPU_NEEDS)!r} }}'
        settings = [*settings, f"dependency-metadata = [{metadata}]"]
    with tempfile.TemporaryDirectory() as folder:
        project = f'[project]\nname = "lock"\nversion = "0"\nrequires-python = ">={PYTHONS[0]}"\n[tool.uv]\n'
        (Path(folder) / "pyproject.toml").write_text(project + "\n".join(settings) + "\n")
        command = (
            sys.executable,
            "-m",
            "uv",
            "pip",
            "compile",
            "--quiet",
            "--system-certs",  # as pip trusts them
            "--only-binary",
            ":all:",
            "--no-header",
            "--no-annotate",
            *options,
            file,
        )
        uv = subprocess.run(command, cwd=folder, env=with_index(), capture_output=True, text=True, check=False)
    if uv.returncode != 0:
        name = file.relative_to(ROOT) if file.is_relative_to(ROOT) else file
        sys.exit(f"uv could not resolve {name}:\n{uv.stderr}")
    return uv.stdout


def with_index() -> dict[str, str]:
    """This process's environment; uv, which does not read pip's settings, has pip's index."""
    command = (sys.executable, "-m", "pip", "config", "get", "global.index-url")
    configured = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    index = os.environ.get("PIP_INDEX_URL") or configured
    return {**({"UV_DEFAULT_INDEX": index} if index else {}), **os.environ}


def parse(text: str) -> list[Entry]:
    """Entries of a lock's own text, without those of the files that it includes."""
    lines = re.sub(r" \\\n\s*", " ", text).splitlines()
    entries = []
    for line in lines:
        if line and not line.startswith(("#", "-")):
            requirement, *hashes = line.split(" --hash=")
            pin, _, marker = requirement.partition(" ; ")
            name, _, version = pin.strip().partition("==")
            entries.append(Entry(canonicalize_name(name), version, marker.strip(), tuple(hashes)))
    return entries


def simple(marker: str) -> str:
    """A marker without what is true of every Python and processor that Parley runs on."""
    if not marker:
        return ""
    condition = Marker(marker)
    truths = {
        (patch, machine): condition.evaluate(
            {
                "python_version": patch.rpartition(".")[0],
                "python_full_version": patch,
                "sys_platform": "linux",
                "platform_machine": machine,
                "platform_system": "Linux",
                "implementation_name": "cpython",
                "platform_python_implementation": "CPython",
                "os_name": "posix",
            }
        )
        for patch in PATCHES
        for machine in MACHINES
    }
    if all(truths.values()):
        return ""
    if all(truths[patch, MACHINES[0]] == truths[patch, MACHINES[1]] for patch in PATCHES):
        return re.sub(r" and \(\(.*\) or \(.*\)\)$", "", marker)
    return marker


def with_cpu_hashes(entry: Entry) -> Entry:
    """torch with the hashes of its wheels for CPUs beside those of PyPI's."""
    if entry.name != "torch":
        return entry
    if entry.version != cpu_version().partition("+")[0]:
        sys.exit(
            f"{CPU_HASHES.relative_to(ROOT)} has the hashes of torch {cpu_version()}, the sets have {entry.version}: "
            "run `python -m scripts.supply.torch_cpu` first"
        )
    hashes = {f"sha256:{line.split()[0]}" for line in CPU_HASHES.read_text().splitlines()}
    return replace(entry, hashes=tuple(sorted({*entry.hashes, *hashes})))


def cpu_version() -> str:
    """The version whose hashes are known, as 2.13.0+cpu."""
    return CPU_HASHES.read_text().split()[1].split("-")[1]


if __name__ == "__main__":
    main()
