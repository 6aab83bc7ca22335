"""The name by which a process of a worker holds its leases."""

from __future__ import annotations

import os
import socket


def worker_name() -> str:
    """Who holds a lease: host and process."""
    return f"{socket.gethostname()}:{os.getpid()}"
