"""Parley on machines that have never seen it."""

from __future__ import annotations

import json
import os
import re

import pytest

from tests.fresh.machine import CHECKOUT, USER, FreshMachine

pytestmark = pytest.mark.timeout(3600)  # pip and the weights come by network

DEMO_TIMEOUT_S = 3000
SUITE_TIMEOUT_S = 3000
SUITE = "tests/unit tests/deploy"
LINE = re.compile(r"^  \d\d:\d\d\.\d - \d\d:\d\d\.\d  (\S+) +(\S.*)$", re.MULTILINE)
"""A segment of the transcript: times, speaker, text."""


def demo(machine: FreshMachine, user: str) -> None:
    """`make demo`, checked. What an earlier user wrote goes first."""
    removal = machine.run("root", "sh", "-c", f"rm -rf {CHECKOUT}/demo /root/.parley {CHECKOUT}/.parley", timeout_s=60)
    assert removal.returncode == 0, removal.stdout
    process = machine.run(user, "make", "demo", timeout_s=DEMO_TIMEOUT_S)
    assert process.returncode == 0, process.stdout[-5000:]
    lines = LINE.findall(process.stdout)
    sample = machine.run(user, "cat", "demo/sample.json", timeout_s=60)
    segments = json.loads(sample.stdout)["segments"]
    assert [text.strip() for _, text in lines] == [segment["text"].strip() for segment in segments]
    assert len({speaker for speaker, _ in lines}) == 2
    assert process.stdout.rstrip().endswith("Stopping everything")


def test_make_demo_shows_its_transcript_to_root_alone(machine: FreshMachine) -> None:
    """From a clone on a machine without any other user than those of its services."""
    demo(machine, "root")


def test_make_demo_shows_its_transcript_to_an_ordinary_user(machine: FreshMachine) -> None:
    """From the same clone, which that user owns now."""
    machine.add_user()
    demo(machine, USER)


def test_the_tests_pass_for_an_ordinary_user(machine: FreshMachine, request: pytest.FixtureRequest) -> None:
    """Those of pure functions and of the deployment, with Debian 13's Python."""
    if request.node.callspec.params["machine"] != "trixie":
        pytest.skip("this machine's own Python is as old: `make test` is the same")
    machine.add_user()
    required = f"REQUIRE_PROGRAMS={os.environ.get('REQUIRE_PROGRAMS', '')}"
    process = machine.run(USER, "env", required, "make", "test", f"T={SUITE}", timeout_s=SUITE_TIMEOUT_S)
    assert process.returncode == 0, process.stdout[-8000:]
