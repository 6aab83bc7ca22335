"""What goes wrong around `parley wyoming`: the server, the key, the client. Each has its error, and none is the end."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from pathlib import Path

import psutil
import pytest
from wyoming.asr import Transcribe
from wyoming.audio import AudioChunk, AudioStop
from wyoming.client import AsyncTcpClient

from tests.faults.rig import Rig
from tests.service.wyoming.clients import (
    PATIENCE_S,
    bridge,
    describe,
    error,
    event,
    events,
    hear,
    say,
    sha256,
    voice,
    wav,
)
from tests.service.wyoming.conftest import User, unheard

GROWTH_BYTES = 48 * 1024**2
"""Of a bridge's memory: far less than what the hostile announce or send."""

IDLE_S = 60
"""The silence after which a bridge closes a connection, unless it is told."""

PATIENT = f"""
import sys
from cli.main import main
from cli.wyoming import connection, gateway
gateway.PATIENCE_S = {PATIENCE_S}
connection.QUIET_S = 20
sys.exit(main())
"""
"""The bridge, for a machine on which a gateway takes long to start, and a client long to go on."""

START = {"type": "audio-start", "data": {"rate": 16_000, "width": 2, "channels": 1}}
CHUNK = START | {"type": "audio-chunk"}


def line(**header: object) -> bytes:
    return json.dumps(header).encode() + b"\n"


async def refused(client: AsyncTcpClient) -> dict[str, str]:
    """The error that answers a request."""
    await say(client, voice(), Transcribe(language="en"))
    return await error(client)


async def transcribed(client: AsyncTcpClient) -> str:
    await say(client, voice(), Transcribe(language="en"))
    transcript = await hear(client)
    assert transcript is not None
    return transcript.text


RESERVED: list[socket.socket] = []
"""Ports that are nobody else's while the tests run: one that is free may be the next that the kernel gives away."""


def nobody() -> str:
    """A URL at which nobody listens."""
    RESERVED.append(socket.socket())
    RESERVED[-1].bind(("127.0.0.1", 0))
    return f"http://127.0.0.1:{RESERVED[-1].getsockname()[1]}"


# ---- the server


def test_a_server_that_is_away_is_an_error_until_it_is_there(rig: Rig, user: User, tmp_path: Path) -> None:
    """`unreachable` with the address, for who asks and who speaks; Home Assistant's wait ends with it."""
    url = nobody()
    with bridge(tmp_path, url, user.key) as running:
        assert running.talk(refused) == {
            "code": "unreachable",
            "text": f"{url} does not answer (All connection attempts failed).",
        }
        assert running.raw(line(type="describe"))[0]["code"] == "unreachable"
        assert "unreachable" in running.log()
        assert running.process.poll() is None


def test_a_gateway_that_restarts_costs_no_recording(rig: Rig, user: User, tmp_path: Path) -> None:
    """The events of a task are followed past the end of a gateway; before and behind it everything works."""
    with bridge(tmp_path, rig.stack.url, user.key, program=("-c", PATIENT)) as running:
        running.talk(describe)

        async def conversation(client: AsyncTcpClient) -> object:
            with unheard(rig):
                await say(client, voice(), Transcribe(language="en"))
                await asyncio.to_thread(restart)
            return await hear(client)

        def restart() -> None:
            user.eventually(lambda tasks: [task["status"] for task in tasks][:1] == ["processing"])
            rig.stack.stop_process("api")
            rig.stack.start_process("api")

        assert running.talk(conversation) is not None
        assert running.talk(transcribed)


def test_a_refused_key_ends_the_start(rig: Rig, user: User, tmp_path: Path) -> None:
    """With exit code 3 and the server's words; a key that is revoked later is an error of each request."""
    with bridge(tmp_path, rig.stack.url, "pk_wrong") as running:
        assert running.process.wait(PATIENCE_S) == 3
        assert "unauthorized" in running.log()
    with bridge(tmp_path, rig.stack.url, user.key) as running:
        assert running.talk(transcribed)
        rig.caller.http.delete(f"/admin/keys/{user.key_id}").raise_for_status()
        assert running.talk(refused)["code"] == "unauthorized"
        assert "unauthorized" in running.log() and running.process.poll() is None


