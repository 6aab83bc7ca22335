"""What is kept: over down and up, over a power cut, and by a backup."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.containers.deployment import Deployment
from tests.deploy.documented import blocks, section
from tests.engine.checkout import ROOT

VOLUMES = ("postgres", "seaweedfs", "valkey")
SAVE, RESTORE = blocks(section(ROOT / "docs/operations.md", "Backup and restore"))


def past(deployment: Deployment, task: str) -> dict[str, Any]:
    """All that a key sees of its past."""
    return {"history": deployment.ask("/history")["items"], "result": deployment.ask(f"/result/{task}")}


def objects(deployment: Deployment) -> str:
    """Name and digest of every object of the bucket, by the command of the backup."""
    save = next(line for line in SAVE if "copy_bucket save" in line).partition(">")[0]
    deployment.type(f"{save} > again.tar && rm -rf again && mkdir again && tar -C again -xf again.tar")
    return deployment.type("cd again && find . -type f -exec sha256sum {} + | sort -k2")


def test_down_and_up_keep_everything(deployment: Deployment, call: Path) -> None:
    """`docker compose down` and `up` later, history and results are as they were."""
    task = deployment.submit(call, diarization="true")
    deployment.transcript(task)
    before = past(deployment, task)
    deployment.type("docker compose down")
    assert deployment.containers() == []
    deployment.type("docker compose up -d")
    deployment.wait_healthy()
    assert past(deployment, task) == before


def test_a_backup_restores_everything(deployment: Deployment, call: Path) -> None:
    """The commands of operations.md save while all runs, and restore into empty volumes: history and results are as
    they were, and every object is the same to the byte."""
    task = deployment.submit(call, diarization="true")
    deployment.transcript(task)
    for command in SAVE:
        deployment.type(command)
    before, stored = past(deployment, task), objects(deployment)
    assert len(stored.splitlines()) > 2
    deployment.type("docker compose down")
    deployment.type(f"docker volume rm {' '.join(f'parley_{name}' for name in VOLUMES)}")
    for command in RESTORE:
        deployment.type(command)
    deployment.wait_healthy()
    assert past(deployment, task) == before
    assert objects(deployment) == stored


def test_a_power_cut_loses_nothing(deployment: Deployment, call: Path) -> None:
    """The machine stops in the middle of a job and starts again: all containers come back by themselves, and what was
    accepted is done."""
    task = deployment.submit(call, diarization="true", language="en")
    deployment.engine.kill()
    deployment.engine.start()
    deployment.wait_healthy()
    assert len(deployment.transcript(task)["speakers"]) == 2
