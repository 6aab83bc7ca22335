"""`python -m scripts.supply.platforms`: what each set of requirements is on each processor, as a table for a document.

uv resolves the locks as an installation would, for a processor that need not be this one, and installs nothing.
"""

from __future__ import annotations

import sys
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from scripts.bootstrap import included
from scripts.supply import lock

GLIBC = "manylinux_2_28"
"""The oldest C library that the wheels are for: Debian 10's."""

TORCH_CPU_BYTES = {"x86_64": 191_794_682}
"""Size of torch's wheel for CPUs, which is on PyTorch's own index. That of ARM64 was never seen: 2.10.0's is 146 MB."""

NAMES = {"x86_64": "x86-64", "aarch64": "ARM64"}


@dataclass(frozen=True)
class Wheel:
    """One file that an installation takes."""

    name: str
    version: str
    file: str
    size_bytes: int
    """0 where the index does not tell it."""
    sha256: str


def wheels(name: str, machine: str, *, python: str = lock.PYTHONS[0], with_cuda: bool = False) -> list[Wheel]:
    """The wheels of a set, or of any file beside the locks, for a processor and a Python, sorted by name.

    Without CUDA, torch's wheel is PyPI's, for it stands there for the one of PyTorch's index, whose needs it has.
    Raises SystemExit with uv's message where there is no wheel for that processor.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        names = (name, "torch-cuda") if with_cuda else (name,)
        file.write("".join(f"-r {lock.LOCKS / each}.txt\n" for each in names))
        file.flush()
        return resolved(Path(file.name), machine, python=python, with_cuda=with_cuda)


def resolved(file: Path, machine: str, *, python: str, with_cuda: bool) -> list[Wheel]:
    """The wheels of a file of requirements."""
    platform = f"{machine}-{GLIBC}"
    options = ("--format", "pylock.toml", "--python-platform", platform, "--python-version", python)
    interpreter = ("--python", sys.executable)  # without it uv looks for that Python, for seconds
    packages = tomllib.loads(lock.compiled(file, *options, *interpreter, with_cuda=with_cuda)).get("packages", [])
    entries = []
    for package in packages:
        wheel = package["wheels"][0]
        name, sha256 = wheel["url"].rpartition("/")[2], wheel["hashes"]["sha256"]
        entries.append(Wheel(package["name"], package["version"], name, wheel.get("size", 0), sha256))
    return entries


def table() -> Iterator[str]:
    """A line per set and build of torch: packages and megabytes on each processor."""
    yield "| set | torch | " + " | ".join(f"{NAMES[machine]}: packages, MB" for machine in lock.MACHINES) + " |"
    yield "|---|---|" + "---|" * len(lock.MACHINES)
    for name in lock.SETS:
        for build in ("CPUs", "NVIDIA cards") if "worker" in included(name) else ("-",):
            cells = (cell(name, machine, build) for machine in lock.MACHINES)
            yield f"| `{name}` | {build} | " + " | ".join(cells) + " |"


def cell(name: str, machine: str, build: str) -> str:
    """How many packages, and their megabytes; `+ torch` where the size of its wheel is not known."""
    listing = wheels(name, machine, with_cuda=build == "NVIDIA cards")
    sizes = {wheel.name: wheel.size_bytes for wheel in listing}
    rest = ""
    if build == "CPUs":
        sizes["torch"] = TORCH_CPU_BYTES.get(machine, 0)
        rest = "" if sizes["torch"] else " + torch"
    return f"{len(listing)}, {sum(sizes.values()) / 1e6:,.0f}{rest}"


def main() -> None:
    for line in table():
        print(line, flush=True)


if __name__ == "__main__":
    main()
