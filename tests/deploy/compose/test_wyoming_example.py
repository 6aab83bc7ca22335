"""The service of home-assistant.md, as compose reads it and as its command runs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.deploy.composed import ROOT, project, read

DOCUMENT = (ROOT / "docs/home-assistant.md").read_text()


def test_the_example_runs_with_nothing_but_the_folder_of_the_command_line(tmp_path: Path) -> None:
    """It reaches the gateway and nothing behind it, is published on loopback only, and its command listens."""
    (example,) = re.findall(r"```yaml\n(# compose/my-wyoming\.yml.*?)```", DOCUMENT, re.DOTALL)
    folder = project(tmp_path / "project", {"WYOMING_API_KEY": "pk_home"})
    (folder / "compose").unlink()
    (folder / "compose").mkdir()
    (folder / "compose/my-wyoming.yml").write_text(example)
    services = read(folder, "-f", "docker-compose.yml", "-f", "compose/my-wyoming.yml")["services"]
    bridge = services["wyoming"]
    assert bridge["build"]["context"] == str(folder / "cli")
    assert set(bridge["networks"]) & set(services["api"]["networks"]) == {"door"}
    assert [(port["host_ip"], port["target"]) for port in bridge["ports"]] == [("127.0.0.1", 10300)]
    assert bridge["environment"] == {"PARLEY_URL": "http://api:8000", "PARLEY_API_KEY": "pk_home"}

    inline = bridge["build"]["dockerfile_inline"]
    assert "COPY . cli/" in inline
    shutil.copytree(ROOT / "cli", tmp_path / "app/cli", ignore=shutil.ignore_patterns("__pycache__"))
    (entry,) = re.findall(r'^ENTRYPOINT \["python", (.*)\]$', inline, re.M)
    arguments = [*re.findall(r'"([^"]+)"', entry), *bridge["command"]]
    arguments[arguments.index("tcp://0.0.0.0:10300")] = "tcp://127.0.0.1:0"
    process = subprocess.Popen(
        (sys.executable, *arguments),
        cwd=tmp_path / "app",
        env={"PATH": os.environ["PATH"], "PARLEY_URL": "http://127.0.0.1:9"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("Listening on tcp://127.0.0.1:")
    finally:
        process.terminate()
        assert process.wait(10) == 0


def test_the_packages_of_the_example_are_those_of_the_command_line() -> None:
    """The same versions as in pyproject.toml."""
    (needed,) = re.findall(r"^dependencies = \[(.*)\]$", (ROOT / "pyproject.toml").read_text(), re.M)
    (installed,) = re.findall(r"RUN pip install --no-cache-dir (.*)$", DOCUMENT, re.M)
    assert installed.split() == needed.split(", ")
