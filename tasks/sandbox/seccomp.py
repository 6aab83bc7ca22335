"""The list of system calls that a process may make from here on, native code included; seccomp(2), without root.

Landlock knows nothing of UNIX sockets, UDP, raw packets, other protocols than TCP, or what only asks the kernel for
something. So everything that is not on the list fails with EPERM, and some that are on it may have certain arguments
only: sockets are TCP over IPv4, `clone` makes threads and nothing else.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import platform
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from tasks.sandbox.syscalls import NUMBERS

_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2

# linux/seccomp.h, linux/bpf_common.h
_ALLOW, _EPERM, _ENOSYS, _KILL = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS, 0x80000000
_LOAD, _EQUAL, _AT_LEAST, _AND, _RETURN = 0x20, 0x15, 0x35, 0x54, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16
_X32 = 0x40000000
"""Added to a number it is the same call of another binary interface, which a list by numbers would not know."""

ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
"""AUDIT_ARCH_* and the column of NUMBERS."""

# linux/sched.h: shares memory, signals and the process with its maker, and gets no namespace of its own
_CLONE_THREAD, _CLONE_NAMESPACES = 0x100 | 0x800 | 0x10000, 0x7E020000
_SOCK_TYPE = 0xF  # SOCK_CLOEXEC and SOCK_NONBLOCK are flags beside it
_MSG_FASTOPEN = 0x20000000  # connects, past whoever watches connect()
_F_DUPFD_CLOEXEC, _F_OFD_LOCKS = 1030, (36, 37, 38)
_FIONBIO, _FIOCLEX, _FIONREAD, _TCGETS = 0x5421, 0x5451, 0x541B, 0x5401
_TCP_OPTIONS = (socket.TCP_NODELAY, socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, 18)
_PR_SET_NAME, _PR_SET_VMA = 15, 0x53564D41  # the names of threads and of malloc's arenas


@dataclass(frozen=True, slots=True)
class _Argument:
    """The low (or high) half of an argument, after `mask`, is one of `values`."""

    position: int
    values: Iterable[int]
    mask: int = 0xFFFFFFFF
    is_high_half: bool = False


def _conditions() -> dict[str, tuple[tuple[_Argument, ...], ...]]:
    """Calls that are allowed with these arguments only: any of the tuples, all within a tuple."""
    no_address = (_Argument(4, (0,)), _Argument(4, (0,), is_high_half=True))
    return {
        "socket": (
            (
                _Argument(0, (socket.AF_INET,)),
                _Argument(1, (socket.SOCK_STREAM,), _SOCK_TYPE),
                _Argument(2, (0, socket.IPPROTO_TCP)),
            ),
        ),
        "setsockopt": (
            (_Argument(1, (socket.SOL_SOCKET,)),),
            (_Argument(1, (socket.IPPROTO_TCP,)), _Argument(2, _TCP_OPTIONS)),
        ),
        "sendto": ((_Argument(3, (0,), _MSG_FASTOPEN), *no_address),),
        "clone": ((_Argument(0, (_CLONE_THREAD,), _CLONE_THREAD | _CLONE_NAMESPACES),),),
        "fcntl": (
            (
                _Argument(
                    1,
                    (
                        fcntl.F_DUPFD,
                        fcntl.F_GETFD,
                        fcntl.F_SETFD,
                        fcntl.F_GETFL,
                        fcntl.F_SETFL,
                        fcntl.F_GETLK,
                        fcntl.F_SETLK,
                        fcntl.F_SETLKW,
                        _F_DUPFD_CLOEXEC,
                        *_F_OFD_LOCKS,
                    ),
                ),
            ),
        ),
        "ioctl": ((_Argument(1, (_FIONBIO, _FIOCLEX, _FIONREAD, _TCGETS)),),),
        "prctl": ((_Argument(0, (_PR_SET_NAME, _PR_SET_VMA)),),),
        "prlimit64": ((_Argument(0, (0, os.getpid())),),),
        "tgkill": ((_Argument(0, (os.getpid(),)),),),  # abort()
    }


def allow_listed_calls() -> None:
    """Lock this thread, and what it will start, in for good. Call after PR_SET_NO_NEW_PRIVS, with one thread running.

    Raises OSError where the kernel refuses. On processors without a list here it does nothing.
    """
    if platform.machine() not in ARCHITECTURES:
        return
    program = b"".join(_program(*ARCHITECTURES[platform.machine()]))
    code = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, header, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "seccomp")


def _program(architecture: int, column: int) -> Iterable[bytes]:
    yield _step(_LOAD, _ARCHITECTURE_AT)
    yield _step(_EQUAL, architecture, 1, 0)
    yield _step(_RETURN, _KILL)
    yield _step(_LOAD, _NUMBER_AT)
    yield _step(_AT_LEAST, _X32, 0, 1)
    yield _step(_RETURN, _KILL)
    conditions = _conditions()
    for name, numbers in NUMBERS.items():
        number = numbers[column]
        if number is None:
            continue
        if name == "clone3":  # its flags lie where no filter sees them; without it glibc takes clone
            block = [_step(_RETURN, _ENOSYS)]
        elif name in conditions:
            block = list(_block(conditions[name]))
        else:
            block = [_step(_RETURN, _ALLOW)]
        yield _step(_EQUAL, number, 0, len(block))
        yield from block
    yield _step(_RETURN, _EPERM)


def _block(ways: tuple[tuple[_Argument, ...], ...]) -> Iterable[bytes]:
    """Ends in a return on every path."""
    for way in ways:
        checks = [_check(argument) for argument in way]
        remaining = sum(map(len, checks)) + 1
        for check in checks:
            remaining -= len(check)
            *before, last = check
            yield from (_step(*step) for step in before)
            code, value, is_true, _ = last
            yield _step(code, value, is_true, remaining)  # no value fits: past the rest of this way
        yield _step(_RETURN, _ALLOW)
    yield _step(_RETURN, _EPERM)


def _check(argument: _Argument) -> list[tuple[int, int, int, int]]:
    """Goes on behind its last step when a value fits; that step's last field is for whoever knows where else to."""
    offset = _ARGUMENTS_AT + 8 * argument.position + 4 * argument.is_high_half
    values = list(argument.values)
    steps = [(_LOAD, offset, 0, 0), (_AND, argument.mask, 0, 0)]
    steps += [(_EQUAL, value, len(values) - 1 - number, 0) for number, value in enumerate(values)]
    return steps


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value & 0xFFFFFFFF)
