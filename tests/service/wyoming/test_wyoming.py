"""`parley wyoming` as Home Assistant uses it, with the client that is its own: a real bridge, gateway and workers."""

from __future__ import annotations

import asyncio
import signal
import uuid
from pathlib import Path
from typing import Any

from wyoming.asr import Transcribe
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.info import Info

from cli.wyoming.bridge import GOODBYE_S
from scripts.bench.soak.caller import Task
from tests.faults.rig import Rig
from tests.service.wyoming.clients import (
    CHUNK_BYTES,
    PATIENCE_S,
    Bridge,
    bridge,
    describe,
    error,
    event,
    hear,
    pieces,
    say,
    sha256,
    voice,
    wav,
)
from tests.service.wyoming.conftest import User, slowly, unheard
from tests.service.wyoming.servers import endless, relay

POLLS_S = 2.0
"""Long enough for some polls, were there any."""


def test_home_assistant_is_told_what_the_server_offers(spoken_to: Bridge, user: User) -> None:
    """The answer to `describe` has each model of GET /models with its languages, the default first."""
    info: Info = spoken_to.talk(describe)
    offered = user.http.get("/models").json()
    (program,) = info.asr
    assert program.installed and not program.supports_transcript_streaming and program.requires_external_vad
    assert {model.name: model.languages for model in program.models} == {
        model["id"]: model["languages"] for model in offered["models"]
    }
    assert program.models[0].name == offered["default"] == "tiny.en"


def test_what_was_said_is_transcribed(spoken_to: Bridge, user: User) -> None:
    """The transcript is that of one task, whose recording is a WAV of exactly the samples, and it goes first."""
    samples = voice(1)

    async def conversation(client: AsyncTcpClient) -> object:
        await say(client, samples, Transcribe(language="en"))
        return await hear(client)

    transcript = spoken_to.talk(conversation)
    (task,) = user.tasks()
    result = user.http.get(f"/result/{task['task_id']}").json()
    assert (transcript.text, transcript.language) == (result["text"].strip(), "en")
    assert task["file"]["sha256"] == sha256(wav(samples))
    assert (task["priority"], task["options"]["language"], task["options"]["model"]) == ("interactive", "en", "tiny.en")


def test_a_language_of_another_model_is_recognised_by_it(spoken_to: Bridge, user: User) -> None:
    """Home Assistant offers the languages of all models and names only one of those."""

    async def conversation(client: AsyncTcpClient) -> object:
        await say(client, voice(), Transcribe(language="de-AT"))
        return await hear(client)

    assert spoken_to.talk(conversation) is not None
    (task,) = user.tasks()
    assert (task["options"]["language"], task["options"]["model"]) == ("de", "base")


def test_the_model_and_the_names_of_the_home_are_passed_on(spoken_to: Bridge, user: User) -> None:
    """`name` of transcribe is the model; names and terms are hot words, names last, where they count most."""
    request = Transcribe(name="base", transcript_names=["Zirbenstube", "Rollo"], transcript_terms=["dimmen"])

    async def conversation(client: AsyncTcpClient) -> object:
        await say(client, voice(), request)
        return await hear(client)

    assert spoken_to.talk(conversation) is not None
    (task,) = user.tasks()
    assert (task["options"]["model"], task["options"]["hotwords"]) == ("base", "dimmen, Rollo, Zirbenstube")


def test_audio_of_any_format_without_a_start_is_kept_as_it_came(spoken_to: Bridge, user: User) -> None:
    """Stereo of 24 bits at 48 kHz whose first event is a chunk, as Home Assistant's own recogniser takes it."""
    samples = voice(3)[: 6 * 10_000]

    async def conversation(client: AsyncTcpClient) -> object:
        for chunk in pieces(samples, 6 * 441):
            await client.write_event(AudioChunk(rate=48_000, width=3, channels=2, audio=chunk).event())
        await client.write_event(AudioStop().event())
        return await hear(client)

    assert spoken_to.talk(conversation) is not None
    (task,) = user.tasks()
    assert task["file"]["sha256"] == sha256(wav(samples, 48_000, 3, 2))


