"""Programs for ARM64 run on this kernel, by qemu-user, for as long as a block runs; containers' programs as well."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NAME = "qemu-aarch64"
ENTRY = Path(f"/usr/lib/binfmt.d/{NAME}.conf")
"""Debian's, which systemd registers. Its flag F opens the emulator at once, so that it is there under any root."""

REGISTRY = Path("/proc/sys/fs/binfmt_misc")

CORE = """processor\t: {number}
BogoMIPS\t: 100.00
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x4
CPU part\t: 0xd0b
CPU revision\t: 1

"""
"""What a Cortex-A76 says of each of its cores."""


def cpuinfo() -> str:
    """An ARM64 processor's /proc/cpuinfo, with as many cores as this machine has. qemu-user before 8.1 shows this
    machine's own, in which onnxruntime finds no processor that it knows, and then reads where nothing is."""
    return "".join(CORE.format(number=number) for number in range(os.cpu_count() or 1))


def obstacle() -> str | None:
    """Why no program for ARM64 can run here; None when one can."""
    if os.geteuid() != 0:
        return "only root can register an emulator"
    if not ENTRY.exists():
        return "not installed: apt install qemu-user-static"
    try:
        with registered():
            return None
    except (OSError, subprocess.CalledProcessError) as error:
        message = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else error
        return f"the kernel registers no emulator (binfmt_misc): {message}"


@contextmanager
def registered() -> Iterator[None]:
    """Raises OSError or CalledProcessError where the kernel does not let it. What was there before stays."""
    is_mounted = (REGISTRY / "register").exists()
    if not is_mounted:
        mount = ("mount", "-t", "binfmt_misc", "binfmt_misc", str(REGISTRY))
        subprocess.run(mount, check=True, capture_output=True, text=True)
    is_ours = not (REGISTRY / NAME).exists()
    try:
        if is_ours:
            (entry,) = (line for line in ENTRY.read_text().splitlines() if line.startswith(":"))
            (REGISTRY / "register").write_text(entry)
        yield
    finally:
        if is_ours and (REGISTRY / NAME).exists():
            (REGISTRY / NAME).write_text("-1")
        if not is_mounted:
            subprocess.run(("umount", str(REGISTRY)), check=False, capture_output=True)
