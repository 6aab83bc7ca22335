"""Sockets that no well-behaved client opens: strangers, nonsense, and two on one session."""

from __future__ import annotations

import socket
import uuid
from contextlib import suppress
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import ConnectionClosed

from tests.service.live.client import Client, frames, pcm
from tests.service.live.conftest import Rig

FOREIGN = "x" * 40


def test_a_stranger_is_refused_before_anything_else(rig: Rig) -> None:
    """A key that is none is answered by the handshake; no key at all by the close, even if audio comes first."""
    assert rig.refusal(key=FOREIGN)[:2] == (401, "unauthorized")
    for first in (b"\0" * 3200, '{"type": "end"}', "no json", f'{{"type": "start", "key": "{FOREIGN}"}}'):
        with Client(rig.stack.url, None) as client:
            client.socket.send(first)
            assert client.first("error")["code"] == "unauthorized"
            assert client.end_code() == 4401
            assert not client.all("hello")


def test_a_revoked_key_ends_its_sockets(rig: Rig) -> None:
    """Within seconds, with 4401."""
    key = rig.other_key("to be revoked")
    with Client(rig.stack.url, key) as client:
        client.first("hello")
        listed = rig.http.get("/admin/keys").json()["items"]
        revoked = next(each["id"] for each in listed if each["name"] == "to be revoked" and not each["revoked_at"])
        assert rig.http.delete(f"/admin/keys/{revoked}").status_code == 204
        assert client.first("error")["code"] == "unauthorized"
        assert client.end_code() == 4401


def test_a_browser_has_its_key_in_a_subprotocol_or_the_first_message(rig: Rig) -> None:
    """Both are greeted; of the subprotocols the one without the key is answered."""
    with Client(rig.stack.url, None, subprotocols=["parley.live", f"parley.key.{rig.stack.api_key}"]) as client:
        client.first("hello")
        assert client.socket.subprotocol == "parley.live"
        client.say({"type": "end"})
        client.first("ended")
    with Client(rig.stack.url, None) as client:
        client.say({"type": "start", "key": rig.stack.api_key})
        client.first("hello")
        client.say({"type": "end"})
        client.first("ended")


def test_a_session_is_its_owners(rig: Rig) -> None:
    """Another key is told that there is none, and takes nothing over."""
    with rig.client() as client:
        task = client.first("hello")["session"]
        assert rig.refusal({"session": task}, rig.other_key())[:2] == (404, "not_found")
        assert rig.refusal({"session": uuid.uuid4()})[:2] == (404, "not_found")
        assert rig.refusal({"session": "no-id"})[:2] == (404, "not_found")
        client.send(frames(pcm("librivox-0880.wav"))[:2])
        client.until(lambda: client.acked == 2, "it goes on")
        client.say({"type": "end"})
        client.first("ended")


@pytest.mark.parametrize("query", [{"rate": 1}, {"encoding": "flac"}, {"colour": "red"}, {"language": "klingon"}])
def test_what_is_asked_for_is_checked(rig: Rig, query: dict[str, object]) -> None:
    """As fields of any request are: before there is a session."""
    assert rig.refusal(query)[:2] == (422, "invalid_request")


@pytest.mark.parametrize("text", ["hello", "[]", '{"type": "ogg"}', "{" * 5000, "\0"])
def test_text_where_bytes_are_due_ends_the_socket_not_the_session(rig: Rig, text: str) -> None:
    """4422, and the session goes on where it stood."""
    piece = frames(pcm("librivox-0880.wav"))[0]
    with rig.client() as client:
        task = client.first("hello")["session"]
        client.socket.send(piece)
        client.until(lambda: client.acked == 1, "it is acknowledged")
        client.socket.send(text)
        assert client.first("error")["code"] == "invalid_request"
        assert client.end_code() == 4422
    with rig.client(session=task, seq=1) as client:
        client.first("hello")
        client.say({"type": "end"})
        client.first("ended")
    rig.transcript(task)
    assert rig.recording(task) == piece


@pytest.mark.parametrize("size", [1024**2 + 1, 32 * 1024**2])
def test_a_giant_message_is_not_read(rig: Rig, size: int) -> None:
    """More than 1 MiB closes the socket with 1009, also for a client that is still sending it."""
    with rig.client() as client:
        task = client.first("hello")["session"]
        with suppress(ConnectionClosed, OSError):  # it may be closed before all is sent
            client.socket.send(bytes(size))
        assert client.end_code() == 1009
    with rig.client(session=task) as client:
        assert client.first("hello")["seq"] == 0
        client.say({"type": "end"})
        client.first("ended")


def test_tiny_frames_are_stored_together(rig: Rig) -> None:
    """Twenty thousand frames of one byte are one recording, in few chunks."""
    speech = pcm("librivox-0880.wav")[:20_000]
    with rig.client() as client:
        task = client.first("hello")["session"]
        for place in range(len(speech)):
            client.socket.send(speech[place : place + 1])
        client.say({"type": "end"})
        client.first("ended")
        assert client.acked == len(speech)
        assert len(client.all("ack")) < len(speech) / 20
    rig.transcript(task)
    assert rig.recording(task) == speech


def test_nobody_goes_on_behind_audio_that_is_missing(rig: Rig) -> None:
    """A client that has more acknowledged than has arrived is told where the session stands."""
    with rig.client() as client:
        task = client.first("hello")["session"]
        client.send(frames(pcm("librivox-0880.wav"))[:3], speed=20)
        client.until(lambda: client.acked == 3, "all is acknowledged")
        assert rig.refusal({"session": task, "seq": 9})[:2] == (416, "missing_audio")


def test_the_newer_of_two_clients_has_the_session(rig: Rig) -> None:
    """The older socket is closed with 4409, and what it still sends is not stored."""
    pieces = frames(pcm("librivox-0880.wav"))
    with rig.client() as older:
        task = older.first("hello")["session"]
        older.send(pieces[:2], speed=20)
        older.until(lambda: older.acked == 2, "all is acknowledged")
        with rig.client(session=task, seq=2) as newer:
            newer.first("hello")
            assert older.first("error")["code"] == "session_taken"
            assert older.end_code() == 4409
            newer.send(pieces[2:], speed=20)
            newer.say({"type": "end"})
            newer.first("ended")
    rig.transcript(task)
    assert rig.recording(task) == b"".join(pieces)


def test_a_peer_that_asks_and_never_reads_is_cut_off(rig: Rig) -> None:
    """Without a key, with pings, and with a message in endless empty pieces: neither fills the gateway's memory."""
    address = urlsplit(rig.stack.url)
    for frame in (ping := b"\x89\xfd" + bytes(4) + b"x" * 125, b"\x00\x80" + bytes(4)):
        with socket.create_connection((address.hostname, address.port), timeout=20) as peer:
            peer.sendall(
                f"GET /ws/stream HTTP/1.1\r\nHost: {address.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
            )
            assert peer.recv(12) == b"HTTP/1.1 101"
            if frame is not ping:
                peer.sendall(b"\x02\x80" + bytes(4))
            with pytest.raises((ConnectionError, TimeoutError)) as ended:
                for _ in range(2000):
                    peer.sendall(frame * 500)
            assert not isinstance(ended.value, TimeoutError)
