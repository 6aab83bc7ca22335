"""How a process that must talk to the Internet is held to one proxy and one folder: Linux, without root.

Landlock (kernel 5.13; its rules for TCP 6.7) says which files and which port, the list of system calls (seccomp.py)
what can be asked of the kernel at all: both bind native code too. The audit hook binds all Python code, on every
kernel, and keeps it from calling native code of its own choice. None can be undone from inside.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

from tasks.sandbox.lockdown import landlock_abi
from tasks.sandbox.seccomp import allow_listed_calls

_PR_SET_NO_NEW_PRIVS = 38
_SYS_LANDLOCK_CREATE_RULESET, _SYS_LANDLOCK_ADD_RULE, _SYS_LANDLOCK_RESTRICT_SELF = 444, 445, 446
_RULE_PATH_BENEATH, _RULE_NET_PORT = 1, 2
_LINUX_CAPABILITY_VERSION_3 = 0x20080522

# landlock(7)
_WRITE_FILE, _READ_FILE, _READ_DIR, _REMOVE_FILE, _MAKE_REG, _TRUNCATE = 1 << 1, 1 << 2, 1 << 3, 1 << 5, 1 << 8, 1 << 14
_PLAIN_FILES = _WRITE_FILE | _READ_FILE | _READ_DIR | _REMOVE_FILE | _MAKE_REG | _TRUNCATE
_CONNECT_TCP = 1 << 1

FORBIDDEN_EVENTS = frozenset(
    {
        "os.exec",
        "os.fork",
        "os.forkpty",
        "os.posix_spawn",
        "os.spawn",
        "os.startfile",
        "os.system",
        "pty.spawn",
        "os.link",
        "os.mkdir",
        "os.symlink",
        "socket.bind",
        "socket.sendmsg",
        "socket.sendto",
        "subprocess.Popen",
    }
)
FORBIDDEN_FAMILIES = ("ctypes.",)
"""Events by the beginning of their names: what reaches native code from Python."""


def confine(folder: Path, readable: Iterable[Path], proxy: tuple[str, int]) -> None:
    """From here on: read below `readable`, read and write plain files in `folder`, connect to `proxy`, nothing else.

    Raises OSError where the kernel refuses a rule. Call it while one thread runs.
    """
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _enter_landlock(libc, folder, readable, proxy[1])
    libc.capset(struct.pack("Ii", _LINUX_CAPABILITY_VERSION_3, 0), bytes(24))
    allow_listed_calls()
    _audit(proxy)


def _audit(proxy: tuple[str, int]) -> None:
    def refuse(event: str, arguments: tuple[object, ...]) -> None:
        if event == "socket.connect":
            address = arguments[1]
            is_refused = not isinstance(address, tuple) or address[:2] != proxy
        elif event == "socket.getaddrinfo":
            is_refused = arguments[0] != proxy[0]
        else:
            is_refused = event in FORBIDDEN_EVENTS or event.startswith(FORBIDDEN_FAMILIES)
        if is_refused:
            raise PermissionError(f"{event} is not allowed here")

    sys.addaudithook(refuse)


def _enter_landlock(libc: ctypes.CDLL, folder: Path, readable: Iterable[Path], port: int) -> None:
    abi = landlock_abi()
    if abi < 1:
        return
    file_access = (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(abi, 16)) - 1
    tcp, signals_and_abstract_sockets = (0b11 if abi >= 4 else 0), (0b11 if abi >= 6 else 0)
    size = 8 if abi < 4 else 16 if abi < 6 else 24
    attributes = struct.pack("QQQ", file_access, tcp, signals_and_abstract_sockets)[:size]
    ruleset = libc.syscall(_SYS_LANDLOCK_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint(0))
    if ruleset < 0:
        return
    _allow_below(libc, ruleset, folder, file_access & _PLAIN_FILES)
    for path in readable:
        _allow_below(libc, ruleset, path, _READ_FILE | _READ_DIR)
    if tcp:
        rule = struct.pack("QQ", _CONNECT_TCP, port)
        _add(libc, ruleset, _RULE_NET_PORT, rule)
    libc.syscall(_SYS_LANDLOCK_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint(0))
    os.close(ruleset)


def _allow_below(libc: ctypes.CDLL, ruleset: int, path: Path, rights: int) -> None:
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    if not path.is_dir():
        rights &= _READ_FILE | _WRITE_FILE
    _add(libc, ruleset, _RULE_PATH_BENEATH, struct.pack("=Qi", rights, handle))
    os.close(handle)


def _add(libc: ctypes.CDLL, ruleset: int, kind: int, rule: bytes) -> None:
    added = libc.syscall(_SYS_LANDLOCK_ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(kind), rule, ctypes.c_uint(0))
    if added != 0:
        raise OSError("Landlock refused a rule")
