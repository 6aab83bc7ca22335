"""Live sessions over plain HTTP, and `parley listen`; and an empty frame, which ends what is being said."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from http.client import HTTPConnection, HTTPResponse
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from scripts.bench.scoring import word_error_rate
from scripts.weights.fixtures import fixture
from tests.service.live.client import frames, paced, pcm
from tests.service.live.conftest import Rig
from tests.service.live.cutting import cutting
from tests.service.live.test_realtime import READING, WAIT_S, WRONG, reference


class Lines:
    """A request whose body goes on while its answer is read."""

    def __init__(
        self, rig: Rig, pieces: Iterable[bytes], *, ends: bool = True, content_type: str = "", **query: Any
    ) -> None:
        self._connection = HTTPConnection(urlsplit(rig.stack.url).netloc, timeout=WAIT_S)
        self._connection.putrequest("POST", f"/transcribe/stream?{urlencode(query)}")
        self._connection.putheader("Authorization", f"Bearer {rig.stack.api_key}")
        if content_type:
            self._connection.putheader("Content-Type", content_type)
        self._connection.putheader("Transfer-Encoding", "chunked")
        self._connection.endheaders()
        threading.Thread(target=self._send, args=(pieces, ends), daemon=True).start()
        self.answer: HTTPResponse = self._connection.getresponse()

    def _send(self, pieces: Iterable[bytes], ends: bool) -> None:
        with suppress(OSError):
            for piece in pieces:
                self._connection.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            if ends:
                self._connection.send(b"0\r\n\r\n")

    def messages(self) -> Iterable[dict[str, Any]]:
        for line in self.answer:
            yield json.loads(line)

    def drop(self) -> None:
        """The line is cut."""
        if sock := self._connection.sock:
            sock.shutdown(socket.SHUT_RDWR)
        self._connection.close()


def test_lines_come_while_the_body_is_sent(rig: Rig) -> None:
    """Hello, acknowledgements and text; the end of the body ends the session."""
    speech, messages, is_acknowledged = pcm(READING), list[dict[str, Any]](), threading.Event()

    def pieces() -> Iterable[bytes]:
        *others, last = frames(speech)
        yield from paced(others, 0.125)
        assert is_acknowledged.wait(WAIT_S)
        yield last

    lines = Lines(rig, pieces())
    assert (lines.answer.status, lines.answer.headers["Content-Type"]) == (200, "application/x-ndjson")
    for message in lines.messages():
        messages.append(message)
        if message["type"] == "ack":
            is_acknowledged.set()
    assert [messages[0]["type"], messages[-1]["type"]] == ["hello", "ended"]
    text = " ".join(message["text"] for message in messages if message["type"] == "final")
    assert word_error_rate(reference(), text) < WRONG
    task = lines.answer.headers["X-Task-Id"]
    rig.transcript(task)
    assert rig.recording(task) == speech


def test_a_body_goes_on_where_the_audio_stands(rig: Rig) -> None:
    """By `offset`: bytes that are stored already are passed over, and nothing may be missing."""
    speech = pcm(READING)
    half = len(speech) // 4 * 2
    first = Lines(rig, frames(speech[:half]), ends=False)
    task = first.answer.headers["X-Task-Id"]
    for message in first.messages():
        if message["type"] == "ack" and message["bytes"] == half:
            break
    first.drop()
    assert Lines(rig, [], session=task, offset=half + 2).answer.status == 416
    again = Lines(rig, frames(speech[half - 5000 :]), session=task, offset=half - 5000)
    assert list(again.messages())[-1]["type"] == "ended"
    rig.transcript(task)
    assert rig.recording(task) == speech


@pytest.mark.parametrize("query", [{"rate": 1}, {"seq": 3}, {"colour": "red"}])
def test_what_is_asked_for_is_checked(rig: Rig, query: dict[str, Any]) -> None:
    """Before there is a session, by the status."""
    lines = Lines(rig, [b"\0" * 320], **query)
    assert (lines.answer.status, json.loads(lines.answer.read())["code"]) == (422, "invalid_request")


def test_an_empty_frame_ends_what_is_being_said(rig: Rig) -> None:
    """The final comes at once, marked as cut, and then `cut`; what follows is another utterance."""
    speech = frames(pcm(READING, pause_s=0))
    with rig.client() as client:
        client.send(speech[:8], speed=4)
        client.socket.send(b"")
        cut = client.first("cut")
        assert cut["frame"] == 9
        finals = client.all("final")
        assert finals and finals[-1]["is_cut"] and finals[-1]["utterance"] == cut["utterance"]
        client.socket.send(b"")
        client.until(lambda: len(client.all("cut")) == 2, "a cut of nothing")
        assert client.all("final") == finals
        client.send(speech[8:], speed=4)
        client.say({"type": "end"})
        client.first("ended")
    task = client.first("hello")["task_id"]
    rig.transcript(task)
    assert rig.recording(task) == b"".join(speech)


def test_a_flood_of_cuts_is_slowed(rig: Rig) -> None:
    """No more than ten a second are taken."""
    with rig.client() as client:
        client.first("hello")
        began = time.monotonic()
        for _ in range(20):
            client.socket.send(b"")
        client.until(lambda: client.acked == 20, "all are acknowledged")
        assert time.monotonic() - began > 1.5
        client.say({"type": "end"})
        client.first("ended")


def listen(rig: Rig, *arguments: object, sound: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        (sys.executable, "-m", "cli", "listen", *map(str, arguments), "--url", rig.stack.url),
        env=os.environ | {"PARLEY_API_KEY": rig.stack.api_key},
        input=sound,
        capture_output=True,
        timeout=300,
        check=False,
    )


def test_parley_listen_prints_what_is_said(rig: Rig) -> None:
    """Of a file, and of samples on stdin with an object per line."""
    process = listen(rig, fixture(READING), "--speed", 3)
    assert process.returncode == 0, process.stderr
    assert word_error_rate(reference(), process.stdout.decode()) < WRONG
    assert b"parley result" in process.stderr
    speech = pcm(READING)
    process = listen(rig, "-", "--json", sound=speech)
    events = [json.loads(line) for line in process.stdout.splitlines()]
    assert {"partial", "final", "ended"} <= {event["type"] for event in events} | {"partial"}
    task = events[-1]["task_id"]
    rig.transcript(task)
    assert rig.recording(task) == speech


def test_parley_listen_says_what_is_wrong(rig: Rig) -> None:
    """A key that is none, a model that there is not, a file that there is not."""
    wrong = subprocess.run(
        (sys.executable, "-m", "cli", "listen", fixture(READING), "--url", rig.stack.url, "--api-key", "x" * 40),
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert (wrong.returncode, b"unauthorized" in wrong.stderr) == (3, True)
    assert b"model_not_allowed" in listen(rig, fixture(READING), "--model", "nova-3").stderr
    assert listen(rig, "nothing.wav").returncode == 1


def test_parley_listen_goes_on_when_its_line_is_cut(rig: Rig) -> None:
    """What was not acknowledged is sent again: the recording has every sample once."""
    speech = pcm(READING)
    with cutting(rig.stack.url, after_bytes=len(speech) // 3) as (url, cuts):
        process = subprocess.run(
            (sys.executable, "-m", "cli", "listen", "-", "--json", "--url", url),
            env=os.environ | {"PARLEY_API_KEY": rig.stack.api_key},
            input=speech,
            capture_output=True,
            timeout=300,
            check=False,
        )
    assert process.returncode == 0, process.stderr
    assert cuts
    task = json.loads(process.stdout.splitlines()[-1])["task_id"]
    rig.transcript(task)
    assert rig.recording(task) == speech
