"""More workers, and workers that are killed."""

from __future__ import annotations

import re
import time
from pathlib import Path

from tests.containers.deployment import Deployment, sample
from tests.deploy.documented import blocks, section
from tests.engine.checkout import ROOT

RESTART_TIMEOUT_S = 60
OPERATIONS = ROOT / "docs/operations.md"


def test_two_recognisers_share_the_work(deployment: Deployment, engine_folder: Path) -> None:
    """After `--scale worker-asr=2` two recordings that come at once are recognised by one worker each."""
    deployment.type("docker compose up -d --no-recreate --scale worker-asr=2")
    deployment.wait_healthy()
    recordings = [sample(engine_folder, repeats=4, skipped_s=seconds) for seconds in (1, 2)]
    tasks = [deployment.submit(each) for each in recordings]
    for task in tasks:
        deployment.transcript(task)
    logs = [deployment.type(f"docker compose logs --no-color --index {number} worker-asr 2>&1") for number in (1, 2)]
    assert [any(task in log for task in tasks) for log in logs] == [True, True]


def test_replicas_of_env_survive_every_up(deployment: Deployment) -> None:
    """`ASR_REPLICAS=2` in .env stays true for each further `up`; `--scale` does not, as deploy.md says."""
    deployment.type("docker compose up -d --scale worker-asr=2 && docker compose up -d")
    assert len(deployment.containers("worker-asr")) == 1
    env = deployment.checkout / ".env"
    before = env.read_text()
    try:
        env.write_text(f"{before}ASR_REPLICAS=2\n")
        deployment.type("docker compose up -d && docker compose up -d")
        assert len(deployment.containers("worker-asr")) == 2
    finally:
        env.write_text(before)
        deployment.type("docker compose up -d")


def test_a_killed_worker_comes_back_and_the_job_is_done(deployment: Deployment, engine_folder: Path) -> None:
    """The command of operations.md kills the recogniser in mid-job, as the kernel does; compose starts it again, once,
    and the job is done."""
    command = kill_command()
    before = deployment.containers("worker-asr")[0]["RestartCount"]
    task = deployment.submit(sample(engine_folder, repeats=8, skipped_s=3))
    deployment.wait_for_stage(task, "transcribe")
    deployment.type(command)
    deadline = time.monotonic() + RESTART_TIMEOUT_S
    while deployment.containers("worker-asr")[0]["RestartCount"] != before + 1:
        assert time.monotonic() < deadline, "compose did not start it again"
        time.sleep(0.5)
    assert len(deployment.transcript(task)["segments"]) > 8
    assert deployment.containers("worker-asr")[0]["RestartCount"] == before + 1


def kill_command() -> str:
    """As operations.md has it, less sudo: on this machine the person is root."""
    text = section(OPERATIONS, "Workers that hang or are deaf")
    (command,) = [line for block in blocks(text) for line in block if "kill -9" in line]
    return re.sub(r"^sudo ", "", command)