def test_too_many_requests_say_when_to_try_again(rig: Rig, user: User, tmp_path: Path) -> None:
    """429 becomes the server's code, and the seconds of its Retry-After are in the text."""
    rig.caller.http.patch(f"/admin/keys/{user.key_id}", json={"requests_per_minute": 1}).raise_for_status()
    with bridge(tmp_path, rig.stack.url, user.key) as running:
        running.raw(line(type="describe"), half_close=True)
        refusal = running.talk(refused)
    assert refusal["code"] == "rate_limited"
    assert "Try again in " in refusal["text"]


def test_what_the_server_refuses_is_told_in_its_words(rig: Rig, user: User, tmp_path: Path) -> None:
    """A model and a language that it does not offer."""

    async def with_model(client: AsyncTcpClient) -> dict[str, str]:
        await say(client, voice(), Transcribe(name="huge"))
        return await error(client)

    async def with_language(client: AsyncTcpClient) -> dict[str, str]:
        await say(client, voice(), Transcribe(language="Klingon"))
        return await error(client)

    with bridge(tmp_path, rig.stack.url, user.key) as running:
        assert running.talk(with_model)["code"] == "model_not_allowed"
        assert running.talk(with_language)["code"] == "invalid_request"
    assert user.tasks() == []


# ---- the client


GARBLED = {
    "no JSON": b"GET / HTTP/1.1\r\n\r\n",
    "an empty line": b"\n",
    "a list": b"[]\n",
    "bytes that are no text": b"\xff\xfe\n",
    "no type": line(data={}),
    "a type that is a number": line(type=7),
    "data that is a list": line(type="describe", data=[1]),
    "a line without an end": b'{"type": "' + b"a" * 200_000,
    "a line that is too long": b'{"type": "' + b"a" * 70_000 + b'"}\n',
    "very deep JSON": b'{"type": "describe", "data": ' + b"[" * 60_000 + b"\n",
    "a number of too many digits": b'{"type": "describe", "data_length": ' + b"9" * 5000 + b"}\n",
    "a negative length": line(type="describe", data_length=-1),
    "a length that is a string": line(type="describe", payload_length="9"),
    "a length that is true": line(type="describe", payload_length=True),
    "data that is too long": line(type="transcribe", data_length=10**12),
    "further data that is a string": line(type="transcribe", data_length=3) + b'"a"',
    "audio without a format": line(type="audio-start"),
    "a rate of 0": line(type="audio-start", data={"rate": 0, "width": 2, "channels": 1}),
    "a width of 5": line(type="audio-chunk", data={"rate": 8000, "width": 5, "channels": 1}),
    "a million channels": line(type="audio-chunk", data={"rate": 8000, "width": 2, "channels": 10**6}),
    "a language that is a list": line(type="transcribe", data={"language": ["en"]}),
    "names that are numbers": line(type="transcribe", data={"transcript_names": [1]}),
}


def test_garbled_events_are_errors(rig: Rig, user: User, tmp_path: Path) -> None:
    """Each is `protocol_error` and ends its connection alone; the memory stays small."""
    with bridge(tmp_path, rig.stack.url, user.key) as running:
        before = psutil.Process(running.process.pid).memory_info().rss
        answers = {name: running.raw(content, half_close=True) for name, content in GARBLED.items()}
        codes = {name: [answer.get("code") for answer in errors] for name, errors in answers.items()}
        assert {name: errors for name, errors in codes.items() if errors != ["protocol_error"]} == {}
        assert psutil.Process(running.process.pid).memory_info().rss - before < GROWTH_BYTES
        assert running.talk(transcribed)


def test_whoever_is_still_sending_is_told(rig: Rig, user: User, tmp_path: Path) -> None:
    """What comes behind a garbled event is thrown away while it comes, and takes no error with it."""
    with (
        bridge(tmp_path, rig.stack.url, user.key, program=("-c", PATIENT)) as running,
        socket.create_connection(("127.0.0.1", running.port), timeout=PATIENCE_S) as connection,
    ):
        connection.sendall(b"\n")
        for _ in range(30):
            time.sleep(0.1)
            connection.sendall(bytes(65536))
        connection.shutdown(socket.SHUT_WR)
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    assert [answer["code"] for answer in events(received)] == ["protocol_error"]


