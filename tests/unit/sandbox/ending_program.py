"""The program of forked_program.py, as a server that ends soon when it has no job."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path += [str(Path(__file__).parent), str(Path(__file__).resolve().parents[3])]

from forked_program import tell

from tasks.sandbox.fork_server import serve

IDLE_S = 0.02
"""So little that some jobs arrive in the moment in which the server ends."""

if __name__ == "__main__":
    serve(lambda: None, tell, idle_s=IDLE_S)
