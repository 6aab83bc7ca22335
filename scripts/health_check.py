"""`python -m scripts.health_check http URL | file PATH SECONDS | worker`: is this container's process well?

Exit status 0 when it is, 1 with one line on stderr when it is not. For the health checks of containers.
"""

from __future__ import annotations

import socket
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

TIMEOUT_S = 4
WORKER_SILENT_S = 30
"""A worker shows its life every 5 s; one that was silent this long does not count for /health/ready either."""


def main() -> int:
    match sys.argv[1:]:
        case ["http", url]:
            fault = http(url)
        case ["file", path, seconds]:
            fault = file(Path(path), float(seconds))
        case ["worker"]:
            fault = worker(socket.gethostname())
        case _:
            fault = __doc__
    if fault:
        sys.stderr.write(f"{fault}\n")
    return 1 if fault else 0


def http(url: str) -> str | None:
    """None when the URL answers 200, else what is wrong."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310 - the container's own address
            return None if answer.status == 200 else f"{url} answers {answer.status}"
    except (OSError, urllib.error.URLError) as error:
        return f"{url}: {error}"


def file(path: Path, max_age_s: float) -> str | None:
    """None when the file, or one whose name goes on after it, was written in the last `max_age_s`.

    What a dbm is called besides its name depends on the library that Python was built with.
    """
    times = [candidate.stat().st_mtime for candidate in path.parent.glob(f"{path.name}*")]
    if not times:
        return f"{path} is not there"
    age_s = time.time() - max(times)
    return None if age_s <= max_age_s else f"{path} was last written {age_s:.0f} s ago"


def worker(host: str) -> str | None:
    """None when a worker of this host was heard from lately: the sign of life that its parent process writes."""
    from sqlalchemy import func, select  # here: the other two checks do without

    from shared.db import session
    from shared.errors import DatabaseUnavailable
    from shared.models import Worker

    try:
        with session() as work:
            silent = select(func.extract("epoch", func.now() - func.max(Worker.seen_at)))
            own = Worker.name.endswith(f"@{host}", autoescape=True)
            own_live = Worker.name.contains(f"@{host}:", autoescape=True)  # a live worker's ends with its process
            silent_s = work.scalar(silent.where(own | own_live))
    except DatabaseUnavailable as error:
        return error.message
    if silent_s is None:
        return f"no worker of {host} has been heard from"
    return None if silent_s <= WORKER_SILENT_S else f"the worker of {host} was last heard from {silent_s:.0f} s ago"


if __name__ == "__main__":
    sys.exit(main())
