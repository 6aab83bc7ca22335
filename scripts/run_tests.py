"""`make test`: all tests, in two processes side by side, or what it is given, in one.

Most of the tests wait most of the time, for leases to run out and processes to start, so two of them share a machine of
two cores well. Those of one folder run one after another. Their servers and recordings take 10 GB of disk.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile

PYTEST = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider")
FIRST = ("tests/unit", "tests/model", "tests/deploy", "tests/supply", "tests/browser")
"""About as long as all the others, which fail sooner under load and so are not cut further."""

BY_THEMSELVES = ("tests/containers", "tests/kubernetes", "tests/fresh")
"""They need root and a machine that lets them run an engine; `make test-containers`, `make test-kubernetes`,
`make test-fresh`."""

OTHERS = ("tests", *(f"--ignore={folder}" for folder in (*FIRST, *BY_THEMSELVES)))

DISK_BYTES = 10 * 1000**3


def main(arguments: list[str]) -> int:
    """The status of pytest, the worse of both. What the second process says comes when both are done."""
    if lack := lack_of_disk():
        print(lack, file=sys.stderr, flush=True)
        if not arguments:
            return 1
    if arguments:
        os.execv(sys.executable, (*PYTEST, *arguments))  # noqa: S606 - there is no shell to be wished for
    signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C is for the two, which stop what they have started
    with (
        tempfile.TemporaryFile() as output,
        subprocess.Popen((*PYTEST, *FIRST), stdout=output, stderr=output) as beside,
    ):
        status = subprocess.run((*PYTEST, *OTHERS), check=False).returncode
        status = max(status, beside.wait())
        output.seek(0)
        sys.stdout.write(output.read().decode(errors="replace"))
    return status


def lack_of_disk() -> str:
    """Nothing where there is enough. On a disk that is nearly full SeaweedFS takes no objects, and half the tests fail
    for a reason that is hard to see."""
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    if free >= DISK_BYTES:
        return ""
    minimum, available = f"{DISK_BYTES / 1e9:.0f} GB", f"{free / 1e9:.1f} GB"
    return (
        f"The tests need {minimum} of disk in {folder}, where {available} are free. Set TMPDIR to a folder with more."
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
