"""What another user of the machine reaches of a whole local stack without any key: every door is found, none listed."""

from __future__ import annotations

import os
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path

import boto3
import httpx
import pytest

from scripts.bench.soak.caller import Task, noise
from scripts.local.apps import APPS
from tests.faults.rig import PATIENCE_S, Rig, eventually, start
from tests.listening import Door, doors, session_members
from tests.stranger import CANARY, as_nobody, refused

FILENAME = "canary-of-the-recording.wav"
PAGES_FOR_ALL = {
    "seaweedfs": {"GET /status", "OPTIONS /"},  # S3 lives, and which headers a browser may send
    "flower": {"GET /healthcheck", "OPTIONS /"},  # it lives, and an empty answer
}
OWN_DOORS = ("api", "worker-")
"""Their pages are ours, and have tests of their own for every route and for the key of their metrics."""

Answers = dict[str, dict[str, str | None]]


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Everything that `make run` starts, with one job done."""
    with start(tmp_path_factory.mktemp("doors"), APPS) as rig:
        answer = rig.caller.http.post("/transcribe", files={"file": (FILENAME, noise())}).raise_for_status()
        rig.tasks.append(Task(uuid.UUID(answer.json()["task_id"]), sha256=""))
        assert rig.caller.wait(rig.tasks[0]) == "done"
        eventually(lambda: _listens(rig, "flower"), "Flower, for which the start does not wait, listens", PATIENCE_S)
        yield rig


def _listens(rig: Rig, name: str) -> bool:
    pid = rig.stack.pid(name)
    return pid is not None and bool(doors(session_members([pid])))


@pytest.fixture(scope="module")
def process_doors(rig: Rig) -> dict[str, set[Door]]:
    """The doors of each process of the stack, with those of its children."""
    pids = {name: rig.stack.pid(name) for name in rig.stack.names()}
    return {name: doors(session_members([pid])) for name, pid in pids.items() if pid is not None}


def _address(door: Door) -> str:
    return f"unix:{door.path}" if door.kind == "unix" else f"tcp:{door.host}:{door.port}"


@pytest.fixture(scope="module")
def door_answers(process_doors: dict[str, set[Door]]) -> Answers:
    """What every door said to the user nobody."""
    return as_nobody(sorted({_address(door) for each in process_doors.values() for door in each if door.kind != "udp"}))


def test_every_server_of_the_stack_is_looked_at(process_doors: dict[str, set[Door]], rig: Rig) -> None:
    """The search finds the gateway, PostgreSQL, Valkey, Flower, each worker's metrics and all ten ports of SeaweedFS,
    on loopback alone, and no port of UDP."""
    ports = {name: {door.port for door in each if door.kind == "tcp"} for name, each in process_doors.items()}
    hosts = {door.host for each in process_doors.values() for door in each if door.kind == "tcp"}
    assert len(ports["seaweedfs"]) == 10
    assert {name for name, each in ports.items() if each} == {*rig.stack.names()}
    assert hosts == {"127.0.0.1"}
    assert not [door for each in process_doors.values() for door in each if door.kind == "udp"]


def test_no_server_answers_a_stranger(process_doors: dict[str, set[Door]], door_answers: Answers) -> None:
    """As the user nobody, in clear and over TLS, over HTTP, gRPC and the servers' own protocols: all is refused."""
    disclosures = [
        (name, _address(door), probe, answer[:100])
        for name, each in process_doors.items()
        if not name.startswith(OWN_DOORS)
        for door in each
        for probe, answer in door_answers[_address(door)].items()
        if answer is not None and not refused(answer) and probe not in PAGES_FOR_ALL.get(name, ())
    ]
    assert not disclosures


def test_only_s3_of_seaweedfs_speaks_http(process_doors: dict[str, set[Door]], door_answers: Answers, rig: Rig) -> None:
    """Of SeaweedFS' ports one answers a request in clear with more than that it wants TLS, and none a TLS handshake."""
    for door in (each for each in process_doors["seaweedfs"] if each.kind == "tcp"):
        answers = door_answers[_address(door)]
        is_s3 = door.port == rig.stack.port_of("s3")
        assert is_s3 or "HTTPS server" in (answers["GET /"] or "HTTPS server")
        assert not answers.get("tls GET /") or (answers["tls GET /"] or "").startswith("\x15")


def test_no_door_tells_of_a_recording(door_answers: Answers, rig: Rig) -> None:
    """No answer of any door holds a task's id, a file's name, or what the stranger tried to write."""
    text = "\n".join(answer for answers in door_answers.values() for answer in answers.values() if answer)
    assert str(rig.tasks[0].id) not in text
    assert FILENAME not in text


def test_a_stranger_changes_nothing(door_answers: Answers, rig: Rig) -> None:
    """After all he tried the bucket has no object of his, and the task and its transcript are as they were."""
    assert door_answers
    env = rig.stack.env
    client = boto3.client(
        "s3",
        endpoint_url=env["S3_ENDPOINT_URL"],
        region_name="us-east-1",
        aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
    )
    keys = [item["Key"] for item in client.list_objects_v2(Bucket=env["S3_BUCKET"])["Contents"]]
    assert keys
    assert not [key for key in keys if CANARY in key]
    assert rig.caller.look(rig.tasks[0])["status"] == "done"
    assert rig.caller.read(rig.tasks[0])


def test_sockets_of_the_file_system_belong_to_their_owner_alone(process_doors: dict[str, set[Door]]) -> None:
    """No UNIX socket can be written by anybody but the stack's user, and none is abstract, which nobody guards."""
    paths = [door.path for each in process_doors.values() for door in each if door.kind == "unix"]
    assert paths
    for path in paths:
        assert path.startswith("/"), path
        mode = Path(path).stat()
        assert not stat.S_IMODE(mode.st_mode) & 0o077 or not Path(path).parent.stat().st_mode & 0o077, path
        assert mode.st_uid == os.geteuid()


def test_flower_tells_its_password_holder_everything_but_metrics(rig: Rig) -> None:
    """Flower answers its user, has no page of metrics, and lives without a password."""
    with httpx.Client(base_url=rig.stack.flower_url, timeout=20) as anybody:
        user = ("parley", rig.stack.flower_password)
        assert anybody.get("/healthcheck").text == "OK"
        assert anybody.get("/api/workers").status_code == 401
        assert anybody.get("/api/workers", auth=user).status_code == 200
        assert anybody.get("/metrics").status_code in {401, 404}
