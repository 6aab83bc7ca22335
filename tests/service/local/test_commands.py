"""`make run` and `make demo`, as a person uses them: the programs themselves, with real models."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import wave
from importlib.util import find_spec
from pathlib import Path

import httpx
import psutil
import pytest

from scripts.local import processes

ROOT = Path(__file__).parents[3]
START_TIMEOUT_S = 120
ADDRESSES = (
    "DATABASE_URL",
    "REDIS_URL",
    "OBJECT_STORE",
    "S3_ENDPOINT_URL",
    "S3_PUBLIC_ENDPOINT_URL",
    "S3_BUCKET",
    "API_KEY",
    "PORT",
)


def environment(home: Path, **more: str) -> dict[str, str]:
    """The test's environment without addresses of servers, whoever set them."""
    variables = {name: value for name, value in os.environ.items() if name not in ADDRESSES}
    return variables | {"PARLEY_HOME": str(home)} | more


def left_running(home: Path) -> list[str]:
    """Command lines of the live processes that a stack on this folder started."""
    lines = []
    for process in psutil.process_iter():
        try:
            line = " ".join(process.cmdline())
            if str(home) in line or process.environ().get(processes.MARKER) == str(home):
                lines.append(line)
        except psutil.Error:
            continue
    return lines


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """The first 12 s of pyannote's sample call."""
    spec = find_spec("pyannote.audio")
    assert spec is not None and spec.origin is not None
    clip = tmp_path / "my recording.wav"
    with wave.open(str(Path(spec.origin).parent / "sample" / "sample.wav")) as whole, wave.open(str(clip), "wb") as cut:
        cut.setparams(whole.getparams())
        cut.writeframes(whole.readframes(12 * whole.getframerate()))
    return clip


def test_run_says_where_everything_is_and_stops_on_ctrl_c(tmp_path: Path) -> None:
    """`run` prints an address and a key that work; after Ctrl-C it exits with 0 and nothing is left running."""
    home, port = tmp_path / "home", free_port()
    program = subprocess.Popen(
        (sys.executable, "-m", "scripts.local", "run"),
        cwd=ROOT,
        env=environment(home, PORT=str(port), COLUMNS="160"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert program.stdout is not None
        output = ""
        for line in program.stdout:
            output += line
            if line.startswith("Ctrl-C"):
                break
        address = re.search(r"API +(http\S+)", output)
        key = re.search(r"API key +(\S+)", output)
        flower = re.search(r"Flower +(http\S+)", output)
        assert address and key and flower, output
        assert address[1] == f"http://127.0.0.1:{port}"
        assert f"curl -H 'Authorization: Bearer {key[1]}'" in output
        with httpx.Client(base_url=address[1], timeout=30) as client:
            assert client.get("/history").status_code == 401
            assert client.get("/history", headers={"Authorization": f"Bearer {key[1]}"}).json()["items"] == []
            assert client.get("/docs").status_code == 200
        assert left_running(home)

        program.send_signal(signal.SIGINT)
        rest, _ = program.communicate(timeout=START_TIMEOUT_S)
    finally:
        if program.poll() is None:
            program.terminate()
            program.wait(START_TIMEOUT_S)
    assert program.returncode == 0, rest
    assert left_running(home) == []


def test_the_demo_transcribes_a_file_and_writes_beside_it(recording: Path, tmp_path: Path) -> None:
    """The demo shows progress, prints who said what, writes three files beside the recording and stops everything."""
    home = tmp_path / "home"
    process = subprocess.run(
        (sys.executable, "-m", "scripts.demo", str(recording)),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        env=environment(home, WHISPER_MODEL="tiny.en"),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    assert re.search(r"\d+ %  (convert|transcribe|diarize)", process.stdout)
    assert re.search(r"00:06\.\d - 00:\d\d\.\d  spk_1", process.stdout)
    result = json.loads(recording.with_suffix(".json").read_text())
    assert "hello" in result["full_text"].lower()
    assert result["speakers"]
    assert "00:00:06," in recording.with_suffix(".srt").read_text()
    assert recording.with_suffix(".vtt").read_text().startswith("WEBVTT")
    assert left_running(home) == []


def test_the_demo_says_why_it_failed_and_where_the_logs_are(tmp_path: Path) -> None:
    """A file without sound ends the demo with the server's words, the folder of the logs and a status other than 0."""
    silent, home = tmp_path / "notes.mp3", tmp_path / "home"
    silent.write_text("this is not a recording")
    process = subprocess.run(
        (sys.executable, "-m", "scripts.demo", str(silent)),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        env=environment(home, WHISPER_MODEL="tiny.en"),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert process.returncode == 1
    assert re.search(r"no_audio|unsupported_media", process.stderr)
    assert str(home / "logs") in process.stderr
    assert left_running(home) == []
