"""A rolling restart of everything under load: nothing fails for those who call, and nothing is lost.

    python -m scripts.bench.rolling --rounds 20

Two gateways behind Caddy, two workers that serve every queue, and beat; in each round every process in turn is ended by
SIGTERM and started again, as an upgrade would, while clients submit recordings, wait for some of them, ask for their
status, and follow their events.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx

from scripts.bench.recordings import speech, write_unique
from scripts.bench.soak.truth import bare_environment
from scripts.local.apps import API, BEAT, ROOT, worker
from scripts.local.home import LOOPBACK
from scripts.local.stack import Stack

CLIENTS = 3
READY_S = 240
WORK_S = READY_S + 120
"""Behind the last restart both workers may still be starting, which takes as long as a gateway's start."""

FIRST_API = replace(API, arguments=("api.server", "--host", "{host}", "--port", "{port}"))
"""As compose starts it, with a proxy in front."""

SECOND_API = replace(
    API, name="api-2", arguments=("api.server", "--host", "{host}", "--port", "{api-2}"), is_public=False
)
APPS = (
    FIRST_API,
    SECOND_API,
    *(worker(name, "io,cpu,asr,diarize", concurrency=2, threads=1) for name in ("a", "b")),
    BEAT,
)


@dataclass
class Report:
    """What the clients saw. `lost` are tasks that were accepted and are not done in the end."""

    rounds: int = 0
    requests: int = 0
    failures: list[str] = field(default_factory=list)
    followed: int = 0
    tasks: int = 0
    lost: list[str] = field(default_factory=list)


def roll(home: Path, rounds: int) -> Report:
    """Restart everything `rounds` times below load."""
    report = Report()
    environ = {**bare_environment(), "ENGINE": "sleeper", "SLEEPER_SECONDS": "0.2", "LOG_LEVEL": "WARNING"}
    with Stack(home, apps=APPS, environ=environ) as stack, _proxy(stack) as url:
        second = f"http://{LOOPBACK}:{stack.port_of(SECOND_API.name)}/health/live"
        _wait_for(second)  # the stack is up when the first one answers, and that is the first to be restarted
        recording = write_unique(speech(1.0), stack.home.path / "a.wav", 0).read_bytes()
        clients: list[_Client] = [_Client(url, stack.api_key, recording, number) for number in range(CLIENTS)]
        clients.append(follower := _Follower(url, stack.api_key, recording, CLIENTS))
        for client in clients:
            client.start()
        for _ in range(rounds):
            for app in APPS:
                stack.stop_process(app.name)
                stack.start_process(app.name)
                if app is SECOND_API:
                    _wait_for(second)
            report.rounds += 1
        for client in clients:
            client.over.set()
        for client in clients:
            client.join(READY_S)
        report.followed = follower.ended
        report.requests = sum(client.requests for client in clients)
        report.failures = [failure for client in clients for failure in client.failures]
        tasks = [task for client in clients for task in client.tasks]
        report.tasks, report.lost = len(tasks), _unfinished(url, stack.api_key, tasks)
    return report


class _Client(threading.Thread):
    """Submits a recording, waits for every fifth, asks for its status a few times, and begins anew; every answer but a
    success is a failure."""

    def __init__(self, url: str, key: str, recording: bytes, number: int) -> None:
        super().__init__(daemon=True)
        self._http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=30)
        self._recording, self._number = recording, number
        self.over = threading.Event()
        self.requests, self.tasks, self.failures = 0, list[str](), list[str]()

    def run(self) -> None:
        while not self.over.wait(0.05):
            if task := self._submit(wait="1" if len(self.tasks) % 5 == 0 else "0"):
                for _ in range(4):
                    self.over.wait(0.1)
                    self._ask("GET", f"/status/{task}")

    def _submit(self, **options: str) -> str | None:
        form = {"prompt": f"{self._number} {self.requests}", "diarization": "true", **options}
        answer = self._ask("POST", "/transcribe", files={"file": ("a.wav", self._recording)}, data=form)
        if answer is None:
            return None
        self.tasks.append(answer.json()["task_id"])
        return self.tasks[-1]

    def _ask(self, method: str, path: str, **arguments: object) -> httpx.Response | None:
        self.requests += 1
        try:
            answer = self._http.request(method, path, **arguments)  # type: ignore[arg-type]
        except httpx.HTTPError as error:
            self.failures.append(f"{method} {path}: {type(error).__name__}")
            return None
        if answer.status_code >= 400:
            self.failures.append(f"{method} {path}: {answer.status_code} {answer.text[:200]}")
            return None
        return answer


