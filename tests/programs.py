"""Programs and abilities of the machine that some tests need and the wheels do not bring.

Where one is missing these tests are skipped, with one line that says what to install. With REQUIRE_PROGRAMS=1, which
the gate sets, they fail instead.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from typing import NoReturn

import pytest

PACKAGES = {
    "chromedriver": "chromium-driver",
    "chromium": "chromium",
    "curl": "curl",
    "git": "git",
    "hostname": "hostname",
    "make": "make",
    "mount": "mount",
    "npm": "nodejs npm",
    "nsenter": "util-linux",
    "setarch": "util-linux",
    "setpriv": "util-linux",
    "sh": "dash",
    "unshare": "util-linux",
}
"""By the name of the program: Debian's package, where the two differ or the tests use the program."""

NAMESPACE_TIMEOUT_S = 300


def program(name: str, path: str | None = None) -> str:
    """Where the program lies, on `path` or PATH; the test is skipped where it does not."""
    file = shutil.which(name, path=path)
    if file is None:
        package = PACKAGES.get(name, name)
        unavailable(f"this needs the program {name}: apt install {package}, or put it on the PATH")
    return file


def namespaces(*kinds: str) -> tuple[str, ...]:
    """`unshare` with these options, such as "--net"; for an ordinary user in a user namespace, where he is root."""
    user = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    prefix = (program("unshare"), *kinds, *user)
    if reason := _refusal(prefix):
        unavailable(f"this needs namespaces, and `{' '.join(prefix)}` is refused here ({reason}): run it as root")
    return prefix


@cache
def _refusal(prefix: tuple[str, ...]) -> str:
    probe = (*prefix, "true")
    process = subprocess.run(probe, capture_output=True, text=True, timeout=NAMESPACE_TIMEOUT_S, check=False)
    return (process.stderr.strip() or f"status {process.returncode}") if process.returncode else ""


def unavailable(reason: str) -> NoReturn:
    """Skip this test for `reason`, or fail it where the gate wants everything."""
    if os.environ.get("REQUIRE_PROGRAMS") == "1":
        pytest.fail(f"REQUIRE_PROGRAMS=1, and {reason}", pytrace=False)
    pytest.skip(reason)
