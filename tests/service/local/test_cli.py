"""The command line as a program, against a whole stack with sleeping engines."""

from __future__ import annotations

import functools
import http.server
import json
import os
import re
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.cells import cell_len

from scripts.local.apps import API, worker
from tests.faults.rig import Rig, eventually, long_recording, start
from tests.service.local.user import PATIENCE_S, User, names, new_user, recording

MAX_UPLOAD_BYTES = 16 * 1024**2


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A web server of somebody else's: its folder and its address."""
    folder = tmp_path_factory.mktemp("site")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory, site: tuple[Path, str]) -> Iterator[Rig]:
    workers = (worker("io", "io,cpu", 2, 1), worker("models", "asr,diarize", 1, 1))
    port = site[1].rpartition(":")[2]
    with start(
        tmp_path_factory.mktemp("cli"),
        (API, *workers),
        sleeper_seconds=0.1,
        egress_allow_hosts="127.0.0.1",
        egress_ports=port,
        max_upload_bytes=MAX_UPLOAD_BYTES,
    ) as running:
        yield running


@pytest.fixture
def user(rig: Rig, tmp_path: Path) -> User:
    return new_user(rig, tmp_path)


@pytest.mark.parametrize(
    ("spelling", "language", "script"),
    [("de_AT", "de", None), ("Français", "fr", None), ("jpn", "ja", None), ("zh-TW", "zh", "Hant")],
)
def test_languages_are_written_in_any_way(user: User, spelling: str, language: str, script: str | None) -> None:
    """For transcribe, alone and in a list, and for the history; a slip is answered with what was meant."""
    recording(user.home / "a.wav")
    for option, value in (("--language", spelling), ("--languages", f"{spelling},English")):
        code, _, err = user.run("transcribe", "a.wav", "-f", "json", option, value, "--force")
        assert code == 0, err
    listed, alone = (user.options(item["task_id"]) for item in user.history())
    assert (alone["language"], alone["script"]) == (language, script)
    assert (listed["languages"], listed["script"]) == (",".join(sorted({language, "en"})), script)
    code, _, err = user.run("history", "--language", spelling)
    assert code == 0, err
    for command in (("transcribe", "a.wav", "--force"), ("history",)):
        code, _, err = user.run(*command, "--language", "germn")
        assert (code, "Did you mean German?" in err) == (1, True), err


def test_files_and_folders_become_transcripts_once(user: User) -> None:
    """Each recording gets a file per format, a folder keeps its shape, and a second run sends and writes nothing."""
    recording(user.home / "a.wav")
    recording(user.home / "b.wav")
    recording(user.home / "calls" / "monday" / "c.wav")
    (user.home / "calls" / "notes.md").write_text("not a recording")
    (user.home / "calls" / "monday" / "c.srt").write_text("a transcript of another time")
    command = ("transcribe", "a.wav", "b.wav", "calls", "-o", "out", "-f", "srt,json", "--diarize")
    code, _, err = user.run(*command)
    assert code == 0, err
    assert "Passed over 1 file that does not look like a recording: calls/notes.md." in err
    outputs = names(user.home / "out")
    assert outputs == ["a.json", "a.srt", "b.json", "b.srt", "monday/c.json", "monday/c.srt"]
    transcript = json.loads((user.home / "out" / "a.json").read_text())
    assert transcript["segments"][0]["speaker"] == "spk_1"
    assert transcript["text"].strip() in (user.home / "out" / "a.srt").read_text()

    before = [(user.home / "out" / name).stat().st_mtime_ns for name in outputs]
    code, out, err = user.run(*command, "--json")
    assert (code, {json.loads(line)["status"] for line in out.splitlines()}) == (0, {"skipped"}), err
    assert names(user.home / "out") == outputs
    assert [(user.home / "out" / name).stat().st_mtime_ns for name in outputs] == before
    assert len(user.history()) == 3


def test_another_format_costs_no_second_task(user: User) -> None:
    """What is missing is fetched from the task of the earlier run, also when the state of that run is lost."""
    recording(user.home / "a.wav")
    for format in ("srt", "vtt", "text"):
        code, _, err = user.run("transcribe", "a.wav", "-f", format)
        assert code == 0, err
        shutil.rmtree(user.home / ".state" if format == "vtt" else user.home / "nothing", ignore_errors=True)
    assert names(user.home)[-4:] == ["a.srt", "a.txt", "a.vtt", "a.wav"]
    assert len(user.history()) == 1


