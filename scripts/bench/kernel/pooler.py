"""A PgBouncer in front of a PostgreSQL, as deploy/pgbouncer/pgbouncer.ini has it; for tests too."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from configparser import ConfigParser
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from sqlalchemy import URL, make_url

from scripts.local.apps import ROOT
from scripts.local.home import LOOPBACK, Home
from scripts.local.supervisor import Command, Supervisor
from scripts.local.unprivileged import unprivileged

CONFIGURATION = ROOT / "deploy/pgbouncer/pgbouncer.ini"
PATHS = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"
"""Debian keeps it among the administrator's programs."""

PROBE_TIMEOUT_S = 5


@dataclass(frozen=True)
class Pooler:
    """A running one. `direct` is the address of PostgreSQL itself."""

    url: URL
    direct: URL

    @property
    def env(self) -> dict[str, str]:
        """What Parley's processes need to go through it."""
        return {
            "DATABASE_URL": self.url.render_as_string(hide_password=False),
            "DATABASE_DIRECT_URL": self.direct.render_as_string(hide_password=False),
        }

    def connect(self, database: str | None = None) -> psycopg.Connection[tuple[object, ...]]:
        """A connection through it, or to its console, which is the database `pgbouncer`."""
        address = self.url.set(drivername="postgresql", database=database or self.url.database)
        connection = psycopg.connect(
            address.render_as_string(hide_password=False),
            autocommit=True,
            connect_timeout=PROBE_TIMEOUT_S,
            cursor_factory=psycopg.ClientCursor,  # the console knows no parameters
        )
        connection.prepare_threshold = None
        return connection


@contextmanager
def pooler(folder: Path, database_url: str, **settings: object) -> Iterator[Pooler]:
    """Start one; `settings` take the place of those of the file."""
    home, direct = Home(folder), make_url(database_url)
    home.acquire()
    supervisor = Supervisor(home.logs, home.pids, print)
    try:
        running = Pooler(direct.set(port=home.ports(("pgbouncer",))["pgbouncer"]), direct)
        command = _command(home, _configuration(home.data, running, settings), running)
        supervisor.start(command)
        supervisor.wait_ready(command.name)
        yield running
    finally:
        supervisor.close()
        home.release()


def _command(home: Home, file: Path, running: Pooler) -> Command:
    def answers() -> bool:
        try:
            running.connect("pgbouncer").close()
        except psycopg.OperationalError:
            return False
        return True

    user = unprivileged(home.path)  # it does not run as root either
    user.chown(home.data)
    argv = (shutil.which("pgbouncer", path=PATHS) or "pgbouncer", str(file))
    return Command(name="pgbouncer", prefix=user.prefix, argv=argv, env=os.environ, cwd=home.data, ready=answers)


def _configuration(folder: Path, running: Pooler, settings: dict[str, object]) -> Path:
    """The configuration with the addresses of here, and the passwords beside it."""
    users = folder / "userlist.txt"
    users.touch(mode=0o600)
    users.write_text(f'"{running.url.username}" "{running.url.password}"\n')
    direct, configuration = running.direct, ConfigParser(interpolation=None)
    configuration.read(CONFIGURATION)
    configuration["databases"]["parley"] = f"host={direct.host} port={direct.port} dbname={direct.database}"
    here = {"listen_addr": LOOPBACK, "listen_port": running.url.port, "auth_file": users, "unix_socket_dir": ""}
    for name, value in {**here, **settings}.items():
        configuration["pgbouncer"][name] = str(value)
    file = folder / "pgbouncer.ini"
    with file.open("w") as out:
        configuration.write(out)
    return file
