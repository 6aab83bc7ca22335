"""Processes and servers die in the middle of a session: nothing that was acknowledged is lost, no final said twice."""

from __future__ import annotations

import os
import signal
import threading
import time
from bisect import bisect
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import accumulate
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from websockets.exceptions import ConnectionClosed, InvalidStatus

from shared.live import sessions
from shared.models import LiveSession, Worker
from tests.faults.rig import PATIENCE_S, eventually
from tests.service.live.client import FRAME_S, Client, frames, pcm
from tests.service.live.conftest import Rig

SPEED = 3
TAKEN_OVER_S = 20
"""Ten on a machine that has time."""

VOICE_BYTES = 4 * 256

HANDED_OVER_S = 4
"""Two seconds, and what it takes to see it."""


class Steady:
    """A client as docs/live.md has it: it keeps what is not acknowledged, and comes back when its socket ends."""

    def __init__(self, rig: Rig, pieces: Sequence[bytes], **query: object) -> None:
        self._rig, self._pieces, self._query = rig, pieces, query
        self.task = ""
        self.events: list[dict[str, Any]] = []
        self.frames = self.sockets = 0
        self.away_s = list[float]()

    def run(self, disturb: Callable[[Steady], None]) -> None:
        """Until the session has ended. `disturb` is called with each frame."""
        acked, lost_at = 0, 0.0
        while True:
            after = max((event["id"] for event in self.events), default=0)
            query: dict[str, object] = (
                {"session": self.task, "seq": acked, "after": after} if self.task else self._query
            )
            self.sockets += 1
            try:
                client = Client(self._rig.urls[self.sockets % 2], self._rig.stack.api_key, query)
            except (OSError, InvalidStatus, ConnectionClosed, TimeoutError, EOFError):
                time.sleep(0.2)
                continue
            if lost_at:
                self.away_s.append(time.monotonic() - lost_at)
            with client, suppress(OSError, ConnectionClosed):
                self._speak(client, acked, disturb)
            lost_at = time.monotonic()
            self.events += [message for message in client.messages if "id" in message]
            acked = max(acked, client.acked)
            if client.all("ended"):
                assert client.first("ended")["reason"] == "client"
                return

    def _speak(self, client: Client, acked: int, disturb: Callable[[Steady], None]) -> None:
        client.until(lambda: client.all("hello") or client.closed_with, "hello")
        if not client.all("hello"):
            return
        self.task = client.first("hello")["session"]
        for piece in self._pieces[acked:]:
            client.socket.send(piece)
            self.frames += 1
            time.sleep(FRAME_S / SPEED)
            disturb(self)
        client.say({"type": "end"})
        client.until(lambda: client.all("ended") or client.closed_with, "ended")

    @property
    def finals(self) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == "final"]


def listener(rig: Rig, task: str) -> tuple[str, LiveSession]:
    """The name in the stack of the worker that holds a session, and the session's row as it was then."""
    holders: list[tuple[str, LiveSession]] = []

    def is_held() -> bool:
        row = rig.session(task)
        pids = {str(rig.stack.pid(name)): name for name in ("worker-live", "worker-live-2")}
        if name := pids.get((row.worker or "").rpartition(":")[2]):
            holders.append((name, row))
        return bool(holders)

    eventually(is_held, "a worker that is up holds the session", PATIENCE_S)
    return holders[0]


def end(rig: Rig, name: str, how: signal.Signals = signal.SIGKILL) -> None:
    pid = rig.stack.pid(name)
    assert pid, name
    os.kill(pid, how)


def all_listen(rig: Rig) -> bool:
    """Whether both live workers are up."""
    names = {row.name for row in rig.truth.rows(select(Worker.name))}
    pids = [rig.stack.pid(name) for name in ("worker-live", "worker-live-2")]
    return all(any(name.endswith(f":{pid}") for name in names) for pid in pids)


def is_up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/ready", timeout=30).status_code == 200
    except httpx.HTTPError:
        return False


def check(rig: Rig, steady: Steady, sound: bytes) -> None:
    """Every byte is in the recording; each utterance has one final, told once."""
    utterances = [event["utterance"] for event in steady.finals]
    assert utterances == list(range(len(utterances))) and utterances
    ends = [event["end"] for event in steady.finals]
    assert ends == sorted(ends)
    rig.transcript(steady.task)
    assert rig.recording(steady.task) == sound


def test_a_killed_listener_is_taken_over(rig: Rig, sound: bytes) -> None:
    """`kill -9` of the worker that listens, twice in a session: another goes on behind the last final."""
    steady, kills = Steady(rig, frames(sound)), [20, 40]

    def kill(client: Steady) -> None:
        if kills and client.frames >= kills[0] and rig.session(client.task).worker:
            eventually(lambda: all_listen(rig), "both listen", 120)
            kills.pop(0)
            name, before = listener(rig, client.task)
            end(rig, name)
            took = eventually(lambda: rig.session(client.task).fence > before.fence, "taken over", TAKEN_OVER_S)
            print(f"taken over after {took:.1f} s")

    steady.run(kill)
    assert not kills
    check(rig, steady, sound)


