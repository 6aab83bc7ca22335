"""The program that the package describes; see __init__.py. It serves as tasks/sandbox/fork_server.py says."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[3]))  # -I leaves our own folder out

from tasks.sandbox.decoder.__main__ import load_av
from tasks.sandbox.decoder.pcm import Refused
from tasks.sandbox.fork_server import serve
from tasks.sandbox.lockdown import close_the_door, set_limits
from tasks.sandbox.stream.decoding import Inlet, Outlet, decode

LOG_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Job:
    """What the listener asks for. The container comes by a pipe, whose reading end is the job's one descriptor."""

    cpu_s: int
    memory_bytes: int


def work(fields: dict[str, Any], descriptors: list[int], server_pid: int) -> None:
    """Limits first, then the lock, then the stranger's bytes. FFmpeg's code is loaded."""
    job, (pipe,) = Job(**fields), descriptors
    set_limits(server_pid, cpu_s=job.cpu_s, memory_bytes=job.memory_bytes, file_bytes=LOG_BYTES)
    outlet = Outlet(1)
    close_the_door()
    try:
        decode(Inlet(pipe, outlet), outlet)
        outlet.end()
    except Refused as refused:
        outlet.refuse(refused.code, refused.message)
    except MemoryError:
        outlet.refuse("decode_failed", "Decoding the session takes more memory than is allowed.")


if __name__ == "__main__":
    serve(load_av, work)
