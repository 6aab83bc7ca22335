"""The whole of Parley on one machine: servers, gateway, workers, under one supervisor."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from scripts.local import processes
from scripts.local.apps import APPS, ROOT, App, command, shares
from scripts.local.home import LOOPBACK, Home, Secrets, require_free
from scripts.local.servers import Postgres, Server, Valkey
from scripts.local.supervisor import Command, StartFailed, Supervisor, tail
from shared.storage.folder import Folder

INNER = ("postgres", "valkey", "s3", "s3-master", "s3-volume", "s3-filer", "s3-admin", "flower")
MIGRATION_TIMEOUT_S = 3600
"""Large tables are rewritten for minutes, and a slow machine imports for one."""


class Stack:
    """Servers, then migrations, then `apps`; every process gets its configuration from `env` alone.

    `home` holds everything that outlives a run. `port` is the gateway's; None means any that is free.
    `environ` is the environment to start from: a server whose address is in it (DATABASE_URL, REDIS_URL,
    S3_ENDPOINT_URL) is used as given and not started, and any other setting in it wins over the stack's own.
    Objects lie in a folder, unless OBJECT_STORE is s3 or they already lie in a SeaweedFS of this home.
    `report` takes one line of text about each thing that went wrong and was put right.
    """

    def __init__(
        self,
        home: Path,
        *,
        port: int | None = None,
        apps: Iterable[App] = APPS,
        environ: Mapping[str, str] = os.environ,
        migrate: bool = True,
        report: Callable[[str], None] = print,
    ) -> None:
        self.home = Home(home)
        self.env: dict[str, str] = {}
        self._port, self._apps, self._environ = port, tuple(apps), environ
        self._migrates, self._report = migrate, report
        self._ports: dict[str, int] = {}
        self._secrets: Secrets | None = None
        self._servers: tuple[Server, ...] = ()
        self._commands: dict[str, Command] = {}
        self._supervisor: Supervisor | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Address of the gateway, without a slash at the end."""
        return f"http://{LOOPBACK}:{self._ports['api']}"

    @property
    def flower_url(self) -> str:
        """Address of Flower; its user is `parley`."""
        return f"http://{LOOPBACK}:{self._ports['flower']}"

    @property
    def flower_password(self) -> str:
        return self._stored.flower_password

    def port_of(self, name: str) -> int:
        """The port that was given to a process."""
        return self._ports[name]

    @property
    def metrics_urls(self) -> Mapping[str, str]:
        """Where Prometheus finds each process that has something to tell."""
        pages = {name: f"http://{LOOPBACK}:{self._ports[name]}/metrics" for name in self._workers}
        return {"api": f"{self.url}/metrics", **pages}

    @property
    def _workers(self) -> tuple[str, ...]:
        return tuple(app.name for app in self._apps if app.name.startswith("worker-"))

    @property
    def api_key(self) -> str:
        """A key with all scopes."""
        return self.env["API_KEY"]

    def start(self) -> None:
        """Returns when the gateway answers. Raises HomeInUse, PortTaken, StartFailed or ValueError, and leaves nothing
        running."""
        self.home.acquire()
        try:
            for name in processes.end_stale(self.home.pids, self.home.path):
                self._report(f"ended {name}, which an earlier run had left behind")
            self._settle()
            self._supervisor = Supervisor(self.home.logs, self.home.pids, self._report)
            self._start_servers()
            if self._migrates:
                self._migrate()
            self._start_apps()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Workers first, they hand their work back; then the gateway; the servers last. Safe to repeat."""
        if self._supervisor is not None:
            public = {app.name for app in self._apps if app.is_public}
            inner = {server.command().name for server in self._servers}
            running = self._supervisor.names()
            self._supervisor.stop(name for name in running if name not in public | inner)
            self._supervisor.stop(public)
            self._supervisor.close()
            self._supervisor = None
            for server in self._servers:
                server.tidy()
        self.home.release()

    # ---- one process at a time: tests of failure need it

    def pid(self, name: str) -> int | None:
        """Process id of a running process, which is also its session's id; None while it waits for its restart."""
        return self._running.pid(name)

    def names(self) -> tuple[str, ...]:
        """Names of the processes that are being kept running."""
        return self._running.names()

    def log(self, name: str) -> Path:
        """The file with the output of a process."""
        return self._running.log(name)

    def stop_process(self, name: str) -> None:
        """Stop one process, in the same way as `stop` does, and leave it stopped."""
        self._running.stop([name])

    def start_process(self, name: str) -> None:
        """Start one again that `stop_process` stopped, and wait until it answers."""
        self._running.start(self._commands[name])
        self._running.wait_ready(name)

    # ---- the steps of a start

    @property
    def _running(self) -> Supervisor:
        if self._supervisor is None:
            raise RuntimeError("the stack is not running")
        return self._supervisor

    @property
    def _stored(self) -> Secrets:
        if self._secrets is None:
            raise RuntimeError("the stack was never started")
        return self._secrets

    def _settle(self) -> None:
        """Ports, secrets, servers and the environment of every process."""
        if self._port is not None:
            require_free(self._port)
        names = dict.fromkeys((*INNER, *(app.name for app in self._apps if self._port is None or not app.is_public)))
        self._ports = self.home.ports(names) | ({} if self._port is None else {"api": self._port})
        self._secrets = self.home.secrets()
        self._servers = tuple(self._inner_servers())
        defaults = {
            "API_KEY": self._stored.api_key,
            "METRICS_TOKEN_FILE": str(self.home.metrics_token()),
            "MODEL_DIR": str(ROOT / "models"),
            "SCRATCH_DIR": str(self.home.scratch),
            "PYTHONUNBUFFERED": "1",
        }
        overrides = {name: value for name, value in self._environ.items() if value}
        always = {
            "FLOWER_BASIC_AUTH": f"parley:{self._stored.flower_password}",  # not an argument: `ps` shows those
            processes.MARKER: str(self.home.path),
            "OBJECT_STORE": str(self._objects or "s3"),
        }
        self.env = defaults | overrides | always
        for server in self._servers:
            self.env |= server.env

    def _inner_servers(self) -> Iterable[Server]:
        data, ports, stored = self.home.data, self._ports, self._stored
        if not self._objects and not self._environ.get("S3_ENDPOINT_URL"):
            from scripts.local.seaweedfs import SeaweedFS  # its boto3 is a quarter of what a start imports

            yield SeaweedFS(
                data / "seaweedfs",
                ports["s3"],
                ports["s3-master"],
                ports["s3-volume"],
                ports["s3-filer"],
                ports["s3-admin"],
                stored.s3_access_key,
                stored.s3_secret_key,
                bucket=self._environ.get("S3_BUCKET") or "parley",
            )
        if not self._environ.get("REDIS_URL"):
            yield Valkey(data / "valkey", ports["valkey"], stored.valkey_password)
        if not self._environ.get("DATABASE_URL"):
            yield Postgres(data / "postgres", ports["postgres"], stored.postgres_password)

    @property
    def _objects(self) -> Path | None:
        """The folder of objects; None when an S3 server has them."""
        if choice := self._environ.get("OBJECT_STORE"):
            return None if choice == "s3" else Path(choice)
        if self._environ.get("S3_ENDPOINT_URL"):
            return None
        folder = self.home.data / "objects"
        is_older = (self.home.data / "seaweedfs").exists() and not folder.exists()
        return None if is_older else folder

    def _start_servers(self) -> None:
        if self._objects:
            Folder(self._objects).ensure_bucket()
        for server in self._servers:
            server.prepare()
            self._keep(server.command())
        for server in self._servers:
            self._running.wait_ready(server.command().name)
            server.provision()

    def _migrate(self) -> None:
        """Raises StartFailed when it fails, or takes longer than MIGRATION_TIMEOUT_S."""
        log = self.home.logs / "migrate.log"
        with log.open("wb") as out, _in_time("the migration of the database"):
            result = subprocess.run(
                (sys.executable, "-m", "shared.db", "upgrade"),
                env=self.env,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                timeout=MIGRATION_TIMEOUT_S,
                check=False,
            )
        if result.returncode != 0:
            raise StartFailed(f"the database could not be migrated; {log} ends with\n{tail(log)}")

    def _start_apps(self) -> None:
        shutil.rmtree(self.home.metrics, ignore_errors=True)  # counters begin anew with the processes
        for app in self._apps:
            (self.home.metrics / app.name).mkdir(parents=True)
        places = {
            **{name: str(port) for name, port in self._ports.items()},
            "metrics": str(self.home.metrics),
            "host": self._environ.get("PARLEY_HOST") or LOOPBACK,  # a container's loopback is seen by nobody outside
            "port": str(self._ports.get("api", "")),  # there may be no gateway
            "proxies": self._environ.get("TRUSTED_PROXIES") or "",
            "flower_port": str(self._ports["flower"]),
            "schedule": str(self.home.data / "beat-schedule"),
            **shares(self._environ),
        }
        urgent = [app for app in self._apps if not app.is_helper]
        helpers = [app for app in self._apps if app.is_helper]
        for group in (urgent, helpers):
            for app in group:
                self._keep(command(app, self.env, places))
            for app in group:
                self._running.wait_ready(app.name)

    def _keep(self, process: Command) -> None:
        self._commands[process.name] = process
        self._running.start(process)


@contextmanager
def _in_time(what: str) -> Iterator[None]:
    """Raises StartFailed for a program that had to be ended."""
    try:
        yield
    except subprocess.TimeoutExpired as error:
        raise StartFailed(f"{what} was not done within {error.timeout:.0f} s") from error
