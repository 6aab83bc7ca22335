"""A program of a fork server that tells what a child has from its server: `{"seen": ...}`.

Its job is {"secret": a text that it keeps in memory}.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[3]))

from tasks.sandbox.fork_server import serve

secrets: list[str] = []


def tell(job: dict[str, Any], descriptors: list[int], server_pid: int) -> None:
    # the descriptor by which the folder was listed is no more
    links = {link.name: str(link.readlink()) for link in list(Path("/proc/self/fd").iterdir()) if os.path.lexists(link)}
    report = {
        "secrets": list(secrets),
        "open": links,
        "own": descriptors,
        "environment": dict(os.environ),
        "folder": str(Path.cwd()),
        "server_pid": server_pid,
    }
    secrets.append(job["secret"])
    os.write(1, json.dumps(report).encode() + b"\n")


if __name__ == "__main__":
    serve(lambda: None, tell)