@pytest.mark.timeout(900)
def test_killed_listeners_count_for_nothing_behind_what_they_heard(rig: Rig, sound: bytes) -> None:
    """Six in the middle of the same utterance, more than may fail at one place. Each has heard what had arrived, so the
    sound is not what they died of, and all of it has text."""
    steady, fences = Steady(rig, frames(sound)), list[int]()

    def is_past(row: LiveSession) -> bool:
        return row.worker is not None and row.attempt == 1

    def kill(client: Steady) -> None:
        while client.frames >= 8 and len(fences) <= sessions.MAX_ATTEMPTS:
            eventually(lambda: all_listen(rig), "both listen", PATIENCE_S)
            eventually(lambda: is_past(rig.session(client.task)), "what has arrived is heard", PATIENCE_S)
            name, before = listener(rig, client.task)
            fences.append(before.fence)
            end(rig, name)
            eventually(lambda: rig.session(client.task).fence > fences[-1], "taken over", PATIENCE_S)
            assert rig.session(client.task).utterance == 0

    steady.run(kill)
    assert len(fences) == sessions.MAX_ATTEMPTS + 1
    check(rig, steady, sound)
    assert len(steady.finals) >= 3


def test_a_listener_that_is_to_end_hands_over(rig: Rig, sound: bytes) -> None:
    """SIGTERM in mid-session: another worker has the session before the lease has run out. It was given back and then
    claimed, each of which counts one fence further; a lease that has run out is claimed alone."""
    steady, ends, rows = Steady(rig, frames(sound)), [30], list[LiveSession]()

    def stop(client: Steady) -> None:
        if ends and client.frames >= ends[0] and rig.session(client.task).worker:
            eventually(lambda: all_listen(rig), "both listen", 120)
            ends.clear()
            name, before = listener(rig, client.task)
            end(rig, name, signal.SIGTERM)
            rig.prolong(before)

            def is_handed_over() -> bool:
                rows[:] = [before, rig.session(client.task)]
                return rows[1].worker not in (before.worker, None)

            took = eventually(is_handed_over, "handed over", TAKEN_OVER_S)
            print(f"handed over after {took:.1f} s")
            assert took < HANDED_OVER_S

    steady.run(stop)
    before, after = rows
    assert after.fence == before.fence + 2
    check(rig, steady, sound)


def test_speakers_outlive_their_listener(rig: Rig) -> None:
    """Two voices in turn, and `kill -9` of the worker that knows both: each final has the name of its voice, before and
    behind; a few words may have none. What they sound like is kept no longer than somebody listens."""
    turns = [pcm(f"{name}.wav") for name in ("librivox-0870", "jfk", "librivox-0890", "jfk")]
    ends = list(accumulate(len(turn) / 32_000 for turn in turns))
    steady, kills = Steady(rig, frames(b"".join(turns)), diarization="true"), [round((ends[1] + 2) / FRAME_S)]

    def kill(client: Steady) -> None:
        if kills and client.frames >= kills[0]:
            eventually(lambda: len(rig.voices(client.task) or b"") == 2 * VOICE_BYTES, "two voices", PATIENCE_S)
            eventually(lambda: all_listen(rig), "both listen", 120)
            kills.clear()
            end(rig, listener(rig, client.task)[0])

    steady.run(kill)
    assert not kills
    finals = [final for final in steady.finals if final["text"]]
    speaker_turns = {(bisect(ends, (final["start"] + final["end"]) / 2), final["speaker"]) for final in finals}
    assert {each for each in speaker_turns if each[1]} == {(0, "spk_1"), (1, "spk_2"), (2, "spk_1"), (3, "spk_2")}
    assert rig.voices(steady.task) is None
    assert rig.http.delete(
        f"/tasks/{steady.task}"
    ).is_success  # nobody here makes its result, which has its own speakers


def test_a_killed_gateway_costs_nothing(rig: Rig, sound: bytes) -> None:
    """`kill -9` of the gateway, twice in a session: the client goes on at the other one, which takes it at once."""
    steady, kills, killed = Steady(rig, frames(sound)), [15, 45], list[int]()

    def kill(client: Steady) -> None:
        if kills and client.frames >= kills[0] and client.sockets not in killed:
            eventually(lambda: all(map(is_up, rig.urls)), "both are up", 120)
            kills.pop(0)
            killed.append(client.sockets)
            end(rig, ("api", "api-2")[client.sockets % 2])

    steady.run(kill)
    assert not kills
    print(f"away for {', '.join(f'{seconds:.1f}' for seconds in steady.away_s)} s")
    assert steady.sockets == 1 + len(killed)
    assert max(steady.away_s) < TAKEN_OVER_S
    eventually(lambda: all(map(is_up, rig.urls)), "both are up", 120)  # whoever checks asks the first
    check(rig, steady, sound)


@pytest.mark.timeout(900)
def test_a_stopped_database_slows_the_client(rig: Rig, sound: bytes) -> None:
    """PostgreSQL is away for five seconds: what was sent meanwhile is acknowledged afterwards, and all is there."""
    steady, stops = Steady(rig, frames(sound)), [20]
    again = threading.Timer(5, rig.stack.start_process, ["postgres"])

    def stop(client: Steady) -> None:
        if stops and client.frames >= stops[0]:
            stops.clear()
            try:
                rig.stack.stop_process("postgres")
            finally:
                again.start()

    try:
        steady.run(stop)
    finally:
        if not stops:  # the tests behind this one have a database
            again.join()
    assert not stops
    check(rig, steady, sound)
