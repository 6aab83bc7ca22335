"""PostgreSQL of the local stack for every kind of user: root and others, named in /etc/passwd or not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from scripts.bench.soak.truth import bare_environment
from tests.programs import unavailable
from tests.service.local.user_switch import CANNOT

ROOT = Path(__file__).parents[3]
USER_SWITCH = Path(__file__).with_name("user_switch.py")
TIMEOUT_S = 180
ANSWER = "PostgreSQL 18"
NAMED, NAMELESS = 4321, 4322

ROOT_ENTRY = "root:x:0:0:root:/root:/bin/sh\n"
DAEMON = "daemon:x:1:1:daemon:/:/usr/sbin/nologin\n"
NOBODY = "nobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n"
PASSWD = {
    "only system users": ROOT_ENTRY + DAEMON + NOBODY,
    "no nobody": ROOT_ENTRY + DAEMON,
    "a person": ROOT_ENTRY + DAEMON + NOBODY + f"person:x:{NAMED}:{NAMED}::/:/bin/sh\n",
    "only root": ROOT_ENTRY,
    "empty": "",
}

START = """
import os, sys
from pathlib import Path
import psycopg
from scripts.local.stack import Stack
from scripts.local.supervisor import StartFailed
elsewhere = {"REDIS_URL": "redis://127.0.0.1:1/0", "S3_ENDPOINT_URL": "http://127.0.0.1:1", "S3_BUCKET": "b",
             "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s"}
try:
    for turn in range(2):  # the second start finds the files of the first
        with Stack(Path(sys.argv[1]), apps=(), migrate=False, environ=os.environ | elsewhere) as stack:
            with psycopg.connect(stack.env["DATABASE_URL"].replace("+psycopg", ""), connect_timeout=5) as connection:
                print("PostgreSQL", connection.execute("SHOW server_version").fetchone()[0])
except StartFailed as failed:
    sys.exit(f"StartFailed: {failed}")
"""


@dataclass(frozen=True)
class User:
    """Who starts the stack: a number, what /etc/passwd holds, and whether user namespaces may be made."""

    uid: int
    passwd: str
    namespaces: bool

    def start(self, folder: Path) -> subprocess.CompletedProcess[str]:
        """Start PostgreSQL in `folder`, twice."""
        passwd = folder / "passwd"
        passwd.write_text(PASSWD[self.passwd] if self.passwd in PASSWD else without_uid_1000())
        passwd.chmod(0o644)
        data = folder / "data"
        data.mkdir()
        if os.geteuid() == 0:
            os.chown(data, self.uid, self.uid)
        process = subprocess.run(
            (
                sys.executable,
                USER_SWITCH,
                passwd,
                str(self.uid),
                "yes" if self.namespaces else "no",
                sys.executable,
                "-c",
                START,
                data / "home",
            ),
            cwd=ROOT,
            env=bare_environment() | {"PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        if process.returncode == CANNOT:
            unavailable(f"no other user can be had here: {process.stderr.strip()}")
        return process


def without_uid_1000() -> str:
    lines = Path("/etc/passwd").read_text().splitlines(keepends=True)
    return "".join(line for line in lines if line.split(":")[2] != "1000")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user may enter."""
    with TemporaryDirectory(prefix="parley-users-") as path:
        Path(path).chmod(0o755)
        yield Path(path)


STARTS = [
    *(
        User(0, passwd, namespaces)
        for passwd in ("only system users", "no nobody", "a person", "without uid 1000")
        for namespaces in (True, False)
    ),
    User(NAMED, "a person", namespaces=True),
    User(NAMED, "a person", namespaces=False),
    *(User(NAMELESS, passwd, namespaces=True) for passwd in ("only system users", "no nobody", "without uid 1000")),
]
REFUSED = [
    *(
        User(uid, passwd, namespaces)
        for uid in (0, NAMELESS)
        for passwd in ("only root", "empty")
        for namespaces in (True, False)
    ),
    User(NAMELESS, "only system users", namespaces=False),
]


@pytest.mark.parametrize("user", STARTS, ids=str)
def test_postgres_starts_for_this_user(user: User, folder: Path) -> None:
    """PostgreSQL starts, answers, stops and starts again on its files."""
    if user.uid == 0 and not user.namespaces and os.geteuid() != 0:
        pytest.skip("root without user namespaces: only root can try it")
    process = user.start(folder)
    assert process.returncode == 0, process.stderr[-3000:]
    assert process.stdout.count(ANSWER) == 2, process.stdout


@pytest.mark.parametrize("user", REFUSED, ids=str)
def test_a_user_for_whom_it_cannot_start_is_told_why(user: User, folder: Path) -> None:
    """The start ends with one line: what PostgreSQL does not do, and what helps."""
    process = user.start(folder)
    assert process.returncode == 1
    (line,) = [line for line in process.stderr.splitlines() if line.startswith("StartFailed: ")]
    assert "PostgreSQL" in line
    assert "start Parley as an ordinary user that /etc/passwd names, or point DATABASE_URL at a server" in line


def test_root_starts_it_in_a_folder_of_somebody_else(folder: Path) -> None:
    """As with `sudo make run` in a person's home that is closed to others."""
    if os.geteuid() != 0:
        pytest.skip("only root can try it")
    home = folder / "person"
    home.mkdir(mode=0o700)
    os.chown(home, NAMED, NAMED)
    process = subprocess.run(
        (sys.executable, "-c", START, home / "home"),
        cwd=ROOT,
        env=bare_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    assert process.stdout.count(ANSWER) == 2, process.stdout
