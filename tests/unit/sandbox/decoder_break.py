"""Ways out of the decoder's child for code that took it over, on x86-64: `python -I decoder_break.py ROOT FILE PARENT`.

Prints a line per way, its name and `refused` or `done`, after the child has shut its door.
"""

from __future__ import annotations

import ctypes
import os
import resource
import struct
import sys
from collections.abc import Callable

root, path, parent = sys.argv[1], sys.argv[2].encode(), int(sys.argv[3])
sys.path.append(root)

from tasks.sandbox.lockdown import close_the_door, set_limits  # noqa: E402

SYSCALL = ctypes.CDLL(None, use_errno=True).syscall
SYSCALL.restype = ctypes.c_long
MEMORY = ctypes.create_string_buffer(4096)
HERE = ctypes.addressof(MEMORY)
NAMESPACES = {"user": 0x10000000, "net": 0x40000000, "mount": 0x20000, "pid": 0x20000000, "ipc": 0x08000000}
FAMILIES = {"unix": 1, "ipv4": 2, "ipv6": 10, "netlink": 16, "packet": 17, "alg": 38, "vsock": 40}


def call(number: int, *arguments: object) -> Callable[[], None]:
    """A system call; it refuses by OSError."""

    def act() -> None:
        ready = [each if isinstance(each, bytes | None) else ctypes.c_long(int(str(each))) for each in arguments]
        if SYSCALL(ctypes.c_long(number), *ready) < 0:
            raise OSError(ctypes.get_errno(), number)

    return act


def fork() -> None:
    if os.fork() == 0:
        os._exit(0)


def limit(which: int, value: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(which, (value, value))


CAPABILITIES = struct.pack("Ii", 0x20080522, 0), struct.pack("6I", ~0 & 0xFFFFFFFF, ~0 & 0xFFFFFFFF, 0, 0, 0, 0)
OTHERS_MEMORY = struct.pack("PN", HERE, 8), 1, struct.pack("PN", HERE, 8), 1, 0

WAYS: dict[str, Callable[[], object]] = {
    # files
    "open": call(2, path, 0), "openat": call(257, -100, path, 0, 0), "openat2": call(437, -100, path, bytes(24), 24),
    "creat": call(85, path + b".new", 0o600), "truncate": call(76, path, 0), "unlink": call(87, path),
    "rename": call(82, path, path + b".gone"), "mkdir": call(83, path + b".folder", 0o700),
    "symlink": call(88, b"x", path + b".link"), "link": call(86, path, path + b".hard"),
    "mknod": call(133, path + b".pipe", 0o010600, 0), "chmod": call(90, path, 0o777), "chown": call(92, path, 1, 1),
    "utime": call(132, path, None), "setxattr": call(188, path, b"user.x", b"1", 1, 0),
    "name_to_handle_at": call(303, -100, path, struct.pack("Ii", 128, 0) + bytes(128), bytes(8), 0),
    "open_by_handle_at": call(304, -100, bytes(16), 0), "acct": call(163, path), "swapon": call(167, path, 0),
    # descriptors
    "pipe": call(22, bytes(8)), "dup": call(32, 1), "eventfd": call(290, 0, 0), "epoll_create": call(291, 0),
    "inotify_init": call(294, 0), "fanotify_init": call(300, 0, 0), "memfd_create": call(319, b"x", 0),
    "timerfd_create": call(283, 0, 0), "userfaultfd": call(323, 0), "io_uring_setup": call(425, 1, bytes(120)),
    "bpf": call(321, 0, bytes(72), 72),
    "perf_event_open": call(298, struct.pack("II", 1, 112) + bytes(112), 0, -1, -1, 0),
    **{f"socket-{name}": call(41, family, 3 if name == "packet" else 1, 0) for name, family in FAMILIES.items()},
    "socket-udp": call(41, 2, 2, 0), "socketpair": call(53, 1, 1, 0, bytes(8)),
    # other processes
    "execve": call(59, b"/bin/true", None, None), "fork": fork, "kill": call(62, parent, 0),
    "pidfd_open": call(434, parent, 0), "ptrace": call(101, 16, parent, 0, 0),
    "process_vm_readv": call(310, parent, *OTHERS_MEMORY), "process_vm_writev": call(311, parent, *OTHERS_MEMORY),
    "prlimit": call(302, parent, 7, None, bytes(16)), "setpriority": call(141, 0, parent, 19),
    "shmget": call(29, 0, 4096, 0o1600), "msgget": call(68, 0, 0o1600), "semget": call(64, 0, 1, 0o1600),
    "mq_open": call(240, b"x", 0o102, 0o600, None),
    # the machine
    **{f"unshare-{name}": call(272, flag) for name, flag in NAMESPACES.items()},
    "mount": call(165, b"none", b"/mnt", b"tmpfs", 0, None), "umount": call(166, b"/proc", 2),
    "chroot": call(161, b"/"), "pivot_root": call(155, b"/", b"/"), "fsopen": call(430, b"tmpfs", 0),
    "keyctl": call(250, 0, -4, 1), "add_key": call(248, b"user", b"x", b"y", 1, -2), "sethostname": call(170, b"x", 1),
    "clock_settime": call(227, 0, bytes(16)), "init_module": call(175, b"", 0, b""), "syslog": call(103, 3, HERE, 8),
    "kexec_load": call(246, 0, 0, None, 0), "iopl": call(172, 3), "quotactl": call(179, 0, None, 0, None),
    # the lock itself
    "setuid": call(105, 12345), "capset": call(126, *CAPABILITIES), "seccomp": call(317, 0, 0, None),
    "prctl": call(157, 23, 0, 0, 0, 0), "descriptors": limit(resource.RLIMIT_NOFILE, 64),
    "processes": limit(resource.RLIMIT_NPROC, 64), "address space": limit(resource.RLIMIT_AS, 1 << 32),
    "memory": lambda: bytearray(2 << 30),
}  # fmt: skip

set_limits(os.getppid(), cpu_s=10, memory_bytes=1 << 30, file_bytes=1 << 20)
close_the_door()
for name, attempt in WAYS.items():
    try:
        attempt()
    except (OSError, ValueError, MemoryError):
        print(name, "refused", sep="\t", flush=True)
    else:
        print(name, "done", sep="\t", flush=True)
