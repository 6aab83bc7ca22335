"""Live sessions in what a browser's MediaRecorder sends: text, takeover, recording, and what is no container."""

from __future__ import annotations

import json
from contextlib import suppress
from itertools import pairwise
from urllib.parse import urlencode

import numpy as np
import pytest
from faster_whisper.audio import decode_audio
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from scripts.bench.scoring import word_error_rate
from scripts.weights.fixtures import fixture
from tests.faults.rig import eventually
from tests.service.live.client import FRAME_S, READINGS, paced
from tests.service.live.conftest import DONE_S, Rig
from tests.service.live.test_faults import TAKEN_OVER_S, Steady, all_listen, end, listener
from tests.service.live.test_lines import Lines
from tests.service.live.test_sessions import WRONG, reference
from tests.unit.live.recorder import RATE, container, pieces

SHORT = READINGS[0]
NO_CONTAINER = b"no container, " * 20


def reading(kind: str, *names: str) -> bytes:
    """The recordings in a container, with a second of silence behind each."""
    silence = np.zeros(RATE, np.float32)
    parts = [part for name in names for part in (decode_audio(str(fixture(name)), sampling_rate=RATE), silence)]
    return container((np.concatenate(parts) * 32767).astype(np.int16), kind)


def seconds_of(*names: str) -> float:
    return sum(len(decode_audio(str(fixture(name)), sampling_rate=16_000)) / 16_000 + 1 for name in names)


@pytest.mark.parametrize("kind", ["webm", "mp4"])
def test_a_container_is_told_and_is_the_recording(rig: Rig, kind: str) -> None:
    """Text comes while it is sent, in pieces that cut anywhere; joined they are the recording, byte for byte."""
    data, seconds = reading(kind, SHORT), seconds_of(SHORT)
    with rig.client(encoding="container") as client:
        hello = client.first("hello")
        assert hello["encoding"] == "container" and "rate" not in hello
        client.send(pieces(data, round(2 * seconds)), seconds=0.5, speed=2)
        client.until(lambda: client.all("final") or client.all("partial"), "text, before the end")
        client.say({"type": "end"})
        ended = client.first("ended")
    assert ended["is_whole"] and abs(ended["seconds"] - seconds) < 0.2
    assert word_error_rate(fixture(SHORT.replace(".wav", ".txt")).read_text(), client.text) < WRONG
    task = hello["task_id"]
    assert word_error_rate(fixture(SHORT.replace(".wav", ".txt")).read_text(), rig.transcript(task)) < WRONG
    assert rig.stored(task) == data


def test_a_killed_listener_of_a_container_is_taken_over(rig: Rig) -> None:
    """`kill -9` in mid-session: another decodes from the header on, and says no final twice and none otherwise."""
    data, seconds = reading("webm", *READINGS), seconds_of(*READINGS)
    steady, kills = Steady(rig, pieces(data, round(seconds / FRAME_S)), encoding="container"), [45]
    taken_over: list[float] = []

    def kill(client: Steady) -> None:
        if kills and client.frames >= kills[0]:
            eventually(lambda: rig.session(client.task).utterance > 0, "something was said", TAKEN_OVER_S)
            eventually(lambda: all_listen(rig), "both listen", 120)
            kills.clear()
            name, before = listener(rig, client.task)
            end(rig, name)
            took = eventually(lambda: rig.session(client.task).fence > before.fence, "taken over", TAKEN_OVER_S)
            taken_over.append(took)

    steady.run(kill)
    assert len(taken_over) == 1
    utterances = [event["utterance"] for event in steady.finals]
    assert utterances == list(range(len(utterances))) and len(utterances) >= 2
    places = [(event["start"], event["end"]) for event in steady.finals]
    assert all(before[1] <= after[0] for before, after in pairwise(places))
    assert word_error_rate(reference(), " ".join(event["text"] for event in steady.finals)) < WRONG
    rig.transcript(steady.task)
    assert rig.stored(steady.task) == data


def test_a_body_says_by_its_type_that_it_is_one(rig: Rig) -> None:
    """POST /transcribe/stream with Content-Type audio/ogg."""
    data = reading("ogg", SHORT)
    lines = Lines(rig, paced(pieces(data, 20), 0.2), content_type="audio/ogg;codecs=opus")
    messages = list(lines.messages())
    assert messages[-1]["type"] == "ended" and messages[-1]["is_whole"]
    text = " ".join(message["text"] for message in messages if message["type"] == "final")
    assert word_error_rate(fixture(SHORT.replace(".wav", ".txt")).read_text(), text) < WRONG
    rig.transcript(messages[0]["task_id"])
    assert rig.stored(messages[0]["task_id"]) == data


def test_deepgrams_clients_send_one_without_a_coding(rig: Rig) -> None:
    """Neither encoding nor sample_rate; Metadata has its length."""
    data, seconds = reading("webm", SHORT), seconds_of(SHORT)
    address = f"{rig.stack.url.replace('http', 'ws', 1)}/v1/listen?{urlencode({'model': 'nova-3'})}"
    headers = {"Authorization": f"Token {rig.stack.api_key}"}
    with connect(address, additional_headers=headers, proxy=None, legacy=True, open_timeout=60) as socket:
        for piece in paced(pieces(data, 20), 0.2):
            socket.send(piece)
        socket.send(json.dumps({"type": "CloseStream"}))
        messages = [json.loads(message) for message in socket]
    finals = [message for message in messages if message["type"] == "Results" and message["is_final"]]
    text = " ".join(final["channel"]["alternatives"][0]["transcript"] for final in finals)
    assert word_error_rate(fixture(SHORT.replace(".wav", ".txt")).read_text(), text) < WRONG
    assert messages[-1]["type"] == "Metadata" and abs(messages[-1]["duration"] - seconds) < 0.2


def test_what_is_no_container_ends_the_session(rig: Rig) -> None:
    """For `undecodable`, and its task by convert's code. What was acknowledged is stored all the same."""
    with rig.client(encoding="container") as client:
        task = client.first("hello")["task_id"]
        with suppress(ConnectionClosed):  # the first may be enough
            client.send([NO_CONTAINER] * 2)
        ended = client.first("ended")
        assert (ended["reason"], ended["is_whole"]) == ("undecodable", False)
        acked = client.acked
    eventually(lambda: rig.status(task) == "error", "the task has ended", DONE_S)
    assert rig.http.get(f"/status/{task}").json()["error"]["code"] in ("no_audio", "unsupported_media")
    assert rig.stored(task) in [NO_CONTAINER * count for count in range(max(acked, 1), 3)]


def test_a_container_has_no_rate(rig: Rig) -> None:
    """It says by itself."""
    assert rig.refusal({"encoding": "container", "rate": 16_000})[:2] == (422, "invalid_request")
