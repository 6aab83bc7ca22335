"""`make test`: all tests, in two processes side by side, or what it is given, in one.

What needs the servers of a stack mostly waits, for leases to run out and processes to start; what needs none computes.
So the two share a machine of two cores well.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile

PYTEST = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider")
COMPUTING = ("tests/unit", "tests/model")
WAITING = ("tests", *(f"--ignore={folder}" for folder in COMPUTING))


def main(given: list[str]) -> int:
    """The status of pytest, the worse of both. What the second process says comes when both are done."""
    if given:
        os.execv(sys.executable, (*PYTEST, *given))  # noqa: S606 - there is no shell to be wished for
    signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C is for the two, which stop what they have started
    with tempfile.TemporaryFile() as said, subprocess.Popen((*PYTEST, *COMPUTING), stdout=said, stderr=said) as beside:
        status = subprocess.run((*PYTEST, *WAITING), check=False).returncode
        status = max(status, beside.wait())
        said.seek(0)
        sys.stdout.write(said.read().decode(errors="replace"))
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
