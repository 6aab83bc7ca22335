"""What a child that is forked for a job has from its server, and what becomes of both."""

from __future__ import annotations

import os
import secrets
import signal
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import pytest

from shared.errors import DecodeFailed
from tasks.sandbox.forked import ForkServer
from tasks.stages.convert import ConvertLimits, convert
from tests.unit.intake.media import KIND, decoders, fork_servers, write_long_silence, write_tone

PROGRAM = Path(__file__).with_name("forked_program.py")
ENDING_PROGRAM = Path(__file__).with_name("ending_program.py")
LIMITS = ConvertLimits(max_duration_s=3600, timeout_s=60, memory_bytes=300 * 1024**2)
PATIENCE_S = 60


@dataclass
class Seen:
    secrets: list[str]
    open: dict[str, str]
    own: list[int]
    environment: dict[str, str]
    folder: str
    server_pid: int


def report(server: ForkServer, folder: Path, *fds: int, secret: str = "") -> Seen:
    with server.child({"secret": secret}, folder, fds=fds) as child:
        (answer,) = [line for line in child.messages(Seen, timeout_s=PATIENCE_S, tick_s=1) if line]
    return answer


def test_a_child_has_its_own_files_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the worker's descriptors, variables and folder a child has none, though all could be inherited."""
    monkeypatch.setenv("API_KEY", "secret")
    (tmp_path / "own").write_text("x")
    (tmp_path / "other").write_text("y")
    server = ForkServer(PROGRAM)
    with (tmp_path / "own").open() as own, (tmp_path / "other").open() as other:
        os.set_inheritable(other.fileno(), True)
        report(server, tmp_path, other.fileno())
        answer = report(server, tmp_path, own.fileno())
    files = {int(number): target for number, target in answer.open.items()}
    assert files.pop(0) == os.devnull
    assert files.pop(1).startswith("pipe:")
    assert files.pop(2).startswith(f"{tmp_path}/#")  # its log, which has no name
    assert files == dict.fromkeys(answer.own, str(tmp_path / "own"))
    assert answer.environment.keys() <= {"LC_CTYPE"}  # which Python sets
    assert answer.folder == str(tmp_path)


def test_no_child_has_what_another_had(tmp_path: Path) -> None:
    """What one child keeps in memory is gone with it: the next one, of the same server, does not see it."""
    server = ForkServer(PROGRAM)
    first, second = (report(server, tmp_path, secret=secret) for secret in ("first", "second"))
    assert first.server_pid == second.server_pid
    assert second.secrets == []


def test_the_server_has_nothing_of_a_recording(tmp_path: Path) -> None:
    """When a recording was decoded, no page of the server's memory holds its bytes, and no descriptor is left."""
    source, mark = write_tone(tmp_path / "tone.wav", KIND["wav"]), secrets.token_bytes(16)
    data = source.read_bytes()
    source.write_bytes(data[: data.index(b"data") + 8] + mark * (len(data) // len(mark)))
    convert(source, tmp_path / "out.wav", LIMITS, lambda share: None)
    (server,) = fork_servers()
    assert mark not in memory(server) and b"codec_whitelist" in memory(server)
    assert (server.num_fds(), server.num_threads()) == (4, 1)  # three of the usual ones and its socket


def memory(process: psutil.Process) -> bytes:
    """All that it can write to."""
    content = bytearray()
    with Path(f"/proc/{process.pid}/mem").open("rb") as file:
        for line in Path(f"/proc/{process.pid}/maps").read_text().splitlines():
            bounds, rights = line.split()[:2]
            if rights.startswith("rw"):
                start, end = (int(bound, 16) for bound in bounds.split("-"))
                file.seek(start)
                content += file.read(end - start)
    return bytes(content)


def test_jobs_reach_a_server_that_is_about_to_end(tmp_path: Path) -> None:
    """A server without a job ends; a job that comes at that moment is done all the same."""
    server, pids = ForkServer(ENDING_PROGRAM), set()
    for number in range(20):
        pids.add(report(server, tmp_path).server_pid)
        time.sleep(0.0195 + number % 4 * 0.0005)
    assert len(pids) > 1


def test_a_server_whose_child_failed_is_replaced(tmp_path: Path) -> None:
    """Good recordings share a server. After one whose decoder broke, the memory of the next is laid out anew."""
    source = write_tone(tmp_path / "tone.ogg", KIND["ogg"])

    def server_of(limits: ConvertLimits) -> int:
        convert(source, tmp_path / "out.wav", limits, lambda share: None)
        (server,) = fork_servers()
        return int(server.pid)

    def crash(share: float) -> None:
        for decoder in decoders():
            decoder.send_signal(signal.SIGSEGV)

    before = server_of(LIMITS)
    assert server_of(LIMITS) == before
    source_long = write_long_silence(tmp_path / "long.opus", KIND["opus"], hours=0.5)
    with pytest.raises(DecodeFailed):
        convert(source_long, tmp_path / "out.wav", LIMITS, crash)
    assert not psutil.pid_exists(before)
    assert server_of(LIMITS) != before


def test_limits_are_those_of_one_job(tmp_path: Path) -> None:
    """A child with too little memory fails; the next has its own limit."""
    source = write_tone(tmp_path / "tone.ogg", KIND["ogg"])
    with pytest.raises(DecodeFailed):
        convert(source, tmp_path / "out.wav", replace(LIMITS, memory_bytes=64 * 1024**2), lambda share: None)
    assert convert(source, tmp_path / "out.wav", LIMITS, lambda share: None).duration > 2


def test_a_killed_server_is_replaced(tmp_path: Path) -> None:
    """When a server was killed between two jobs, the next one is done by another."""
    source = write_tone(tmp_path / "tone.ogg", KIND["ogg"])
    convert(source, tmp_path / "out.wav", LIMITS, lambda share: None)
    for server in fork_servers():
        server.kill()
        server.wait(PATIENCE_S)
    assert convert(source, tmp_path / "out.wav", LIMITS, lambda share: None).duration > 2


def test_a_child_ends_with_its_server(tmp_path: Path) -> None:
    """Killed with its child at work, the server takes it along, and the recording is decode_failed."""
    source, victims = write_long_silence(tmp_path / "long.opus", KIND["opus"], hours=0.5), list[psutil.Process]()

    def kill(share: float) -> None:
        if victims:  # they are dying, and may be gone between two looks
            return
        for decoder in filter(at_work, decoders()):
            victims.append(decoder)
            decoder.suspend()
            decoder.parent().kill()

    with pytest.raises(DecodeFailed):
        convert(source, tmp_path / "out.wav", LIMITS, kill)
    assert victims and not psutil.wait_procs(victims, PATIENCE_S)[1]


def at_work(decoder: psutil.Process) -> bool:
    """Has it locked itself in? One that is stopped before that is not tied to its server yet, and never will be."""
    return "Seccomp:\t2" in Path(f"/proc/{decoder.pid}/status").read_text()


def test_a_server_ends_with_its_thread(tmp_path: Path) -> None:
    """Each thread has a server of its own, which does not outlive it."""
    source, pids = write_tone(tmp_path / "tone.ogg", KIND["ogg"]), list[int]()

    def work() -> None:
        before = {server.pid for server in fork_servers()}
        convert(source, tmp_path / "thread.wav", LIMITS, lambda share: None)
        pids.extend({server.pid for server in fork_servers()} - before)

    convert(source, tmp_path / "out.wav", LIMITS, lambda share: None)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(PATIENCE_S)
    (pid,) = pids
    deadline = time.monotonic() + PATIENCE_S
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.02)
