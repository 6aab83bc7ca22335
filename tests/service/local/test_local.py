"""The stack on one machine: real servers, started, killed, stopped and started again."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import stat
import subprocess
import sys
import textwrap
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import psutil
import psycopg
import pytest
import redis

from scripts.bench.soak.truth import bare_environment
from scripts.local import processes
from scripts.local.apps import WORKERS, shares
from scripts.local.home import Home, HomeInUse, PortTaken
from scripts.local.seaweedfs import SeaweedFS
from scripts.local.stack import Stack
from scripts.local.supervisor import Command, StartFailed, Supervisor

ROOT = Path(__file__).parents[3]
SERVERS = {"postgres", "valkey", "seaweedfs"}
PATIENCE_S = 30
START_TIMEOUT_S = 120


def eventually(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {PATIENCE_S} s: {what}"
        time.sleep(0.05)


def servers(home: Path, **options: object) -> Stack:
    return Stack(home, apps=(), migrate=False, environ=bare_environment() | {"OBJECT_STORE": "s3"}, **options)  # type: ignore[arg-type]


def sql(stack: Stack, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(stack.env["DATABASE_URL"].replace("+psycopg", ""), connect_timeout=5) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def broker(stack: Stack) -> redis.Redis:
    return redis.Redis.from_url(stack.env["REDIS_URL"], socket_timeout=5, decode_responses=True)


def s3(stack: Stack):  # type: ignore[no-untyped-def]
    return boto3.client(
        "s3",
        endpoint_url=stack.env["S3_ENDPOINT_URL"],
        region_name="us-east-1",
        aws_access_key_id=stack.env["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=stack.env["AWS_SECRET_ACCESS_KEY"],
    )


def processes_of(home: Path) -> list[str]:
    """Command lines of live processes that mention the folder."""
    command_lines = []
    for process in psutil.process_iter():
        try:
            line = " ".join(process.cmdline())
        except psutil.Error:
            continue
        if str(home) in line and process.pid != os.getpid():
            command_lines.append(line)
    return command_lines


def is_healthy(port: int) -> bool:
    """Whether the S3 server says so itself."""
    with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5):
        return True
    return False


@pytest.fixture(scope="module")
def reports() -> list[str]:
    """Everything that the stack reported."""
    return []


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, reports: list[str]) -> Iterator[Stack]:
    with servers(tmp_path_factory.mktemp("stack") / "home", report=reports.append) as running:
        yield running


def test_the_servers_answer(stack: Stack) -> None:
    """PostgreSQL 18, Valkey and S3 take the credentials in the environment and do their work."""
    assert str(sql(stack, "SHOW server_version")[0][0]).startswith("18.")
    assert broker(stack).ping()
    s3(stack).put_object(Bucket="parley", Key="a/b", Body=b"bytes")
    assert s3(stack).get_object(Bucket="parley", Key="a/b")["Body"].read() == b"bytes"


def test_no_server_lets_a_stranger_in(stack: Stack) -> None:
    """Without the right password none of the three answers."""
    wrong = stack.env["DATABASE_URL"].replace("+psycopg", "").replace("parley:", "parley:x")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong, connect_timeout=5)
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(port=int(stack.env["REDIS_URL"].split(":")[-1].split("/")[0]), socket_timeout=5).ping()
    stranger = boto3.client(
        "s3",
        endpoint_url=stack.env["S3_ENDPOINT_URL"],
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="y",
    )
    with pytest.raises(stranger.exceptions.ClientError, match=r"403|InvalidAccessKeyId"):
        stranger.list_objects_v2(Bucket="parley")


def test_secrets_are_for_the_owner_alone(stack: Stack) -> None:
    """The folder has mode 700, its secrets 600, and no secret is an argument that `ps` would show."""
    assert stat.S_IMODE(stack.home.path.stat().st_mode) == 0o700
    assert stat.S_IMODE((stack.home.path / "secrets.json").stat().st_mode) == 0o600
    lines = "".join(processes_of(stack.home.path))
    assert lines
    for secret in (stack.home.secrets().postgres_password, stack.home.secrets().valkey_password, stack.api_key):
        assert secret not in lines


def test_a_killed_server_is_started_again_and_it_is_said(stack: Stack, reports: list[str]) -> None:
    """After `kill -9` the same server answers again on its port, and a line names it, the signal and its log."""
    killed = stack.pid("valkey")
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: stack.pid("valkey") not in (None, killed), "valkey is started again")

    def answers() -> bool:
        try:
            return bool(broker(stack).ping())
        except redis.ConnectionError:
            return False

    eventually(answers, "valkey answers again")
    (line,) = [line for line in reports if line.startswith("valkey died")]
    assert "SIGKILL" in line
    assert str(stack.log("valkey")) in line
    assert line in (stack.home.logs / "supervisor.log").read_text()


def test_one_server_can_be_stopped_and_started(stack: Stack) -> None:
    """A stopped server stays stopped, and its data is there when it is started again."""
    broker(stack).set("kept", "yes")
    stack.stop_process("valkey")
    with pytest.raises(redis.ConnectionError):
        broker(stack).ping()
    stack.start_process("valkey")
    assert broker(stack).get("kept") == "yes"


def test_a_second_stack_on_the_same_folder_is_refused(stack: Stack) -> None:
    """Two stacks never share a folder: the second says who has it, and the first goes on."""
    with pytest.raises(HomeInUse, match=rf"already running on {stack.home.path} \(process {os.getpid()}\)"):
        servers(stack.home.path).start()
    assert sql(stack, "SELECT 1") == [(1,)]


def test_a_server_elsewhere_is_used_and_not_started(stack: Stack, tmp_path: Path) -> None:
    """With its address in the environment a server is not started, and every process is given that address."""
    names = ("DATABASE_URL", "S3_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    addresses = {name: stack.env[name] for name in names}
    with Stack(tmp_path / "home", apps=(), migrate=False, environ=bare_environment() | addresses) as other:
        assert other.names() == ("valkey",)
        assert addresses.items() <= other.env.items()
        assert other.env["REDIS_URL"] != stack.env["REDIS_URL"]


def test_data_survives_a_stop_and_nothing_is_left_running(tmp_path: Path) -> None:
    """After `stop` no process and no socket is left; the next start finds rows, objects, keys and passwords."""
    home = tmp_path / "home"
    with servers(home) as first:
        assert set(first.names()) == SERVERS
        sessions = [first.pid(name) for name in first.names()]
        sql(first, "CREATE TABLE kept AS SELECT 42 AS answer")
        broker(first).set("kept", "42")
        s3(first).put_object(Bucket="parley", Key="kept", Body=b"42")
        key = first.api_key
    assert [processes.members(session or 0) for session in sessions] == [[], [], []]
    assert processes_of(home) == []
    (home / "data" / "postgres" / "postmaster.pid").write_text(f"{os.getpid()}\n")  # as after a power cut

    with Stack(home, apps=(), migrate=False, environ=bare_environment()) as second:  # no folder: objects are in S3
        assert sql(second, "SELECT answer FROM kept") == [(42,)]
        assert broker(second).get("kept") == "42"
        assert s3(second).get_object(Bucket="parley", Key="kept")["Body"].read() == b"42"
        assert second.api_key == key
    assert not [
        path for path in Path("/tmp").glob("seaweedfs-*.sock") if str(Home(home).ports(["s3"])["s3"]) in path.name
    ]


def test_s3_is_ready_when_objects_can_be_read(tmp_path: Path) -> None:
    """S3 that answers is not ready while the master has not heard of the volumes: every read would be an error."""
    names = ("s3", "s3-master", "s3-volume", "s3-filer", "s3-admin")
    port, master, volume, filer, admin = Home(tmp_path).ports(names).values()
    store = SeaweedFS(tmp_path / "s3", port, master, volume, filer, admin, "key", "secret", bucket="parley")
    store.prepare()
    command = store.command()
    assert command.ready is not None
    shared = (f"-dir={store.folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1")
    optional = ("-volume=false", "-filer", "-s3", "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false")
    ports = (f"-master.port={master}", f"-filer.port={filer}", f"-s3.port={port}")
    weed = command.argv[0]
    server = (weed, "server", *shared, *optional, *ports)
    volumes = (weed, "volume", *shared, f"-port={volume}", f"-master=127.0.0.1:{master}")
    halves = {"server": (server, lambda: is_healthy(port)), "volumes": (volumes, command.ready)}
    running = Supervisor(tmp_path, tmp_path / "pids", report=lambda text: None)
    try:
        for name, (argv, ready) in halves.items():
            # it waits for its own connections before it ends, so compose kills it too
            half = Command(name, argv, command.env, store.folder, ready=ready, stop_signal=signal.SIGKILL)
            running.start(half)
            running.wait_ready(name)
            assert command.ready() is (name == "volumes")
    finally:
        running.close()


def test_nothing_outlives_a_killed_supervisor(tmp_path: Path) -> None:
    """`kill -9` of the program that started the stack ends the servers too."""
    home = tmp_path / "home"
    program = textwrap.dedent(f"""
        import os, pathlib
        from scripts.local.stack import Stack
        Stack(pathlib.Path({str(home)!r}), apps=(), migrate=False).start()
        os.kill(os.getpid(), 9)
    """)
    process = subprocess.run((sys.executable, "-c", program), cwd=ROOT, env=bare_environment(), timeout=START_TIMEOUT_S)
    assert process.returncode == -signal.SIGKILL
    eventually(lambda: processes_of(home) == [], "the servers are gone")


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    """`make run` on a port that somebody else has exits with an error that names the port, and starts nothing."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        process = subprocess.run(
            (sys.executable, "-m", "scripts.local", "run"),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            env=bare_environment() | {"PORT": str(port), "PARLEY_HOME": str(tmp_path / "home")},
        )
        assert process.returncode == 1
        assert f"port {port} is already in use" in process.stderr
        assert processes_of(tmp_path / "home") == []
        with pytest.raises(PortTaken):
            servers(tmp_path / "home", port=port).start()


