"""A machine of its own: namespaces with another root, a network by slirp4netns, and one command as their first."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

INNER = Path(__file__).with_name("inner.sh")
LEASH = ("setpriv", "--pdeathsig", "KILL")
"""Before a command: it dies with the test, however that ends."""

START_TIMEOUT_S = 30
STOP_TIMEOUT_S = 60
ADDRESS = "10.0.2.100"
"""Of the machine, in its own network; published ports answer here."""


class Namespaces:
    """`command` runs in new namespaces where `root` is / and `work` is where it is outside. Kill it and all is gone:
    processes, mounts, network. `log` takes what it says."""

    def __init__(self, root: Path, work: Path, log: Path, command: Sequence[str]) -> None:
        self.work, self.log = work, log
        self._argv = ("sh", str(INNER), str(root), str(work), *command)
        self._holder: subprocess.Popen[bytes] | None = None
        self._network: subprocess.Popen[bytes] | None = None
        self.pid = 0

    def start(self) -> None:
        """Return when the first process is there and has a network."""
        with self.log.open("ab") as log:
            self._holder = subprocess.Popen(
                (
                    *LEASH,
                    "unshare",
                    "--net",
                    "--mount",
                    "--uts",
                    "--ipc",
                    "--pid",
                    "--fork",
                    "--kill-child=KILL",
                    *self._argv,
                ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            self.pid = self._first_child()
            receiver, sender = os.pipe()
            self._network = subprocess.Popen(
                (
                    *LEASH,
                    "slirp4netns",
                    "--configure",
                    "--mtu=1400",
                    "--disable-host-loopback",
                    f"--ready-fd={sender}",
                    str(self.pid),
                    "tap0",
                ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(sender,),
                start_new_session=True,
            )
        os.close(sender)
        with os.fdopen(receiver, "rb") as ready:
            assert ready.read(1) == b"1", f"slirp4netns did not start:\n{self.tail()}"

    @property
    def is_running(self) -> bool:
        return self._holder is not None and self._holder.poll() is None

    def run(
        self,
        command: str | Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        timeout_s: float = 120,
        stdin: int | None = subprocess.DEVNULL,
    ) -> subprocess.CompletedProcess[str]:
        """A command in there, a string by bash; its output, whether it failed or not."""
        return subprocess.run(
            self.entering(command, cwd),
            env=self.environment | dict(env or {}),
            stdin=stdin,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def entering(self, command: str | Sequence[str], cwd: Path | None = None) -> tuple[str, ...]:
        """The command line that runs a command in there, for whoever starts it by themselves with `environment`."""
        parts = ("bash", "-euo", "pipefail", "-c", command) if isinstance(command, str) else tuple(command)
        entered = ("nsenter", f"--target={self.pid}", "--net", "--mount", "--uts", "--ipc", "--pid")
        # nsenter's --wd is looked up outside
        return (*LEASH, *entered, *LEASH, "sh", "-c", f'cd {shlex.quote(str(cwd or "/"))} && exec "$@"', "sh", *parts)

    @property
    def environment(self) -> dict[str, str]:
        """What commands in there get: nothing of this process's."""
        return {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
            "LANG": "C.UTF-8",
        }

    def stop(self) -> None:
        """SIGTERM to the command, and SIGKILL to all that is left when it does not end in a minute."""
        if self._holder is not None:
            if self.is_running:
                os.kill(self.pid, 15)
            try:
                self._holder.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._holder.kill()
                self._holder.wait(10)
        if self._network is not None:
            self._network.kill()
            self._network.wait(10)

    def kill(self) -> None:
        """As a machine whose power fails."""
        assert self._holder is not None
        self._holder.kill()
        self._holder.wait(10)
        self.stop()

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-3000:]

    def _first_child(self) -> int:
        assert self._holder is not None
        children = Path(f"/proc/{self._holder.pid}/task/{self._holder.pid}/children")
        deadline = time.monotonic() + START_TIMEOUT_S
        while not (numbers := children.read_text().split()):
            assert self.is_running and time.monotonic() < deadline, f"no namespaces were made:\n{self.tail()}"
            time.sleep(0.02)
        return int(numbers[0])