def test_what_is_there_is_not_overwritten(user: User) -> None:
    """A file that is older than the recording is refused, and replaced with --force."""
    recording(user.home / "a.wav")
    (user.home / "a.json").write_text("mine")
    os.utime(user.home / "a.json", (1, 1))
    code, _, err = user.run("transcribe", "a.wav")
    assert (code, (user.home / "a.json").read_text(), user.history()) == (1, "mine", [])
    assert "--force" in err
    code, _, err = user.run("transcribe", "a.wav", "--force")
    assert (code, json.loads((user.home / "a.json").read_text())["status"]) == (0, "done"), err


def test_equal_names_stay_apart(user: User) -> None:
    """Two recordings of one stem keep their suffixes; two of one name for one place are wrong usage."""
    recording(user.home / "x" / "a.wav")
    shutil.copy(user.home / "x" / "a.wav", user.home / "x" / "a.mp3")
    recording(user.home / "y" / "a.wav")
    code, _, err = user.run("transcribe", "x")
    assert code == 0, err
    assert names(user.home / "x") == ["a.mp3", "a.mp3.json", "a.wav", "a.wav.json"]
    code, _, err = user.run("transcribe", "x/a.wav", "y/a.wav", "-o", "out")
    assert (code, "would both be written" in err) == (2, True)


def test_one_that_fails_does_not_stop_the_others(user: User) -> None:
    """The exit code is 1, the others are written, and the server's code says why."""
    recording(user.home / "good.wav")
    (user.home / "bad.wav").write_bytes(b"this is not a recording" * 100)
    code, out, err = user.run("transcribe", "bad.wav", "good.wav", "--json")
    assert code == 1
    outcomes = {item["recording"]: item for item in map(json.loads, out.splitlines())}
    assert (outcomes["good.wav"]["status"], outcomes["bad.wav"]["status"]) == ("done", "failed")
    failed = next(item for item in user.history() if item["status"] == "error")
    assert outcomes["bad.wav"]["error"]["code"] == failed["error"]["code"]
    assert f"bad.wav: failed: {failed['error']['code']}" in err
    assert "good.json" in names(user.home)
    assert "bad.json" not in names(user.home)


def test_a_refusal_in_the_middle_of_an_upload_is_understood(user: User) -> None:
    """A server that stops reading a file that is too large is quoted with its code."""
    with (user.home / "large.wav").open("wb") as file:
        file.truncate(8 * MAX_UPLOAD_BYTES)
    code, _, err = user.run("transcribe", "large.wav")
    assert (code, "failed: file_too_large" in err) == (1, True), err


def test_a_url_is_fetched_by_the_server(user: User, site: tuple[Path, str]) -> None:
    """A URL goes to the server as it is, and its transcript is named after it."""
    folder, address = site
    recording(folder / "show.wav")
    code, _, err = user.run("transcribe", f"{address}/show.wav", "-o", "out", "-f", "srt")
    assert (code, names(user.home / "out")) == (0, ["show.srt"]), err


def test_an_interrupted_run_is_picked_up(user: User) -> None:
    """Ctrl-C ends with 130 and leaves the task running; the next run joins it; cancel, retry and delete act on it."""
    (user.home / "long.mka").write_bytes(long_recording())
    first = user.start("transcribe", "long.mka")
    assert first.stderr is not None
    assert "long.mka: convert\n" in first.stderr  # it knows its task now; the gateway has known it for longer
    eventually(
        lambda: [item["status"] for item in user.history()] == ["processing"], "it is being worked on", PATIENCE_S
    )
    first.send_signal(signal.SIGINT)
    _, err = first.communicate(timeout=PATIENCE_S)
    (task,) = (item["task_id"] for item in user.history())
    assert (first.returncode, task in err, "The same command" in err) == (130, True, True), err
    code, out, _ = user.run("status", task, "--json")
    assert (code, json.loads(out)["status"]) == (0, "processing")

    second = user.start("transcribe", "long.mka")
    assert second.stderr is not None
    # it reads the recording, looks for its task and follows it; one that it found cancelled it would try again
    assert next((line for line in second.stderr if not line.endswith(": reading\n")), None) == "long.mka: convert\n"
    assert user.run("result", task)[0] == 1
    assert user.run("cancel", task)[0] == 0
    _, err = second.communicate(timeout=PATIENCE_S)
    assert (second.returncode, [item["task_id"] for item in user.history()]) == (1, [task]), err
    assert "cancelled" in err
    assert user.run("watch", task)[0] == 1

    code, out, _ = user.run("delete", task)
    assert (code, "erased" in out, user.history()) == (0, True, [])
    code, _, err = user.run("status", task)
    assert (code, "not_found" in err) == (1, True)


