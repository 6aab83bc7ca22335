"""Who is at the other end of a connection on this machine, and who may read metrics."""

from __future__ import annotations

import hmac
import ipaddress
import os
from pathlib import Path

from shared.telemetry.logs import get_logger

log = get_logger(__name__)

Address = tuple[str, int]

TABLES = ("tcp", "tcp6")


def may_read_metrics(token_file: Path | None, authorization: str | None, peer: Address, here: Address) -> bool:
    """Whether whoever is at `peer` may have the metrics that are served at `here`.

    Whoever has the file's token may. Else, on this machine, which others may share: the user as whom this process runs,
    and root. From elsewhere anybody, unless there is such a file: whoever opens the port says which networks reach it.
    """
    if token_file and authorization and _is_token(authorization.removeprefix("Bearer "), token_file):
        return True
    if is_of_this_machine(peer, here):
        return user_of(peer, here) in (os.geteuid(), 0)
    return token_file is None


def _is_token(candidate: str, file: Path) -> bool:
    try:
        token = file.read_text().strip()
    except OSError as error:
        log.warning("metrics_token_unreadable", reason=type(error).__name__)
        return False
    return bool(token) and hmac.compare_digest(candidate.encode(), token.encode())


def is_of_this_machine(peer: Address, here: Address) -> bool:
    """Whether the connection has not come over any network."""
    address = _ip(peer[0])
    return address is None or address.is_loopback or address == _ip(here[0])


def user_of(peer: Address, here: Address) -> int | None:
    """The user of the process of this machine that has made the connection; None when there is none to be found."""
    connection = (_ip(peer[0]), peer[1]), (_ip(here[0]), here[1])
    for table in TABLES:
        try:
            lines = Path("/proc/net", table).read_text().splitlines()[1:]
        except OSError:  # no IPv6 here
            continue
        for line in lines:
            _, local, remote, _, _, _, _, user, *_ = line.split()
            if (_parsed(local), _parsed(remote)) == connection:
                return int(user)
    return None


def _ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _parsed(entry: str) -> tuple[ipaddress.IPv4Address | ipaddress.IPv6Address | None, int]:
    """An address of the table, where each group of four bytes is a number of this machine, which is little-endian."""
    packed, _, port = entry.partition(":")
    groups = [bytes.fromhex(packed[place : place + 8])[::-1] for place in range(0, len(packed), 8)]
    return _ip(str(ipaddress.ip_address(b"".join(groups)))), int(port, 16)
