"""The program of forked_program.py, as a server that ends soon when it has no job."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[3]))

from tasks.sandbox.fork_server import serve
from tests.unit.sandbox.forked_program import tell

IDLE_S = 0.02
"""So little that some jobs arrive in the moment in which the server ends."""

if __name__ == "__main__":
    serve(lambda: None, tell, idle_s=IDLE_S)