def python(name: str, program: str, **options: object) -> Command:
    return Command(name, (sys.executable, "-c", program), env=os.environ, cwd=ROOT, **options)  # type: ignore[arg-type]


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    running = Supervisor(tmp_path, tmp_path / "pids", report=lambda text: None)
    yield running
    running.close()


def test_a_process_that_never_starts_is_reported_with_its_last_words(supervisor: Supervisor) -> None:
    """Waiting for a program that keeps dying ends with its name and the end of its log."""
    supervisor.start(python("broken", "raise SystemExit('no such luck')", ready=lambda: False))
    with pytest.raises(StartFailed, match=r"(?s)broken did not start.*no such luck"):
        supervisor.wait_ready("broken")


STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"])
print("deaf", flush=True)
time.sleep(600)
"""


def test_a_process_that_does_not_listen_is_killed_with_its_children(supervisor: Supervisor) -> None:
    """What ignores SIGTERM past its time is killed, and so is what it started."""
    supervisor.start(python("stubborn", STUBBORN, stop_timeout_s=0.2))
    session = supervisor.pid("stubborn")
    assert session is not None
    eventually(lambda: "deaf" in supervisor.log("stubborn").read_text(), "it ignores SIGTERM")
    eventually(lambda: len(processes.members(session)) == 2, "it has a child")
    supervisor.stop(["stubborn"])
    assert processes.members(session) == []


def test_children_of_a_dead_process_do_not_go_on(supervisor: Supervisor) -> None:
    """When a process dies its children are ended before it is started again."""
    supervisor.start(python("parent", STUBBORN))
    session = supervisor.pid("parent")
    assert session is not None
    eventually(lambda: len(processes.members(session)) == 2, "it has a child")
    os.kill(session, signal.SIGKILL)
    eventually(lambda: supervisor.pid("parent") not in (None, session), "it is started again")
    assert processes.members(session) == []


def test_what_a_killed_supervisor_left_is_ended_at_the_next_start(tmp_path: Path) -> None:
    """A recorded process that still runs is ended with its session; a process id that went to another is left alone."""
    home = Home(tmp_path / "home")
    home.acquire()
    orphan = subprocess.Popen((sys.executable, "-c", STUBBORN), start_new_session=True, stdout=subprocess.DEVNULL)
    processes.record(home.pids, "left", orphan.pid)
    with home.pids.open("a") as file:
        file.write(f"{os.getpid()} 1000000000.0 somebody-else\n")

    eventually(lambda: len(processes.members(orphan.pid)) == 2, "it has a child")

    assert processes.end_stale(home.pids, home.path, timeout_s=0.5) == ["left"]

    assert processes.members(orphan.pid) == []
    assert not home.pids.exists()
    home.release()


def test_processes_of_models_share_the_cores(tmp_path: Path) -> None:
    """ASR_CONCURRENCY is how many recognise side by side; together they have as many threads as there are cores."""
    workers = tuple(app for app in WORKERS if app.name == "worker-asr")
    settings = {"ASR_CONCURRENCY": "2", "PRELOAD_MODELS": "false"}
    with Stack(tmp_path / "home", apps=workers, environ=bare_environment() | settings) as stack:
        pid = stack.pid("worker-asr")
        assert pid is not None
        eventually(lambda: len(psutil.Process(pid).children()) == 2, "two processes of the pool")
        environment = psutil.Process(pid).environ()
    share = str(max(1, len(os.sched_getaffinity(0)) // 2))
    assert (environment["CPU_THREADS"], environment["OMP_NUM_THREADS"]) == (share, share)


def test_recognisers_are_as_many_as_cores() -> None:
    """Without a setting, where there is memory and no card; one diarizer beside them has all cores."""
    places = shares({})
    cores = len(os.sched_getaffinity(0))
    assert int(places["asr_concurrency"]) * int(places["asr_threads"]) <= cores
    assert int(places["asr_concurrency"]) > 1 or cores == 1
    assert (places["diarize_concurrency"], places["diarize_threads"]) == ("1", str(cores))


@pytest.mark.parametrize("number", ["0", "x", "-1", "1.5", "257"])
def test_a_number_of_processes_that_is_none_is_refused(number: str) -> None:
    with pytest.raises(ValueError, match="DIARIZE_CONCURRENCY is a number from 1 to 256, not"):
        shares({"DIARIZE_CONCURRENCY": number})
