"""A new release by `git pull`, and the way back, while a client asks all the time."""

from __future__ import annotations

import re
from pathlib import Path

from tests.containers.deployment import Deployment, commit, service_of
from tests.deploy.documented import DEPLOY, blocks, section
from tests.engine import builds

OURS = {"api", "migrate", "beat", "flower", "worker-io", "worker-cpu", "worker-asr", "worker-diarize"}


def test_an_upgrade_and_the_way_back_fail_nobody(deployment: Deployment, call: Path) -> None:
    """By the commands of deploy.md: every container of ours runs the new release, then the old one again, which is not
    built anew; of a client's questions none fails, and what was transcribed before is there."""
    upgrade, back = commands()
    task = deployment.submit(call)
    before = deployment.transcript(task)
    old_commit, old_tags = head(deployment), tags(deployment)
    version = deployment.upstream / "shared/__init__.py"
    version.write_text(version.read_text() + "\n# the next release\n")
    commit(deployment.upstream, "next")

    with builds.torch_index(deployment.engine), deployment.polled(task) as report:
        for line in upgrade:
            deployment.type(line)
        deployment.wait_healthy()
    assert report["failed"] == [] and report["sent"] > 50, report
    new_tags = tags(deployment)
    assert all(new_tags[service] != old_tags[service] for service in OURS)
    assert deployment.type("docker compose exec -T api tail -1 shared/__init__.py").strip() == "# the next release"
    assert deployment.ask(f"/result/{task}") == before

    with deployment.polled(task) as report:
        for line in back:
            deployment.type(line.replace("COMMIT_BEFORE", old_commit))
        deployment.wait_healthy()
    assert report["failed"] == [] and report["sent"] > 50, report
    assert tags(deployment) == old_tags
    assert "next release" not in deployment.type("docker compose exec -T api cat shared/__init__.py")
    assert deployment.ask(f"/result/{task}") == before


def commands() -> tuple[list[str], list[str]]:
    """Of deploy.md, the upgrade and the way back, line by line."""
    groups = blocks(section(DEPLOY, "Upgrading, stopping"))
    (upgrade,) = [lines for lines in groups if lines[0].startswith("git pull")]
    (back,) = [lines for lines in groups if lines[0].startswith("git checkout")]
    assert re.search(r"COMMIT_BEFORE\b", back[0]) and not any("build" in line for line in back)
    return upgrade, back


def head(deployment: Deployment) -> str:
    return deployment.type("git rev-parse HEAD").strip()


def tags(deployment: Deployment) -> dict[str, str]:
    return {service_of(each): each["Config"]["Image"] for each in deployment.containers()}
