"""Keys are made by the command that the documents name."""

from __future__ import annotations

import subprocess

import pytest

from tests.deploy.composed import ROOT
from tests.deploy.conftest import Deployment
from tests.deploy.documented import inside, spans

DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
SAID = sorted({span for document in DOCUMENTS for span in spans(document.read_text(), "create_api_key")})


def test_the_readme_names_the_command() -> None:
    """For compose and for a checkout."""
    commands = spans((ROOT / "README.md").read_text(), "create_api_key")
    assert [command.startswith("docker compose exec api ") for command in commands] == [True, False]


@pytest.mark.parametrize("command", SAID)
def test_the_documented_command_makes_a_key_that_works(deployment: Deployment, command: str) -> None:
    """Where the gateway runs, in its environment, it prints a key, and the gateway takes it."""
    typed = inside(command)[1] if command.startswith("docker") else command
    process = subprocess.run(
        (*deployment.machine.prefix(ROOT), "sh", "-c", typed),
        env=deployment.service("api").environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    answer = deployment.run(
        "curl",
        "-s",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        "-H",
        f"Authorization: Bearer {process.stdout.strip()}",
        "http://caddy:8080/history",
    )
    assert answer.stdout == "200"
