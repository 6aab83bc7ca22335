"""OpenAI's Realtime API by its own SDK, and by LiveKit's plugin."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from faster_whisper.audio import decode_audio
from openai import OpenAI
from openai.resources.realtime.realtime import RealtimeConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from scripts.bench.scoring import word_error_rate
from scripts.weights.fixtures import fixture
from tests.clients import installed
from tests.faults.rig import eventually
from tests.service.live.conftest import Rig

READING = "librivox-0880.wav"
DRIVERS = Path(__file__).parent / "drivers"
TRANSCRIPTION = "conversation.item.input_audio_transcription"
WRONG = 0.35
WAIT_S = 120
OPENED: Any = {"open_timeout": WAIT_S}


def reference() -> str:
    return fixture(READING.replace(".wav", ".txt")).read_text().strip()


def pcm(rate: int, quiet_s: float = 1.5) -> bytes:
    """The reading and a pause, as 16-bit PCM."""
    samples = decode_audio(str(fixture(READING)), sampling_rate=rate)
    return (np.concatenate([samples, np.zeros(round(quiet_s * rate))]) * 32767).astype("<i2").tobytes()


def mulaw(quiet_s: float = 0.0) -> bytes:
    """The same at 8 kHz as a telephone has it, by FFmpeg's encoder."""
    encoder = av.CodecContext.create("pcm_mulaw", "w")
    encoder.sample_rate, encoder.layout, encoder.format = 8000, "mono", "s16"
    frame = av.AudioFrame.from_ndarray(np.frombuffer(pcm(8000, quiet_s), "<i2").reshape(1, -1), "s16", "mono")
    frame.sample_rate = 8000
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])


def update(**values: Any) -> dict[str, Any]:
    return {"type": "session.update", "session": {"type": "transcription", "audio": {"input": values}}}


class Session:
    """The SDK's connection, and all its events. A thread reads them."""

    def __init__(self, connection: RealtimeConnection) -> None:
        self.connection = connection
        self.events: list[Any] = []
        self._news = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with suppress(ConnectionClosed):
            for event in self.connection:
                with self._news:
                    self.events.append(event)
                    self._news.notify_all()

    def all(self, kind: str) -> list[Any]:
        return [event for event in self.events if event.type == kind]

    def first(self, kind: str, count: int = 1) -> Any:
        """The `count`-th of its kind. Waits for it."""
        with self._news:
            there = self._news.wait_for(lambda: len(self.all(kind)) >= count, WAIT_S)
        assert there, f"no {kind}: {[event.to_dict() for event in self.events[-3:]]}"
        return self.all(kind)[count - 1]

    def update(self, **values: Any) -> Any:
        before = len(self.all("session.updated"))  # the answer may be there as soon as it is sent
        self.connection.session.update(session=update(**values)["session"])
        return self.first("session.updated", before + 1)

    def say(self, data: bytes, rate_bytes: int, speed: float = 2.0) -> None:
        size = rate_bytes // 10
        for place in range(0, len(data), size):
            self.connection.input_audio_buffer.append(audio=base64.b64encode(data[place : place + size]).decode())
            time.sleep(0.1 / speed)


def connected(rig: Rig, use: Callable[[Session], None], query: Mapping[str, object] | None = None) -> str:
    """Run `use` with a session; the id of its task."""
    client = OpenAI(base_url=f"{rig.stack.url}/v1", api_key=rig.stack.api_key)
    parameters = {"intent": "transcription", **(query or {})}
    with client.realtime.connect(extra_query=parameters, websocket_connection_options=OPENED) as connection:
        session = Session(connection)
        created = session.first("session.created").session
        use(session)
    return str(created.id).removeprefix("sess_")


def test_the_sdk_is_told_what_is_said(rig: Rig) -> None:
    """Speech starts, deltas come, the item is committed and completed; its task is transcribed as any other."""

    def use(session: Session) -> None:
        config = session.update(transcription={"model": "gpt-4o-transcribe", "language": "en"}).session
        assert config.audio.input.turn_detection.silence_duration_ms == 400
        session.say(pcm(24_000), 48_000)
        completed = session.first(f"{TRANSCRIPTION}.completed")
        assert session.first("input_audio_buffer.speech_started").audio_start_ms < 1500
        assert session.first("input_audio_buffer.committed").item_id == completed.item_id
        assert session.first("conversation.item.done").item.id == completed.item_id
        text = " ".join(event.transcript for event in session.all(f"{TRANSCRIPTION}.completed"))
        assert word_error_rate(reference(), text) < WRONG, text
        assert session.all(f"{TRANSCRIPTION}.delta")
        assert session.all("error") == []

    task = connected(rig, use)
    assert word_error_rate(reference(), rig.transcript(task)) < WRONG