def test_a_connection_that_ends_within_an_event_is_noted(rig: Rig, user: User, tmp_path: Path) -> None:
    """Half a header, half a payload, and a recording without a stop; no task comes of them, and the log counts them."""
    with bridge(tmp_path, rig.stack.url, user.key) as running:
        for content in (b'{"type": "desc', line(**CHUNK, payload_length=100) + b"ab", line(**START)):
            assert running.raw(content, half_close=True) == []
        assert running.log().count("connection_lost") == 3
        assert running.talk(transcribed)
    assert len(user.tasks()) == 1


def test_a_payload_that_is_announced_too_long_is_not_waited_for(rig: Rig, user: User, tmp_path: Path) -> None:
    """A terabyte is an error at once; one that just does not come, after the time for silence."""
    with bridge(tmp_path, rig.stack.url, user.key, "--idle-timeout", "1") as running:
        assert [answer["code"] for answer in running.raw(line(**CHUNK, payload_length=10**12))] == ["too_long"]
        began = time.monotonic()
        for content in (
            line(**CHUNK, payload_length=100) + b"ab",
            line(**CHUNK, payload_length=2) + b"ab",
            line(type="ping", payload_length=10**12) + b"ab",
        ):
            assert [answer["code"] for answer in running.raw(content) if answer["type"] == "error"] == ["idle"]
        assert 3 <= time.monotonic() - began < IDLE_S
        assert running.raw(b"") == []  # a line on which nothing was said is closed without a word
        assert running.talk(transcribed)


def test_a_recording_has_a_greatest_length(rig: Rig, user: User, tmp_path: Path) -> None:
    """One that is longer is an error, with the limit and how much is lost; one of just that length is not."""

    async def too_long(client: AsyncTcpClient) -> dict[str, str]:
        await say(client, voice(1.5), Transcribe(language="en"))
        return await error(client)

    async def just_so(client: AsyncTcpClient) -> object:
        await say(client, voice(1), Transcribe(language="en"))
        return await hear(client)

    with bridge(tmp_path, rig.stack.url, user.key, "--max-seconds", "1") as running:
        refusal = running.talk(too_long)
        assert refusal["code"] == "too_long" and "1 s" in refusal["text"]
        assert "Not transcribed: 1.0 s." in running.log()
        assert running.talk(just_so) is not None


async def too_much(client: AsyncTcpClient) -> dict[str, str]:
    """The error that a recording of 260 MB has."""
    for _ in range(65):
        await client.write_event(AudioChunk(rate=384_000, width=4, channels=64, audio=bytes(4 * 1024**2)).event())
    return await error(client)


def test_all_recordings_together_have_a_bound(rig: Rig, user: User, tmp_path: Path) -> None:
    """Where the rate is so high that one recording would fill the memory, it is `busy`, and the memory comes back."""
    with bridge(tmp_path, rig.stack.url, user.key) as running:
        for _ in range(2):
            assert running.talk(too_much)["code"] == "busy"
        assert psutil.Process(running.process.pid).memory_info().rss < 600 * 1024**2
        assert running.talk(transcribed)


def test_a_refused_recording_leaves_its_memory_before_it_is_told(rig: Rig, user: User, tmp_path: Path) -> None:
    """Its client, which does not leave, is no reason to refuse the next one."""
    with bridge(tmp_path, rig.stack.url, user.key) as running:

        async def stays(client: AsyncTcpClient) -> str:
            assert (await too_much(client))["code"] == "busy"
            return await asyncio.to_thread(running.talk, transcribed)

        assert running.talk(stays)