class _Follower(_Client):
    """Submits a recording and follows it to its end, as a browser does: a stream that ends before is taken up again.
    One that is torn off in the middle is a failure."""

    ended = 0

    def run(self) -> None:
        while not self.over.wait(0.05):
            if task := self._submit():
                while not self.over.is_set() and not self._follow(task):
                    pass

    def _follow(self, task: str) -> bool:
        self.requests += 1
        path = f"/tasks/{task}/events"
        try:
            with self._http.stream("GET", path) as answer:
                if answer.status_code != 200:
                    self.failures.append(f"GET {path}: {answer.status_code}")
                    return True
                for line in answer.iter_lines():
                    if '"status": "done"' in line:
                        self.ended += 1
                        return True
                    if self.over.is_set():
                        return True
        except httpx.HTTPError as error:
            self.failures.append(f"GET {path}: {type(error).__name__}")
            return True
        return False


@contextmanager
def _proxy(stack: Stack) -> Iterator[str]:
    """Caddy in front of both gateways, with the upstream's settings of deploy/caddy/api.caddy."""
    port, admin = stack.home.ports(("caddy", "caddy-admin")).values()
    settings = ROOT / "deploy" / "caddy" / "api.caddy"
    balancing = "\n".join(re.findall(r"^\s*((?:lb_|fail_duration).+)$", settings.read_text(), re.MULTILINE))
    upstreams = " ".join(f"{LOOPBACK}:{stack.port_of(app.name)}" for app in (FIRST_API, SECOND_API))
    text = f"""
    {{
        admin {LOOPBACK}:{admin}
        auto_https off
    }}
    import {settings}
    http://{LOOPBACK}:{port} {{
        reverse_proxy {upstreams} {{
            {balancing}
            import to_upstream
        }}
    }}
    """
    file = stack.home.path / "Caddyfile"
    file.write_text(text)
    caddy = shutil.which("caddy", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert caddy, "caddy is not installed: pip install -r requirements/dev.txt"
    with (stack.home.logs / "caddy.log").open("wb") as log:
        running = subprocess.Popen((caddy, "run", "--config", file, "--adapter", "caddyfile"), stdout=log, stderr=log)
    try:
        url = f"http://{LOOPBACK}:{port}"
        _wait_for(f"{url}/health/live")
        yield url
    finally:
        running.terminate()
        running.wait(READY_S)


def _wait_for(url: str) -> None:
    end = time.monotonic() + READY_S
    while time.monotonic() < end:
        try:
            if httpx.get(url, timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise RuntimeError(f"{url} does not answer within {READY_S} s")


def _unfinished(url: str, key: str, tasks: list[str]) -> list[str]:
    end = time.monotonic() + WORK_S
    rest = tasks
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=30) as http:
        while rest and time.monotonic() < end:
            rest = [task for task in rest if http.get(f"/status/{task}").json()["status"] != "done"]
            time.sleep(0.2)
    return rest


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    with tempfile.TemporaryDirectory() as folder:
        report = roll(Path(folder) / "home", parser.parse_args().rounds)
    print(json.dumps({name: value if isinstance(value, int) else len(value) for name, value in vars(report).items()}))
    for failure in report.failures[:20]:
        print(failure)
    return 1 if report.failures or report.lost else 0


if __name__ == "__main__":
    sys.exit(main())
