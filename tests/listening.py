"""Where processes listen, as the kernel tells it: TCP, UDP and UNIX sockets of given processes, found, not listed."""

from __future__ import annotations

import ipaddress
import os
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

LISTENS, UNCONNECTED = "0A", "07"  # include/net/tcp_states.h
ACCEPTS = 0x10000  # __SO_ACCEPTCON, the flag of a UNIX socket that listens


@dataclass(frozen=True, order=True)
class Door:
    """`kind` is tcp, udp or unix. `host` and `port` for the first two; `path` for a UNIX socket, an abstract one's
    begins with @."""

    process: str
    kind: str
    host: str = ""
    port: int = 0
    path: str = ""


def session_members(leaders: Iterable[int]) -> set[int]:
    """Process ids of everybody in the sessions of `leaders`, children of pools included."""
    sessions, members = set(leaders), set()
    for pid in psutil.pids():
        try:
            if os.getsid(pid) in sessions:
                members.add(pid)
        except OSError:
            continue
    return members


def doors(pids: Iterable[int]) -> set[Door]:
    """Every socket of these processes on which somebody else can knock. They may be in another network namespace."""
    sockets: set[Door] = set()
    for pid in pids:
        try:
            name, owned = psutil.Process(pid).name(), _sockets(pid)
            sockets |= set(_internet(pid, name, owned)) | set(_unix(pid, name, owned))
        except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile
    return sockets


def _sockets(pid: int) -> set[str]:
    """Inode numbers of the sockets that the process has open."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            if match := re.fullmatch(r"socket:\[(\d+)\]", str(descriptor.readlink())):
                inodes.add(match[1])
        except FileNotFoundError:
            continue
    return inodes


def _internet(pid: int, name: str, owned: set[str]) -> Iterable[Door]:
    for table, kind, state in (
        ("tcp", "tcp", LISTENS),
        ("tcp6", "tcp", LISTENS),
        ("udp", "udp", UNCONNECTED),
        ("udp6", "udp", UNCONNECTED),
    ):
        path = Path(f"/proc/{pid}/net/{table}")
        for line in path.read_text().splitlines()[1:] if path.exists() else ():
            columns = line.split()
            if columns[3] == state and columns[9] in owned:
                host, port = columns[1].split(":")
                yield Door(name, kind, host=_address(host), port=int(port, 16))


def _address(digits: str) -> str:
    """The kernel writes an address as words of 32 bits in the machine's order."""
    words = [int(digits[i : i + 8], 16) for i in range(0, len(digits), 8)]
    return str(ipaddress.ip_address(struct.pack(f"={len(words)}I", *words)))


def _unix(pid: int, name: str, owned: set[str]) -> Iterable[Door]:
    for line in Path(f"/proc/{pid}/net/unix").read_text().splitlines()[1:]:
        columns = line.split(maxsplit=7)
        if columns[6] in owned and int(columns[3], 16) & ACCEPTS and len(columns) > 7:
            yield Door(name, "unix", path=columns[7])