def test_a_hundred_thousand_tiny_chunks_are_one_recording(rig: Rig, user: User, tmp_path: Path) -> None:
    """Of one sample each: none is lost, and the memory stays small."""
    samples = voice(6.25)
    header = json.dumps(CHUNK | {"payload_length": 2}).encode() + b"\n"
    content = b"".join(header + samples[start : start + 2] for start in range(0, len(samples), 2))
    assert len(samples) == 2 * 100_000
    with bridge(tmp_path, rig.stack.url, user.key) as running:
        before = psutil.Process(running.process.pid).memory_info().rss

        async def conversation(client: AsyncTcpClient) -> object:
            assert client._writer is not None
            for start in range(0, len(content), 65536):
                client._writer.write(content[start : start + 65536])
                await client._writer.drain()
            await client.write_event(AudioStop().event())
            return await hear(client)

        assert running.talk(conversation) is not None
        assert psutil.Process(running.process.pid).memory_info().rss - before < GROWTH_BYTES
    (task,) = user.tasks()
    assert task["file"]["sha256"] == sha256(wav(samples))


def test_connections_have_a_bound(rig: Rig, user: User, tmp_path: Path) -> None:
    """One too many is told so and closed; when another has left there is room again."""

    async def turned_away(client: AsyncTcpClient) -> dict[str, str]:
        return await error(client)

    with bridge(tmp_path, rig.stack.url, user.key, "--max-connections", "2") as running:
        idlers = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(2)]
        for idler in idlers:  # each was taken before the third comes
            idler.sendall(line(type="ping"))
            assert events(idler.recv(1000))[0]["type"] == "pong"
        refusal = running.talk(turned_away)
        assert refusal["code"] == "busy" and "2 connections" in refusal["text"]
        for idler in idlers:
            idler.close()
        deadline = time.monotonic() + PATIENCE_S
        while "busy" in str(running.raw(line(type="ping"), half_close=True)):
            assert time.monotonic() < deadline
        assert running.talk(transcribed)


def test_whoever_floods_is_cut_off(rig: Rig, user: User, tmp_path: Path) -> None:
    """Also one that is told that there is no room, and goes on sending as fast as it can."""
    with bridge(tmp_path, rig.stack.url, user.key, "--max-connections", "1") as running:
        address = ("127.0.0.1", running.port)
        with socket.create_connection(address) as idler, socket.create_connection(address, PATIENCE_S) as flooder:
            idler.sendall(line(type="ping"))
            assert events(idler.recv(1000))[0]["type"] == "pong"
            deadline = time.monotonic() + PATIENCE_S
            with pytest.raises(ConnectionError):
                while time.monotonic() < deadline:
                    flooder.sendall(bytes(1_000_000))


def test_another_program_is_refused_by_name(rig: Rig, user: User, tmp_path: Path) -> None:
    """`select-program` with the program of `info` changes nothing; any other is an error."""

    async def conversation(client: AsyncTcpClient) -> dict[str, str]:
        await client.write_event(event("select-program", name="parley"))
        assert (await describe(client)).asr[0].name == "parley"
        await client.write_event(event("select-program", name="piper"))
        return await error(client)

    with bridge(tmp_path, rig.stack.url, user.key) as running:
        assert running.talk(conversation)["code"] == "unknown_program"


# ---- the start


@pytest.mark.parametrize("uri", ["udp://127.0.0.1:10300", "tcp://127.0.0.1", "tcp://:10300", "tcp://a:port", "10300"])
def test_an_address_that_is_none_is_wrong_usage(uri: str, tmp_path: Path) -> None:
    """Exit code 2, before anything is asked."""
    with pytest.raises(AssertionError) as failure, bridge(tmp_path, nobody(), "pk_any", "--uri", uri):
        pass
    assert "is not an address to listen on" in str(failure.value)


def test_whoever_listens_to_all_is_warned(tmp_path: Path) -> None:
    """The protocol has no password: beyond loopback a line says so, on loopback none does."""
    with bridge(tmp_path, nobody(), "pk_any") as running:
        assert running.stop() == 0
        assert "no password" not in running.log()  # to its end: the line would come behind the first one
    with bridge(tmp_path, nobody(), "pk_any", "--uri", "tcp://0.0.0.0:0") as running:
        deadline = time.monotonic() + PATIENCE_S
        while "no password" not in running.log():
            assert time.monotonic() < deadline, running.log()
            time.sleep(0.02)