def test_a_client_that_commits_has_an_item_for_each_commit(rig: Rig) -> None:
    """mu-law, without turn detection; what is cleared is not told; a commit of nothing is an error."""

    def use(session: Session) -> None:
        session.update(format={"type": "audio/pcmu"}, transcription={"model": "gpt-realtime-whisper"})
        session.connection.input_audio_buffer.commit()
        assert session.first("error").error.code == "input_audio_buffer_commit_empty"
        session.say(mulaw(), 8000)
        session.connection.input_audio_buffer.commit()
        first = session.first(f"{TRANSCRIPTION}.completed")
        assert word_error_rate(reference(), first.transcript) < WRONG
        assert {event.item_id for event in session.all(f"{TRANSCRIPTION}.delta")} == {first.item_id}
        session.say(mulaw()[:8000], 8000, speed=10)
        session.connection.input_audio_buffer.clear()
        session.first("input_audio_buffer.cleared")
        session.say(b"\xff" * 4000, 8000, speed=10)
        session.connection.input_audio_buffer.commit()
        second = session.first(f"{TRANSCRIPTION}.completed", 2)
        assert (second.transcript, session.all("input_audio_buffer.speech_started")) == ("", [])

    connected(rig, use)


def test_what_is_wrong_is_an_error_that_ends_nothing(rig: Rig) -> None:
    """With the name of the field and the client's own id; what follows is heard."""

    def use(session: Session) -> None:
        send: Callable[[Any], None] = session.connection.send
        send({"type": "response.create", "event_id": "mine"})
        assert session.first("error").error.event_id == "mine"
        send({"type": "input_audio_buffer.append", "audio": "no base64!"})
        assert session.first("error", 2).error.param == "audio"
        send(update(noise_reduction={"type": "near_field"}))
        assert session.first("error", 3).error.param == "session.audio.input.noise_reduction"
        session.say(pcm(24_000)[:48_000], 48_000, speed=10)
        send(
            {
                "type": "session.update",
                "session": {"type": "transcription", "audio": {"input": {"format": {"type": "audio/pcma"}}}},
            }
        )
        assert "once audio has come" in session.first("error", 4).error.message
        send({"type": "input_audio_buffer.append"})
        assert session.first("error", 5).error.param == "audio"
        send({"type": "\ud800", "event_id": "\udfff"})
        assert session.first("error", 6).error.event_id == "\udfff"

    task = connected(rig, use)
    eventually(lambda: rig.status(task) != "live", "the session ends with its socket", WAIT_S)


@pytest.mark.parametrize(
    ("key", "query", "status", "code"),
    [
        ("x" * 40, {"intent": "transcription"}, 401, "invalid_api_key"),
        (None, {"model": "gpt-realtime"}, 400, "invalid_request"),
        (None, {"intent": "transcription", "model": "gpt-5"}, 404, "model_not_found"),
    ],
)
def test_a_handshake_is_refused_in_openais_words(
    rig: Rig, key: str | None, query: Mapping[str, object], status: int, code: str
) -> None:
    """Before anything else is read."""
    client = OpenAI(base_url=f"{rig.stack.url}/v1", api_key=key or rig.stack.api_key)
    with pytest.raises(InvalidStatus) as refused:
        client.realtime.connect(extra_query=query, websocket_connection_options=OPENED).__enter__()
    body = json.loads(refused.value.response.body or b"{}")
    assert (refused.value.response.status_code, body["error"]["code"]) == (status, code)


def test_livekit_hears_live(rig: Rig) -> None:
    """Speech begins, text comes, and the final transcript is what was said."""
    env = {"OPENAI_BASE_URL": f"{rig.stack.url}/v1", "OPENAI_API_KEY": rig.stack.api_key}
    output = driven("livekit_realtime.py", [fixture(READING)], env)
    events = output["live, by use_realtime"]
    assert events[0]["type"] == "start_of_speech"
    assert events[-1]["type"] == "final_transcript"
    assert events[-1]["text"].split()[0].lower().strip(",.") in reference().lower().split()


def driven(driver: str, arguments: Sequence[object], env: Mapping[str, str]) -> dict[str, Any]:
    """What a driver printed."""
    process = subprocess.run(
        (sys.executable, DRIVERS / driver, *map(str, arguments)),
        env=os.environ | {"PYTHONPATH": str(installed.python_packages()), **env},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    output: dict[str, Any] = json.loads(process.stdout.strip().splitlines()[-1])
    return output
