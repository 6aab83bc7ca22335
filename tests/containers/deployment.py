"""Parley as docker-compose.yml runs it, on the engine's machine, used as a person there uses it."""

from __future__ import annotations

import json
import re
import subprocess
import time
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from scripts.init_env import SECRETS, parse_env
from tests.engine import builds
from tests.engine.checkout import clone
from tests.engine.engine import Engine
from tests.engine.folder import remove

UP_TIMEOUT_S = 1800
HEALTHY_TIMEOUT_S = 900
JOB_TIMEOUT_S = 900
ONE_SHOT = ("migrate", "models")
POLLER = Path(__file__).with_name("poller.py")


@dataclass
class Deployment:
    """`checkout` is where a person types `docker compose`; it was cloned from `upstream`, under umask 077.
    `first` is what the engine knew of the containers when all of them were healthy for the first time."""

    engine: Engine
    upstream: Path
    checkout: Path
    first: list[dict[str, Any]] = field(default_factory=list)

    def type(self, command: str, timeout_s: float = UP_TIMEOUT_S) -> str:
        """What a person types in the checkout; its output. Raises AssertionError when it fails."""
        process = self.engine.run(command, cwd=self.checkout, timeout_s=timeout_s)
        assert process.returncode == 0, f"{command}\n{process.stdout[-3000:]}\n{process.stderr[-3000:]}"
        return process.stdout

    @property
    def env(self) -> dict[str, str]:
        return parse_env((self.checkout / ".env").read_text())

    @property
    def secrets(self) -> dict[str, str]:
        return {name: self.env[name] for name in SECRETS}

    def containers(self, service: str | None = None) -> list[dict[str, Any]]:
        """What the engine knows of the containers of a service, or of all, also those that have ended."""
        return self.engine.inspect(*self.type(f"docker compose ps -aq {service or ''}").split())

    def wait_healthy(self) -> list[dict[str, Any]]:
        """Return the containers when those that stay are healthy and the others have ended well."""
        deadline = time.monotonic() + HEALTHY_TIMEOUT_S
        while True:
            containers = self.containers()
            unwell = [service_of(each) for each in containers if not is_well(each)]
            if not unwell:
                return containers
            assert time.monotonic() < deadline, f"not well: {unwell}\n{self.logs(unwell[0])[-3000:]}"
            time.sleep(1)

    def logs(self, service: str = "") -> str:
        return self.type(f"docker compose logs --no-color {service} 2>&1")

    def submit(self, recording: Path, **form: str) -> str:
        """POST /transcribe through Caddy's published port; the task's id."""
        fields = " ".join(f"-F {name}={value}" for name, value in form.items())
        answer = self.ask(f"/transcribe -F file=@{recording} {fields}")
        return str(answer["task_id"])

    def transcript(self, task: str) -> dict[str, Any]:
        """The result of a task once it is done."""
        deadline = time.monotonic() + JOB_TIMEOUT_S
        while (status := self.ask(f"/status/{task}"))["status"] != "done":
            assert status["status"] not in ("error", "cancelled"), status
            assert time.monotonic() < deadline, status
            time.sleep(1)
        return self.ask(f"/result/{task}")

    def wait_for_stage(self, task: str, stage: str) -> None:
        """Return when a worker holds this stage of the task."""
        deadline = time.monotonic() + JOB_TIMEOUT_S
        while (status := self.ask(f"/status/{task}")).get("stage") != stage or status["status"] == "queued":
            assert status["status"] != "done" and time.monotonic() < deadline, status
            time.sleep(0.2)

    def ask(self, path_and_options: str) -> dict[str, Any]:
        """curl with the key, by way of the published port; the JSON of an answer that is no error."""
        path, _, options = path_and_options.partition(" ")
        key = f'-H "Authorization: Bearer {self.env["API_KEY"]}"'
        body = self.type(f"curl -sS --fail-with-body -m 60 {key} {options} http://localhost{path}")
        answer: dict[str, Any] = json.loads(body)
        return answer

    @contextmanager
    def polled(self, task: str) -> Iterator[dict[str, Any]]:
        """A client asks for the task while the block runs; afterwards the dict has `sent`, `failed` and `worst_s`."""
        command = ("python3", "-c", POLLER.read_text(), "http://localhost", self.env["API_KEY"], task)
        client = subprocess.Popen(
            self.engine.entering(command),
            env=self.engine.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        report: dict[str, Any] = {}
        try:
            yield report
        finally:
            output, _ = client.communicate(timeout=120)
        report.update(json.loads(output))


def service_of(container: dict[str, Any]) -> str:
    return str(container["Config"]["Labels"]["com.docker.compose.service"])


def is_well(container: dict[str, Any]) -> bool:
    state = container["State"]
    if service_of(container) in ONE_SHOT:
        return bool(state["Status"] == "exited" and state["ExitCode"] == 0)
    return bool(state.get("Health", {}).get("Status") == "healthy")


def start(engine: Engine) -> Deployment:
    """By deploy.md's commands, from a clone under umask 077 and empty volumes, in order."""
    upstream = clone(engine.folder.path / "upstream")
    # whatever is checked out here, also a commit without a branch, is a branch there that can be pulled
    subprocess.run(("git", "-C", str(upstream), "checkout", "--quiet", "-B", "main"), check=True, capture_output=True)
    commit(upstream, "what is not committed yet")
    checkout = engine.folder.path / "checkout"
    if checkout.exists():
        remove(checkout)
    deployed = Deployment(engine, upstream, checkout)
    cloned = engine.run(f"umask 077; git clone -q {upstream} {checkout}")
    assert cloned.returncode == 0, cloned.stderr
    deployed.type("python3 scripts/init_env.py")
    with (checkout / ".env").open("a") as file:
        file.write(f"COMPOSE_FILE=docker-compose.yml:{builds.OVERRIDE}\n")
    builds.prepare(engine, checkout)
    with builds.torch_index(engine):
        deployed.type("docker compose up -d --build")
    deployed.first = deployed.wait_healthy()
    return deployed


def commit(checkout: Path, message: str) -> str:
    """Everything that was changed, as a new commit; its id."""
    git = ("git", "-C", str(checkout), "-c", "user.name=tests", "-c", "user.email=tests@example.org")
    subprocess.run((*git, "add", "--all"), check=True, capture_output=True)
    subprocess.run((*git, "commit", "--quiet", "--allow-empty", "-m", message), check=True, capture_output=True)
    process = subprocess.run((*git, "rev-parse", "HEAD"), check=True, capture_output=True, text=True)
    return process.stdout.strip()


def sample(folder: Path, repeats: int = 1, skipped_s: float = 0) -> Path:
    """The call of `make demo`, two people on the telephone for 30 s, so many times over, less its beginning."""
    spec = find_spec("pyannote.audio")
    assert spec is not None and spec.origin is not None
    file = folder / f"call-{repeats}-{skipped_s}.wav"
    with wave.open(str(Path(spec.origin).parent / "sample" / "sample.wav")) as source:
        frames = source.readframes(source.getnframes())
        start = int(skipped_s * source.getframerate()) * source.getsampwidth() * source.getnchannels()
        with wave.open(str(file), "wb") as target:
            target.setparams(source.getparams())
            target.writeframes((frames * repeats)[start:])
    return file


def digest(text: str) -> str:
    """Letters only, small, for comparing what was said."""
    return re.sub(r"[^a-z ]", "", text.lower())
