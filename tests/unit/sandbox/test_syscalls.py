"""The numbers of system calls are those of the kernel's own headers, for both processors."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tasks.sandbox.seccomp import ARCHITECTURES
from tasks.sandbox.syscalls import NUMBERS
from tests.programs import unavailable
from tests.unit.sandbox.calls import CALLS

INCLUDE = Path("/usr/include")
HEADERS = {"x86_64": ("x86_64-linux-gnu/asm/unistd_64.h",), "aarch64": ("asm-generic/unistd.h",)}
"""arm64 has the generic numbers, which each machine has the header of."""

LINE = re.compile(r"^#define __NR(?:3264)?_(\w+)\s+(\d+|__NR(?:3264)?_\w+)", re.MULTILINE)


def numbers(machine: str) -> dict[str, int]:
    """By name, as the headers say. The test is skipped where they are not installed."""
    files = [INCLUDE / name for name in HEADERS[machine]]
    if missing := [str(file) for file in files if not file.exists()]:
        unavailable(f"this needs {missing[0]}: apt install linux-libc-dev")
    table: dict[str, int] = {}
    for name, value in LINE.findall("".join(file.read_text() for file in files)):
        other = re.sub(r"^__NR(3264)?_", "", value)
        if value.isdecimal() or other in table:  # some names stand for one that only other processors have
            table.setdefault(name, int(value) if value.isdecimal() else table[other])
    return table


@pytest.mark.parametrize("machine", HEADERS)
def test_numbers_are_those_of_the_kernel(machine: str) -> None:
    """Each call that the jails allow, and each that the tests try to get out by, has its number there, or has none
    where the processor has no such call."""
    column = ARCHITECTURES[machine][1]
    table = numbers(machine)
    assert len(table) > 250
    for name, pair in (NUMBERS | CALLS).items():
        assert pair[column] == table.get(name), name
    assert all(NUMBERS[name] == CALLS[name] for name in NUMBERS.keys() & CALLS.keys())
