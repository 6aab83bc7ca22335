"""A second Caddy with our Caddyfile beside the deployment's own, on ports and settings of its own."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.deploy.composed import BIN, ROOT
from tests.deploy.conftest import Deployment

PORTS = {
    "http_port 8080": "http_port 18080",
    "https_port 8443": "https_port 18443",
    ":2019": ":12019",
    ":2020": ":12020",
}
READY_TIMEOUT_S = 120


class Door:
    """Use as a context manager; reaches the same gateway and object store. `options` are further global options."""

    def __init__(
        self,
        deployment: Deployment,
        folder: Path,
        changes: dict[str, str],
        options: str = "",
        program: Path = BIN / "caddy",
    ) -> None:
        folder.mkdir()
        (folder / "deploy").symlink_to(ROOT / "deploy")
        text = (ROOT / "Caddyfile").read_text()
        for old, new in PORTS.items():
            assert old in text
            text = text.replace(old, new)
        (folder / "Caddyfile").write_text(text.replace("{\n", "{\n" + options, 1))
        self._deployment, self._folder, self._program = deployment, folder, program
        self._environment = deployment.service("caddy").environment | {"XDG_DATA_HOME": str(folder)} | changes
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                (
                    *self._deployment.machine.prefix(self._folder),
                    self._program,
                    "run",
                    "--config",
                    self._folder / "Caddyfile",
                    "--adapter",
                    "caddyfile",
                ),
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            self._wait_ready(self._process)
        except BaseException:
            self._end()  # it would keep its ports from every door behind it
            raise
        return self

    def _wait_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_S
        while self._deployment.run("curl", "-sf", "-m", "60", "http://127.0.0.1:12020/health").returncode != 0:
            assert process.poll() is None, self.log[-3000:]
            assert time.monotonic() < deadline, self.log[-3000:]
            time.sleep(0.1)

    def _end(self) -> None:
        assert self._process is not None
        self._process.kill()  # it would wait for streams to end
        self._process.wait(60)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    @property
    def log(self) -> str:
        return (self._folder / "log").read_text(errors="replace")
