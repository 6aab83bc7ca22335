"""What the entrypoint of PostgreSQL's image does before its first start, by the wheel's initdb."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path

from scripts.local.servers import postgres_binary
from scripts.local.unprivileged import unprivileged

TIMEOUT_S = 120


def initialize(cluster: Path, environment: Mapping[str, str]) -> None:
    """Make a cluster in `cluster` with the service's POSTGRES_USER, POSTGRES_PASSWORD and POSTGRES_INITDB_ARGS, and let
    passwords in from every address. Raises AssertionError with initdb's own words."""
    cluster.mkdir(mode=0o700, parents=True)
    user = unprivileged(cluster.parent)
    password = cluster.with_name("password")
    password.write_text(environment["POSTGRES_PASSWORD"])
    user.chown(cluster)
    process = subprocess.run(
        (
            *user.prefix,
            str(postgres_binary("initdb")),
            "-D",
            str(cluster),
            f"--username={environment['POSTGRES_USER']}",
            f"--pwfile={password}",
            *shlex.split(environment["POSTGRES_INITDB_ARGS"]),
        ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={"PATH": "/usr/bin:/bin", "LANG": "en_US.utf8"},
        timeout=TIMEOUT_S,
        check=False,
    )
    password.unlink()
    assert process.returncode == 0, process.stdout
    with (cluster / "pg_hba.conf").open("a") as file:
        file.write("host all all all scram-sha-256\n")