@pytest.mark.parametrize("columns", [34, 120])
def test_bars_in_a_terminal_have_clocks_and_fit(user: User, columns: int) -> None:
    """In a narrow and a wide window, transcribe and watch draw lines with the time gone and the time left, none wider
    than the window; at its end watch says what became of the task."""
    (user.home / "long.mka").write_bytes(long_recording())
    clocks = r"(\d+)% (.* )?\d:\d\d +(\d+|-):(\d\d|--) left$"
    with user.at_terminal(columns, "transcribe", "long.mka") as window:
        window.lines(r"convert|\d:\d\d +\S+ left")
        eventually(lambda: bool(user.history()), "the task is there", PATIENCE_S)
        (task,) = (item["task_id"] for item in user.history())
        with user.at_terminal(columns, "watch", task) as other:
            other.lines(r"\d:\d\d +\S+ left")
            assert user.run("cancel", task)[0] == 0
            watch_lines = other.lines()
            assert other.program.wait(PATIENCE_S) == 1
        transcribe_lines = window.lines()
        assert window.program.wait(PATIENCE_S) == 1
    assert f"{task}  cancelled" in watch_lines[-1]
    assert "long.mka: failed: cancelled" in "".join(transcribe_lines)
    for lines in (transcribe_lines, watch_lines):
        bars = [line for line in lines if " left" in line]
        assert bars
        assert not [line for line in bars if not re.search(clocks, line) or cell_len(line) > columns]
        assert all(("━" in line) == (columns == 120) for line in bars)


def test_a_finished_task_is_shown(user: User) -> None:
    """status, result, history and watch tell of it; a result goes to stdout or into a file that is not replaced."""
    recording(user.home / "a.wav")
    assert user.run("transcribe", "a.wav", "-q")[:2] == (0, "")
    (task,) = (item["task_id"] for item in user.history())
    text = json.loads((user.home / "a.json").read_text())["text"].strip()
    code, out, _ = user.run("status", task)
    assert (code, out.split()[:3]) == (0, [task, "done", "100"])
    code, out, _ = user.run("result", task, "-f", "text")
    assert (code, text in out) == (0, True)
    assert user.run("result", task, "-o", "a.json")[0] == 1
    assert user.run("result", task, "-f", "srt", "-o", "a.srt")[0] == 0
    code, out, _ = user.run("history", "--status", "done")
    assert (code, task in out, "a.wav" in out) == (0, True, True)
    code, out, _ = user.run("history", "--json", "-n", 1)
    assert (code, json.loads(out)["task_id"]) == (0, task)
    code, out, _ = user.run("watch", task, "--json")
    assert (code, json.loads(out.splitlines()[-1])["status"]) == (0, "done")


def test_server_and_key_have_an_exit_code_of_their_own(user: User) -> None:
    """3 for a key that is refused, with the server's words, and for a server that is not there; 2 for wrong usage."""
    recording(user.home / "a.wav")
    code, _, err = user.run("transcribe", "a.wav", "--api-key", "pk_wrong")
    assert (code, "unauthorized" in err) == (3, True)
    code, _, err = user.run("transcribe", "a.wav", PARLEY_URL="http://127.0.0.1:1")
    assert (code, "unreachable" in err) == (3, True)
    assert user.run("transcribe", "nothing.wav")[0] == 2
    assert user.run("transcribe", "a.wav", "-f", "rtf")[0] == 2
    assert user.run("transcribe", "a.wav", "--model", "huge")[0] == 2
    assert user.run("status", "../health")[0] == 2
    assert names(user.home) == ["a.wav"]


def test_the_doctor_says_what_is_wrong(user: User) -> None:
    """All is well with the right key; a wrong one, a missing server and missing weights are found, with advice."""
    code, out, _ = user.run("doctor", "--json")
    findings = json.loads(out)
    assert (code, {finding["verdict"] for finding in findings}) == (0, {"ok"}), out
    assert {"server", "key", "models", "version", "database", "workers"} <= {finding["name"] for finding in findings}
    code, out, _ = user.run("doctor", PARLEY_API_KEY="pk_wrong")
    assert (code, "unauthorized" in out, "create_api_key" in out) == (3, True, True)
    code, out, _ = user.run("doctor", "--url", "http://127.0.0.1:1")
    assert (code, "make run" in out) == (3, True)
    (user.home / "models" / "whisper" / "base").mkdir(parents=True)
    code, out, _ = user.run("doctor", HF_TOKEN="secret")
    assert (code, "lacks config.json" in out, "does not look like a token" in out) == (1, True, True)
    assert "secret" not in out
