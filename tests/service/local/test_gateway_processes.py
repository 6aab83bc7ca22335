"""Several processes that are one gateway, without the servers behind them."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from scripts.local.home import Home

ROOT = Path(__file__).resolve().parents[3]
PROCESSES = 2
PATIENCE_S = 60
CONNECTIONS = 60
LOOKS = 5
NOBODY = "127.0.0.1:1"


def eventually(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {PATIENCE_S} s: {what}"
        time.sleep(0.05)
    return value


def free_port(folder: Path) -> int:
    """Of those that the kernel gives to nobody, and no other lane takes, until the gateway listens."""
    return Home(folder).ports(("gateway",))["gateway"]


def command(port: int) -> tuple[str, ...]:
    return (sys.executable, "-m", "api.server", "--port", str(port), "--linger", "0", "--grace", "1")


ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "DATABASE_URL": f"postgresql+psycopg://parley:x@{NOBODY}/parley",
    "REDIS_URL": f"redis://{NOBODY}/0",
    "S3_ENDPOINT_URL": f"http://{NOBODY}",
    "AWS_ACCESS_KEY_ID": "x",
    "AWS_SECRET_ACCESS_KEY": "x",
    "API_PROCESSES": str(PROCESSES),
    "OMP_NUM_THREADS": "1",
}


class Gateway:
    def __init__(self, port: int, parent: psutil.Process, folder: Path) -> None:
        self.port, self.parent, self.folder = port, parent, folder

    def get(self, path: str) -> str:
        """By a connection of its own, as each may come to another process."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=PATIENCE_S) as answer:
            return str(answer.read().decode())

    def answers(self) -> bool:
        try:
            return bool(self.get("/health/live"))
        except (OSError, urllib.error.URLError):
            return False

    def children(self) -> list[psutil.Process]:
        return list[psutil.Process](self.parent.children())

    def listening(self) -> list[psutil.Process]:
        return [child for child in self.children() if any(_is_listening(one) for one in child.net_connections("tcp"))]

    def figure(self, name: str) -> float:
        (line,) = re.findall(rf"^{re.escape(name)} (\S+)$", self.get("/metrics"), re.M)
        return float(line)


def _is_listening(connection: Any) -> bool:
    return bool(connection.status == psutil.CONN_LISTEN)


@contextmanager
def started(folder: Path) -> Iterator[Gateway]:
    port, log = free_port(folder), folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(command(port), env=ENVIRONMENT | {"TMPDIR": str(folder)}, cwd=ROOT, stderr=out)
    try:
        gateway = Gateway(port, psutil.Process(process.pid), folder)
        eventually(lambda: len(gateway.listening()) == PROCESSES, f"all listen: {log.read_text()[-1000:]}")
        yield gateway
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with started(tmp_path_factory.mktemp("gateway")) as running:
        yield running


def test_each_process_gets_connections(gateway: Gateway) -> None:
    """Of sixty connections every process has some."""
    with ExitStack() as stack:
        for _ in range(CONNECTIONS):
            stack.enter_context(socket.create_connection(("127.0.0.1", gateway.port), PATIENCE_S))

        def shares() -> Counter[int]:
            return Counter(
                child.pid
                for child in gateway.children()
                for one in child.net_connections("tcp")
                if one.status == psutil.CONN_ESTABLISHED and one.laddr.port == gateway.port
            )

        eventually(lambda: shares().total() >= CONNECTIONS, "all connections were accepted")
        assert len(shares()) == PROCESSES


def test_whoever_answers_tells_the_counters_of_all(gateway: Gateway) -> None:
    """Whichever process is asked for metrics, it has each request of every process, also of one that was killed."""
    name = 'parley_http_requests_total{method="GET",route="/health/live",status="200"}'
    gateway.get("/health/live")  # the only one so far
    # a counter is 0 when it begins; it is counted after the answer
    eventually(lambda: f"{name} 1.0" in gateway.get("/metrics"), "it is counted")
    before = gateway.figure(name)
    for _ in range(CONNECTIONS):
        gateway.get("/health/live")
    eventually(lambda: gateway.figure(name) >= before + CONNECTIONS, "the last answers are counted")
    assert {gateway.figure(name) for _ in range(LOOKS)} == {before + CONNECTIONS}
    victim = gateway.children()[0]
    victim.kill()
    eventually(lambda: not psutil.pid_exists(victim.pid), "the dead process was collected")
    eventually(lambda: len(gateway.listening()) == PROCESSES, "another has taken its place")
    assert {gateway.figure(name) for _ in range(LOOKS)} == {before + CONNECTIONS}


def test_the_memory_told_is_that_of_all(gateway: Gateway) -> None:
    """process_resident_memory_bytes is the sum of the parent's and of each process's."""
    resident = sum(one.memory_info().rss for one in (gateway.parent, *gateway.children()))
    assert gateway.figure("process_resident_memory_bytes") == pytest.approx(resident, rel=0.1)


def test_a_second_gateway_is_refused_the_port(gateway: Gateway) -> None:
    """Although it would share the port, another gateway does not slip in between: it ends with status 3."""
    second = subprocess.run(command(gateway.port), env=ENVIRONMENT, cwd=ROOT, capture_output=True, timeout=PATIENCE_S)
    assert second.returncode == 3, second.stderr.decode()
    assert len(gateway.listening()) == PROCESSES


def test_one_signal_ends_all(tmp_path: Path) -> None:
    """SIGTERM to the first ends every process with status 0; nothing stays, nor the folder of the counters."""
    with started(tmp_path) as gateway:
        children = gateway.children()
        assert list(tmp_path.glob("parley-metrics-*"))
        gateway.parent.terminate()
        assert gateway.parent.wait(PATIENCE_S) == 0
    assert not [child for child in children if child.is_running()]
    assert not list(tmp_path.glob("parley-metrics-*"))


def test_processes_do_not_outlive_the_first(tmp_path: Path) -> None:
    """When the first is killed by SIGKILL the others end, too, and the port is free."""
    with started(tmp_path) as gateway:
        children = gateway.children()
        gateway.parent.send_signal(signal.SIGKILL)
        eventually(lambda: not [child for child in children if child.is_running()], "all are gone")
        assert not gateway.answers()
