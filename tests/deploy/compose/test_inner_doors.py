"""What another container of the same network reaches of the servers, tried without any key."""

from __future__ import annotations

import json
import sys

import pytest

from tests.deploy.composed import ROOT
from tests.deploy.conftest import SERVERS, Deployment
from tests.deploy.machine import ADDRESS
from tests.listening import doors, session_members
from tests.stranger import refused

PUBLIC = {("weed", 8333, "GET /status"), ("weed", 8333, "OPTIONS /")}
"""Answers that anybody may have: S3 says that it lives, and which headers a browser may send."""


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_answers_another_container_only_to_its_key(deployment: Deployment, name: str) -> None:
    """Every port that the server opens, on whatever address, refuses all words of a stranger in another container."""
    process = deployment.service(name).process
    assert process is not None
    ports = {door for door in doors(session_members([process.pid])) if door.kind == "tcp"}
    assert ports, f"{name} listens nowhere"
    knocks = {door.port: f"tcp:{ADDRESS}:{door.port}" for door in ports}
    answers = json.loads(
        deployment.run(sys.executable, str(ROOT / "tests/stranger.py"), *knocks.values(), timeout_s=600).stdout
    )
    violations = [
        (door.process, door.port, words, answer[:120])
        for door in ports
        for words, answer in answers[knocks[door.port]].items()
        if answer is not None and not refused(answer) and (door.process, door.port, words) not in PUBLIC
    ]
    assert not violations


def test_only_s3_of_the_object_store_can_be_reached(deployment: Deployment) -> None:
    """From another container one port of SeaweedFS speaks, S3's; the others do not listen there or say nothing."""
    process = deployment.service("seaweedfs").process
    assert process is not None
    ports = sorted({door.port for door in doors(session_members([process.pid])) if door.kind == "tcp"})
    addresses = {f"tcp:{ADDRESS}:{port}": port for port in ports}
    output = deployment.run(sys.executable, str(ROOT / "tests/stranger.py"), *addresses, timeout_s=600).stdout
    speaking = {addresses[door] for door, answers in json.loads(output).items() if any(answers.values())}
    assert len(ports) >= 8, "master, volume, filer and S3, and the gRPC port of each"
    assert speaking == {8333}