def test_a_second_start_loses_nothing(spoken_to: Bridge, user: User) -> None:
    """Of the same format it goes on with the recording; of another one it is an error that names both."""
    samples = voice()

    async def conversation(client: AsyncTcpClient) -> object:
        for half in pieces(samples, len(samples) // 2):
            await client.write_event(AudioStart(rate=16_000, width=2, channels=1).event())
            await client.write_event(AudioChunk(rate=16_000, width=2, channels=1, audio=half).event())
        await client.write_event(AudioStop().event())
        return await hear(client)

    async def change(client: AsyncTcpClient) -> dict[str, str]:
        await client.write_event(AudioChunk(rate=16_000, width=2, channels=1, audio=samples).event())
        await client.write_event(AudioStart(rate=8000, width=2, channels=1).event())
        return await error(client)

    assert spoken_to.talk(conversation) is not None
    (task,) = user.tasks()
    assert task["file"]["sha256"] == sha256(wav(samples))
    changed = spoken_to.talk(change)
    assert changed["code"] == "format_changed" and "16000 Hz" in changed["text"] and "8000 Hz" in changed["text"]
    assert "format_changed" in spoken_to.log() and "Not transcribed: 0.5 s." in spoken_to.log()


def test_a_connection_takes_one_request_after_another(spoken_to: Bridge, user: User) -> None:
    """Three, each with its own text, the last sent before the answer to the second; unknown events are passed over."""
    recordings = [voice() for _ in range(3)]

    async def conversation(client: AsyncTcpClient) -> list[str]:
        await client.write_event(event("weather", b"rain", tomorrow=True))
        texts = []
        await say(client, recordings[0], Transcribe(language="en"))
        texts.append((await hear(client)).text)  # type: ignore[union-attr]
        for recording in recordings[1:]:
            await say(client, recording, Transcribe(language="en"))
        for _ in recordings[1:]:
            texts.append((await hear(client)).text)  # type: ignore[union-attr]
        return texts

    texts = spoken_to.talk(conversation)
    by_hash = {
        task["file"]["sha256"]: user.http.get(f"/result/{task['task_id']}").json()["text"].strip()
        for task in user.tasks()
    }
    assert texts == [by_hash[sha256(wav(recording))] for recording in recordings]
    assert len(set(texts)) == 3


def test_a_ping_is_answered_while_a_transcript_is_on_its_way(rig: Rig, spoken_to: Bridge) -> None:
    """The pong has the text of the ping, and does not wait for the transcript."""

    async def conversation(client: AsyncTcpClient) -> tuple[object, object]:
        with unheard(rig):
            await say(client, voice(), Transcribe(language="en"))
            await client.write_event(event("ping", text="there?"))
            pong = await client.read_event()
        return pong, await hear(client)

    pong, transcript = spoken_to.talk(conversation)
    assert (pong.type, pong.data["text"]) == ("pong", "there?")
    assert transcript is not None


def test_many_speak_at_once(spoken_to: Bridge, user: User) -> None:
    """Twelve connections, each with its own words, in less time than one after another."""
    recordings = [voice() for _ in range(12)]

    async def one(recording: bytes) -> str:
        client = AsyncTcpClient("127.0.0.1", spoken_to.port)
        await client.connect()
        try:
            await say(client, recording, Transcribe(language="en"))
            transcript = await hear(client)
            assert transcript is not None
            return transcript.text
        finally:
            await client.disconnect()

    async def all_of_them() -> list[str]:
        return await asyncio.gather(*map(one, recordings))

    texts = asyncio.run(all_of_them())
    by_hash = {
        task["file"]["sha256"]: user.http.get(f"/result/{task['task_id']}").json()["text"].strip()
        for task in user.tasks()
    }
    assert texts == [by_hash[sha256(wav(recording))] for recording in recordings]


def test_nothing_said_is_an_empty_transcript(spoken_to: Bridge, user: User) -> None:
    """A start and a stop, or a stop alone: no error, and no task."""

    async def conversation(client: AsyncTcpClient) -> list[str]:
        texts = []
        for samples in (b"", None):
            if samples is not None:
                await say(client, samples, Transcribe(language="en"))
            else:
                await client.write_event(AudioStop().event())
            texts.append((await hear(client)).text)  # type: ignore[union-attr]
        return texts

    assert spoken_to.talk(conversation) == ["", ""]
    assert user.tasks() == []


def test_a_client_that_leaves_has_its_task_cancelled(rig: Rig, spoken_to: Bridge, user: User) -> None:
    """Whoever hangs up while it is recognised frees the worker, and the log says so."""

    async def conversation(client: AsyncTcpClient) -> None:
        await say(client, voice(), Transcribe(language="en"))
        await asyncio.to_thread(being_recognised, rig, user)

    with slowly(rig):
        spoken_to.talk(conversation)
        user.eventually(lambda tasks: [task["status"] for task in tasks] == ["cancelled"])
    assert "connection_lost" in spoken_to.log()


def being_recognised(rig: Rig, user: User) -> None:
    """Returns when a worker is at the user's task."""
    user.eventually(bool)
    rig.running(Task(uuid.UUID(user.tasks()[0]["task_id"]), ""), "transcribe")


def test_a_signal_ends_the_bridge(rig: Rig, spoken_to: Bridge, user: User) -> None:
    """SIGTERM tells who waits and who speaks that the bridge ends, cancels the task, and exits with 0."""

    async def conversation(client: AsyncTcpClient) -> tuple[dict[str, str], dict[str, str], int]:
        speaker = AsyncTcpClient("127.0.0.1", spoken_to.port)
        await speaker.connect()
        await speaker.write_event(AudioChunk(rate=16_000, width=2, channels=1, audio=voice()).event())
        await say(client, voice(), Transcribe(language="en"))
        await asyncio.to_thread(being_recognised, rig, user)
        code = await asyncio.to_thread(spoken_to.stop)
        errors = await error(client), await error(speaker)
        await speaker.disconnect()
        return *errors, code

    with slowly(rig):
        waiting, speaking, code = spoken_to.talk(conversation)
        assert waiting["code"] == speaking["code"] == "shutting_down"
        assert code == 0
        user.eventually(lambda tasks: [task["status"] for task in tasks] == ["cancelled"])


def test_the_end_comes_within_two_seconds(tmp_path: Path) -> None:
    """However long the server takes: it is given a second and a half, not the time that it never needs to end."""

    async def conversation(client: AsyncTcpClient) -> int:
        await say(client, voice(), Transcribe())
        assert await asyncio.to_thread(is_asked.wait, PATIENCE_S)
        return await asyncio.to_thread(running.stop)

    with endless() as (url, is_asked), bridge(tmp_path, url, "pk_any") as running:
        assert running.talk(conversation) == 0
    assert GOODBYE_S < 2


def test_ctrl_c_is_an_end_as_well(spoken_to: Bridge) -> None:
    """With the exit code of the other commands."""
    assert spoken_to.stop(signal.SIGINT) == 130


def test_the_transcript_does_not_wait_for_a_poll(rig: Rig, user: User, tmp_path: Path) -> None:
    """The bridge follows the events of a task before it ends and fetches the result behind them; it asks nothing else,
    however long the task takes."""

    async def conversation(client: AsyncTcpClient) -> object:
        with unheard(rig):
            await say(client, voice(), Transcribe(language="en"), 8 * CHUNK_BYTES)
            await asyncio.to_thread(until_asked)
            await asyncio.sleep(POLLS_S)
        return await hear(client)

    def until_asked() -> None:
        user.eventually(lambda tasks: tasks and following(tasks) in server.requests())

    def following(tasks: list[dict[str, Any]]) -> str:
        return f"GET /tasks/{tasks[0]['task_id']}/events"

    with relay(rig.stack.url) as server, bridge(tmp_path, server.url, user.key) as running:
        assert running.talk(conversation) is not None
        (task,) = user.tasks()
        requests = [request for request in server.requests() if request != "GET /models"]
    assert sorted(requests) == sorted(
        ["POST /transcribe", following([task]), f"GET /result/{task['task_id']}?format=json"]
    )
