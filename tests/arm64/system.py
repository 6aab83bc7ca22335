"""A Debian for ARM64 on the disk of a machine that is emulated: unpacked here, where none of its programs runs.

Its kernel has pages of 16 KiB, as a Raspberry Pi 5 has: a library that was linked for smaller ones does not load there.
"""

from __future__ import annotations

import lzma
import re
import shlex
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.engine.roots import mirror

SUITE, KERNEL_SUITE = "bookworm", "trixie"
"""Debian 12 has Python 3.11, and its CPython runs what this one compiled; Debian 13 has the kernel."""

KERNEL = "linux-image-arm64-16k"
PACKAGES = (
    "?essential", "busybox-static", "iproute2", "libgomp1", "libstdc++6", "make", "mount", "netbase", "procps",
    "python3", "python3-venv", "tzdata",
)  # fmt: skip
MODULES = ("virtio_pci", "virtio_blk", "crc32c_generic", "ext4")
"""What the kernel needs to find its disk."""

PREFERENCES = f"Package: *\nPin: release n={KERNEL_SUITE}\nPin-Priority: 50\n"
USERS = (("root", 0, "/root"), ("person", 1000, "/home/person"), ("nobody", 65534, "/nonexistent"))
MAKE_TIMEOUT_S = 900
INIT = Path(__file__).with_name("init.sh")


def unpack(root: Path) -> None:
    """Debian's packages in a folder, unpacked and not configured; users and names."""
    source = mirror()
    hook = (
        f'mkdir -p "$1"/etc/apt/preferences.d; printf %s {shlex.quote(PREFERENCES)} > "$1"/etc/apt/preferences.d/kernel'
    )
    process = subprocess.run(
        ("mmdebstrap", "--variant=extract", "--mode=root", "--arch=arm64",
         *(f"--include={name}" for name in (*PACKAGES, KERNEL)), '--aptopt=Acquire::Check-Valid-Until "false"',
         f"--setup-hook={hook}", SUITE, str(root),
         *(f"deb {source} {suite} main" for suite in (SUITE, KERNEL_SUITE))),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=MAKE_TIMEOUT_S, check=False,
    )  # fmt: skip
    assert process.returncode == 0, f"mmdebstrap {SUITE}:\n{process.stdout[-3000:]}"
    etc = root / "etc"
    (etc / "passwd").write_text("".join(f"{name}:x:{uid}:{uid}::{home}:/bin/sh\n" for name, uid, home in USERS))
    (etc / "group").write_text("".join(f"{name}:x:{uid}:\n" for name, uid, _ in USERS))
    (etc / "hosts").write_text("127.0.0.1 localhost arm64\n::1 localhost\n")
    (root / "home/person").mkdir(parents=True)
    shutil.chown(root / "home/person", 1000, 1000)
    for folder in ("proc", "sys", "dev", "run", "tmp", "srv", "root"):
        (root / folder).mkdir(exist_ok=True)
    for unread in ("usr/share/doc", "usr/share/man", "usr/share/locale", "var/lib/apt/lists", "var/cache/apt/archives"):
        shutil.rmtree(root / unread, ignore_errors=True)


def take_kernel(root: Path, folder: Path) -> None:
    """`vmlinuz` and `initrd.img` in the folder, of the root's kernel, which is then gone from there."""
    (modules,) = (root / "usr/lib/modules").glob("*16k*")
    shutil.copyfile(next((root / "boot").glob(f"vmlinuz-{modules.name}")), folder / "vmlinuz")
    files = {file.name.partition(".")[0]: file for file in modules.rglob("*.ko*")}
    names = list(dict.fromkeys(name for module in MODULES for name in _needed(module, files)))
    entries = {
        "bin": b"", "modules": b"", "dev": b"", "proc": b"", "sys": b"", "new": b"",
        "bin/busybox": (root / "bin/busybox").read_bytes(), "init": INIT.read_bytes(),
        "modules/order": "".join(f"{name}\n" for name in names).encode(),
        **{f"modules/{name}.ko": _plain(files[name]) for name in names},
    }  # fmt: skip
    (folder / "initrd.img").write_bytes(b"".join(_archive(entries)))
    shutil.rmtree(modules)
    shutil.rmtree(root / "boot")


def make_disk(image: Path, root: Path, size_bytes: int) -> None:
    """An image with ext4 that has the folder's files; it takes no more room here than they do."""
    with image.open("wb") as file:
        file.truncate(size_bytes)
    process = subprocess.run(
        ("mke2fs", "-q", "-t", "ext4", "-m", "0", "-E", "lazy_itable_init=1", "-d", str(root), str(image)),
        capture_output=True, text=True, timeout=MAKE_TIMEOUT_S, check=False,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr


def _needed(name: str, files: dict[str, Path]) -> Iterator[str]:
    """A module after those that it depends on; nothing where the kernel has it built in."""
    if name not in files:
        return
    match = re.search(rb"\0depends=([^\0]*)\0", b"\0" + _plain(files[name]))
    for other in filter(None, (match[1] if match else b"").decode().split(",")):
        yield from _needed(other.replace("-", "_") if other.replace("-", "_") in files else other, files)
    yield name


def _plain(file: Path) -> bytes:
    content = file.read_bytes()
    return lzma.decompress(content) if file.suffix == ".xz" else content


def _archive(entries: dict[str, bytes]) -> Iterator[bytes]:
    """A cpio archive as the kernel reads one (newc): files that may be run, and folders where there is no content."""
    for number, (name, content) in enumerate((*entries.items(), ("TRAILER!!!", b"")), 1):
        mode = (stat.S_IFDIR if not content and name != "TRAILER!!!" else stat.S_IFREG) | 0o755
        fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
        yield head + bytes(-len(head) % 4) + content + bytes(-len(content) % 4)
