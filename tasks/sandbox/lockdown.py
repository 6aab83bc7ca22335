"""How a process locks itself in before it touches a stranger's bytes: Linux, without root, standard library only."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import struct

from tasks.sandbox.seccomp import allow_listed_calls

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_SYS_LANDLOCK_CREATE_RULESET, _SYS_LANDLOCK_RESTRICT_SELF = 444, 446  # the same number on every architecture
_LINUX_CAPABILITY_VERSION_3 = 0x20080522


def die_with(parent_pid: int) -> None:
    """End as soon as the parent does, by SIGKILL."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:  # it was gone before the line above
        os._exit(1)


def set_limits(parent_pid: int, *, cpu_s: int, memory_bytes: int, file_bytes: int) -> None:
    """Die with the parent; bound processor time, address space and the size of any file; write no core file."""
    die_with(parent_pid)
    for limit, value in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_CORE, 0),
    ):
        _lower(limit, value)


def _lower(limit: int, value: int) -> None:
    """Set soft and hard limit to `value`, or leave the hard limit that we found where it is lower still."""
    hard = resource.getrlimit(limit)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(limit, (value, value))


def close_the_door() -> None:
    """From here on this process opens no file and no socket, and cannot get its rights back.

    RLIMIT_NOFILE 0 stops every new descriptor, Landlock everything that works on paths (delete, rename) and the reach
    into other processes, and an empty capability set keeps root from undoing it. Where the kernel has no Landlock
    (before 5.13, or switched off) the others hold alone. The list of system calls (seccomp.py) refuses what needs no
    descriptor and is no path to Landlock: modes and times of files, keys, shared memory, namespaces, processes.
    """
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _enter_landlock(libc)
    libc.capset(struct.pack("Ii", _LINUX_CAPABILITY_VERSION_3, 0), bytes(24))
    for limit in (resource.RLIMIT_NPROC, resource.RLIMIT_NOFILE):
        _lower(limit, 0)
    allow_listed_calls()


def landlock_abi() -> int:
    """Version of the Landlock interface, which says what it can forbid; below 1 where there is none."""
    return int(ctypes.CDLL(None).syscall(_SYS_LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint(1)))


def _enter_landlock(libc: ctypes.CDLL) -> None:
    """Forbid all that this kernel's Landlock knows (see landlock(7))."""
    abi = landlock_abi()
    if abi < 1:
        return
    files = (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(abi, 16)) - 1
    tcp, signals_and_abstract_sockets = (0b11 if abi >= 4 else 0), (0b11 if abi >= 6 else 0)
    attributes = struct.pack("QQQ", files, tcp, signals_and_abstract_sockets)[: 8 if abi < 4 else 16 if abi < 6 else 24]
    ruleset = libc.syscall(_SYS_LANDLOCK_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint(0))
    if ruleset >= 0:
        libc.syscall(_SYS_LANDLOCK_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint(0))
        os.close(ruleset)
