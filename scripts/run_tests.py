"""`make test`: all tests, in two processes side by side, or what it is given, in one.

Most of the tests wait most of the time, for leases to run out and processes to start, so two of them share a machine of
two cores well. Those of one folder run one after another.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile

PYTEST = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider")
FIRST = ("tests/unit", "tests/model", "tests/deploy")
"""About half as long as all the others, which fail sooner under load and so are not cut further."""

BY_THEMSELVES = ("tests/containers", "tests/kubernetes")
"""They need root and a machine that lets them run an engine; `make test-containers`, `make test-kubernetes`."""

OTHERS = ("tests", *(f"--ignore={folder}" for folder in (*FIRST, *BY_THEMSELVES)))


def main(given: list[str]) -> int:
    """The status of pytest, the worse of both. What the second process says comes when both are done."""
    if given:
        os.execv(sys.executable, (*PYTEST, *given))  # noqa: S606 - there is no shell to be wished for
    signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C is for the two, which stop what they have started
    with tempfile.TemporaryFile() as said, subprocess.Popen((*PYTEST, *FIRST), stdout=said, stderr=said) as beside:
        status = subprocess.run((*PYTEST, *OTHERS), check=False).returncode
        status = max(status, beside.wait())
        said.seek(0)
        sys.stdout.write(said.read().decode(errors="replace"))
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
