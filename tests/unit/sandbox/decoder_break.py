"""Ways out of the decoder's child for code that took it over: a program of a fork server like the decoder.

Its job is {"path": a file, "victim": a process}, and it may have a pipe to read from, as a decoder of live sessions. It
writes a line per way, {"name", "is_done"}, once it has shut its door.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[3]))

from tasks.sandbox.fork_server import serve
from tasks.sandbox.lockdown import close_the_door, set_limits
from tests.unit.sandbox.calls import is_here, number

SYSCALL = ctypes.CDLL(None, use_errno=True).syscall
SYSCALL.restype = ctypes.c_long
MEMORY = ctypes.create_string_buffer(4096)
HERE = ctypes.addressof(MEMORY)
NAMESPACES = {"user": 0x10000000, "net": 0x40000000, "mount": 0x20000, "pid": 0x20000000, "ipc": 0x08000000}
AT_CWD = -100
FAMILIES = {"unix": 1, "ipv4": 2, "ipv6": 10, "netlink": 16, "packet": 17, "alg": 38, "vsock": 40}


Way = Callable[[], object]


def call(name: str, *arguments: object) -> Way | None:
    """A system call, which refuses by OSError; None where this processor has none of this name."""
    code = number(name)

    def act() -> None:
        ready = [each if isinstance(each, bytes | None) else ctypes.c_long(int(str(each))) for each in arguments]
        if SYSCALL(ctypes.c_long(code), *ready) < 0:
            raise OSError(ctypes.get_errno(), name)

    return act if is_here(name) else None


def fork() -> None:
    if os.fork() == 0:
        os._exit(0)


def limit(which: int, value: int) -> Way:
    return lambda: resource.setrlimit(which, (value, value))


CAPABILITIES = struct.pack("Ii", 0x20080522, 0), struct.pack("6I", ~0 & 0xFFFFFFFF, ~0 & 0xFFFFFFFF, 0, 0, 0, 0)
OTHERS_MEMORY = struct.pack("PN", HERE, 8), 1, struct.pack("PN", HERE, 8), 1, 0


def ways(path: bytes, victim: int, server: int) -> dict[str, Way]:
    """By name, those that this processor has."""
    calls: list[tuple[Any, ...]] = [
        # files
        ("open", path, 0), ("openat", AT_CWD, path, 0, 0), ("openat2", AT_CWD, path, bytes(24), 24),
        ("creat", path + b".new", 0o600), ("truncate", path, 0), ("unlink", path), ("unlinkat", AT_CWD, path, 0),
        ("rename", path, path + b".gone"), ("renameat2", AT_CWD, path, AT_CWD, path + b".gone", 0),
        ("mkdir", path + b".folder", 0o700), ("mkdirat", AT_CWD, path + b".folder", 0o700),
        ("symlink", b"x", path + b".link"), ("symlinkat", b"x", AT_CWD, path + b".link"),
        ("link", path, path + b".hard"), ("linkat", AT_CWD, path, AT_CWD, path + b".hard", 0),
        ("mknod", path + b".pipe", 0o010600, 0), ("mknodat", AT_CWD, path + b".pipe", 0o010600, 0),
        ("chmod", path, 0o777), ("fchmodat", AT_CWD, path, 0o777), ("chown", path, 1, 1),
        ("fchownat", AT_CWD, path, 1, 1, 0), ("utime", path, None), ("utimensat", AT_CWD, path, None, 0),
        ("setxattr", path, b"user.x", b"1", 1, 0),
        ("name_to_handle_at", AT_CWD, path, struct.pack("Ii", 128, 0) + bytes(128), bytes(8), 0),
        ("open_by_handle_at", AT_CWD, bytes(16), 0), ("acct", path), ("swapon", path, 0),
        # descriptors
        ("pipe", bytes(8)), ("pipe2", bytes(8), 0), ("dup", 1), ("eventfd2", 0, 0), ("epoll_create1", 0),
        ("inotify_init1", 0), ("fanotify_init", 0, 0), ("memfd_create", b"x", 0), ("timerfd_create", 0, 0),
        ("userfaultfd", 0), ("io_uring_setup", 1, bytes(120)), ("bpf", 0, bytes(72), 72),
        ("perf_event_open", struct.pack("II", 1, 112) + bytes(112), 0, -1, -1, 0), ("socketpair", 1, 1, 0, bytes(8)),
        # other processes
        ("execve", b"/bin/true", None, None), ("kill", victim, 0), ("pidfd_open", victim, 0),
        ("ptrace", 16, victim, 0, 0), ("process_vm_readv", victim, *OTHERS_MEMORY),
        ("process_vm_writev", victim, *OTHERS_MEMORY), ("prlimit64", victim, 7, None, bytes(16)),
        ("setpriority", 0, victim, 19), ("shmget", 0, 4096, 0o1600), ("msgget", 0, 0o1600), ("semget", 0, 1, 0o1600),
        ("mq_open", b"x", 0o102, 0o600, None),
        # the machine
        ("mount", b"none", b"/mnt", b"tmpfs", 0, None), ("umount2", b"/proc", 2), ("chroot", b"/"),
        ("pivot_root", b"/", b"/"), ("fsopen", b"tmpfs", 0), ("keyctl", 0, -4, 1),
        ("add_key", b"user", b"x", b"y", 1, -2), ("sethostname", b"x", 1), ("clock_settime", 0, bytes(16)),
        ("init_module", b"", 0, b""), ("syslog", 3, HERE, 8), ("kexec_load", 0, 0, None, 0), ("iopl", 3),
        ("quotactl", 0, None, 0, None),
        # the lock itself
        ("setuid", 12345), ("capset", *CAPABILITIES), ("seccomp", 0, 0, None), ("prctl", 23, 0, 0, 0, 0),
    ]  # fmt: skip
    outcomes = {name: call(name, *arguments) for name, *arguments in calls} | {
        **{f"socket-{name}": call("socket", family, 3 if name == "packet" else 1, 0)
           for name, family in FAMILIES.items()},
        "socket-udp": call("socket", 2, 2, 0), "ptrace-server": call("ptrace", 16, server, 0, 0),
        "read-server": call("process_vm_readv", server, *OTHERS_MEMORY),
        "write-server": call("process_vm_writev", server, *OTHERS_MEMORY), "fork": fork,
        **{f"unshare-{name}": call("unshare", flag) for name, flag in NAMESPACES.items()},
        "descriptors": limit(resource.RLIMIT_NOFILE, 64), "processes": limit(resource.RLIMIT_NPROC, 64),
        "address space": limit(resource.RLIMIT_AS, 1 << 32), "memory": lambda: bytearray(2 << 30),
    }  # fmt: skip
    return {name: way for name, way in outcomes.items() if way is not None}


def pipe_ways(pipe: int) -> dict[str, Way]:
    """What can be done with a pipe beside reading it."""
    calls: list[tuple[Any, ...]] = [
        ("splice", pipe, None, 1, None, 1, 0), ("tee", pipe, 1, 1, 0),
        ("vmsplice", 1, struct.pack("PN", HERE, 1), 1, 0),
    ]  # fmt: skip
    commands = {"size": 1031, "owner": 8, "signal": 10, "lease": 1024, "notify": 1026, "seal": 1033}
    return {
        **{f"pipe-{name}": way for name, *arguments in calls if (way := call(name, *arguments))},
        **{f"pipe-{name}": call("fcntl", pipe, command, 4096) or fork for name, command in commands.items()},
        "pipe-write": lambda: os.write(pipe, b"x"),
        "pipe-again": lambda: os.open(f"/proc/self/fd/{pipe}", os.O_WRONLY),
        "pipe-read-output": lambda: os.read(1, 1),
        "pipe-output-again": lambda: os.open("/proc/self/fd/1", os.O_RDONLY),
    }


def attempt_all(job: dict[str, Any], descriptors: list[int], server: int) -> None:
    named = ways(job["path"].encode(), job["victim"], server)
    for pipe in descriptors:
        named |= pipe_ways(pipe)
    set_limits(server, cpu_s=10, memory_bytes=1 << 30, file_bytes=1 << 20)
    close_the_door()
    for name, attempt in named.items():
        try:
            attempt()
        except (OSError, ValueError, MemoryError):
            is_done = False
        else:
            is_done = True
        os.write(1, json.dumps({"name": name, "is_done": is_done}).encode() + b"\n")


if __name__ == "__main__":
    serve(lambda: None, attempt_all)
