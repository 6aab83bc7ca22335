"""A machine as one rents it: Debian with Python, make, git and curl, and nothing of ours."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.engine.checkout import clone
from tests.engine.folder import WorkFolder
from tests.engine.roots import mirror
from tests.fresh import surroundings

SUITES = ("bookworm", "trixie")
"""Debian 12 with Python 3.11, Debian 13 with Python 3.13."""

PACKAGES = (
    "ca-certificates",
    "curl",
    "git",
    "iproute2",
    "linux-libc-dev",
    "make",
    "python3",
    "python3-pip",
    "python3-venv",
)
PROGRAMS = ("mmdebstrap", "unshare", "setpriv", "git")
ENTER = Path(__file__).with_name("enter.sh")
CHECKOUT = "/srv/parley"
USER = "person"
MAKE_TIMEOUT_S = 900
ANSWER_TIMEOUT_S = 20
DISK_BYTES = 15 * 1000**3
"""For two roots, an environment at a time (2.3 GB, with CUDA's libraries 5) and what the tests write."""


def obstacle(folder: WorkFolder) -> str | None:
    """Why there can be no fresh machine here, in one line; None when there can."""
    if os.geteuid() != 0:
        return "only root can make a root folder and enter it"
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        return f"not installed: {', '.join(missing)} (Debian: apt install mmdebstrap util-linux git)"
    probe = ("unshare", "--mount", "--pid", "--fork", "true")
    if subprocess.run(probe, capture_output=True, timeout=ANSWER_TIMEOUT_S, check=False).returncode != 0:
        return "the kernel lets nobody make namespaces here (unshare --mount --pid)"
    if shutil.disk_usage(folder.path).free < DISK_BYTES:
        return f"{folder.path} has less than {DISK_BYTES / 1e9:.0f} GB free (PARLEY_ENGINE_DIR names another folder)"
    source = mirror()
    if source is None:
        return "no Debian mirror is among apt's sources"
    for suite in SUITES:
        try:
            urllib.request.urlopen(f"{source}/dists/{suite}/InRelease", timeout=ANSWER_TIMEOUT_S).close()
        except (OSError, urllib.error.URLError) as error:
            return f"apt's mirror does not give {suite}: {error}"
    return None


class FreshMachine:
    """`run` is a login there; what it changes stays until the machine goes."""

    def __init__(self, root: Path, changes: Path, shared: Path) -> None:
        self._root, self._changes = root, changes
        self._checkout = clone(changes / "checkout")
        self._models, self._downloads = shared / "models", shared / "pip"
        for folder in (self._models, self._downloads):
            folder.mkdir(parents=True, exist_ok=True)

    def run(self, user: str, *command: str, timeout_s: float) -> subprocess.CompletedProcess[str]:
        """A command in the checkout, with nothing of this process's environment; nothing of it outlives the call."""
        home = "/root" if user == "root" else f"/home/{user}"
        variables = surroundings.environment() | {
            "HOME": home,
            "USER": user,
            "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "LANG": "C.UTF-8",
            "PIP_CACHE_DIR": "/var/cache/pip",
        }
        binds = [
            *surroundings.binds(),
            f"{self._checkout}={CHECKOUT}",
            f"{self._models}={CHECKOUT}/models",
            f"{self._downloads}=/var/cache/pip",
        ]
        return subprocess.run(
            (
                "unshare",
                "--mount",
                "--propagation=private",
                "--pid",
                "--fork",
                "--kill-child",
                "sh",
                ENTER,
                self._root,
                self._changes,
                user,
                CHECKOUT,
                *binds,
                "--",
                *command,
            ),
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def add_user(self) -> None:
        """An ordinary user, who has the checkout from now on."""
        script = f"id {USER} || useradd --create-home {USER}; chown -R {USER}: {CHECKOUT} /var/cache/pip"
        added = self.run("root", "sh", "-c", script, timeout_s=ANSWER_TIMEOUT_S * 6)
        assert added.returncode == 0, added.stdout


@contextmanager
def fresh(folder: WorkFolder, suite: str) -> Iterator[FreshMachine]:
    """A machine with this release of Debian; its root is made once, what happens there is forgotten."""
    root = folder.cached(f"fresh-{suite}", f"{suite} {PACKAGES}", lambda draft: _bootstrap(draft, suite))
    with tempfile.TemporaryDirectory(prefix=f"{suite}-", dir=folder.path) as changes:
        Path(changes).chmod(0o755)
        yield FreshMachine(root, Path(changes), folder.path / "fresh-shared")


def _bootstrap(draft: Path, suite: str) -> None:
    process = subprocess.run(
        (
            "mmdebstrap",
            "--variant=minbase",
            "--mode=root",
            f"--include={','.join(PACKAGES)}",
            '--aptopt=Acquire::Check-Valid-Until "false"',
            suite,
            draft,
            f"deb {mirror()} {suite} main",
        ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=MAKE_TIMEOUT_S,
        check=False,
    )
    assert process.returncode == 0, f"mmdebstrap {suite}:\n{process.stdout[-3000:]}"
