"""A live session from its first frame to its task's transcript, and what may happen to it between."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import uuid
from functools import partial
from pathlib import Path

from sqlalchemy import func, select

from scripts.bench.scoring import word_error_rate
from scripts.weights.fixtures import fixture
from shared.models import LiveChunk, LiveEvent
from tests.faults.rig import eventually
from tests.service.live.client import READINGS, frames, pcm
from tests.service.live.conftest import DONE_S, RESUME_S, Rig

ROOT = Path(__file__).parents[3]
WRONG = 0.35
"""Of the words: tiny.en on short utterances, not a measure of it."""


def reference() -> str:
    return " ".join(fixture(name.replace(".wav", ".txt")).read_text().strip() for name in READINGS)


def test_a_session_is_told_what_is_said_and_ends_as_a_task(rig: Rig, sound: bytes) -> None:
    """Partials come while somebody speaks, finals behind; the recording has every byte, and is transcribed."""
    with rig.client(reference="a reading") as client:
        hello = client.first("hello")
        task = hello["task_id"]
        assert (hello["seq"], hello["rate"], hello["encoding"]) == (0, 16_000, "pcm16")
        assert rig.status(task) == "live"
        pieces = frames(sound)
        client.send(pieces)
        client.say({"type": "end"})
        ended = client.first("ended")
        assert client.end_code() == 1000
    assert (ended["reason"], ended["is_whole"], ended["seconds"]) == ("client", True, round(len(sound) / 32_000, 3))
    assert client.acked == len(pieces)
    assert client.all("partial")
    starts = [event["at"] for event in client.all("speech_started")]
    assert starts == sorted(starts) and len(starts) >= 2
    numbers = [event["utterance"] for event in client.all("final")]
    assert numbers == list(range(len(numbers)))
    assert word_error_rate(reference(), client.text) < WRONG
    assert word_error_rate(reference(), rig.transcript(task)) < WRONG
    assert rig.recording(task) == sound
    lines = {"Accept": "application/x-ndjson"}
    with rig.http.stream("GET", f"/tasks/{task}/events", headers=lines) as followed:
        kinds = [json.loads(line)["event"] for line in followed.iter_lines() if line.strip()]
    assert kinds.count("live") == len(numbers) and kinds.count("segment") >= 1
    chunks = select(func.count()).select_from(LiveChunk).where(LiveChunk.job_id == uuid.UUID(task))
    eventually(lambda: rig.truth.rows(chunks)[0][0] == 0, "chunks that are a recording are forgotten", DONE_S)


def test_the_program_of_the_document_prints_what_is_said(rig: Rig, tmp_path: Path) -> None:
    """docs/live.md's lines of Python, as they stand."""
    program = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/live.md").read_text(), re.M | re.S)[0]
    (tmp_path / "live.py").write_text(program)
    address = rig.stack.url.replace("http", "ws", 1) + "/ws/stream"
    printed = subprocess.run(
        (sys.executable, str(tmp_path / "live.py"), address, rig.stack.api_key),
        input=pcm("librivox-0870.wav"),
        stdout=subprocess.PIPE,
        timeout=300,
        check=True,
    ).stdout.decode()
    assert word_error_rate(fixture("librivox-0870.txt").read_text(), printed) < WRONG


def test_new_words_add_up_to_the_committed_ones(rig: Rig) -> None:
    """Of each utterance, `new` of its partials joined is `committed` of the last."""
    with rig.client() as client:
        pieces = frames(pcm("librivox-0870.wav"))
        client.send(pieces[:8])
        client.first("partial")  # of a worker that is late there might be none
        client.send(pieces[8:])
        client.say({"type": "end"})
        client.first("ended")
    partials = [event for event in client.all("partial") if event["utterance"] == 0]
    assert partials[-1]["committed"]
    assert "".join(event["new"] for event in partials) == partials[-1]["committed"]


def test_another_rate_is_heard_as_well(rig: Rig) -> None:
    """8 kHz, as telephones have it, in frames that cut samples in half."""
    wide = pcm("librivox-0880.wav")
    narrow = b"".join(wide[place : place + 2] for place in range(0, len(wide), 4))
    with rig.client(rate=8000) as client:
        client.send([narrow[place : place + 1601] for place in range(0, len(narrow) - 1, 1601)], seconds=0.1)
        client.say({"type": "end"})
        client.first("ended")
    assert "ill" in client.text.lower() or "young" in client.text.lower(), client.text
    task = client.first("hello")["task_id"]
    rig.transcript(task)
    assert rig.recording(task) == narrow


def is_heard(rig: Rig, task: str, utterances: int) -> bool:
    return rig.session(task).utterance >= utterances


def test_a_cut_session_goes_on_behind_what_was_acknowledged(rig: Rig, sound: bytes) -> None:
    """The line is cut twice; the client sends from its last acknowledged frame on and misses no byte and no event."""
    pieces, events, acked, after = frames(sound), [], 0, 0
    task = None
    for end in (len(pieces) // 3, len(pieces) * 2 // 3, len(pieces)):
        query: dict[str, object] = {"session": task, "seq": acked, "after": after} if task else {}
        with rig.client(**query) as client:
            task = client.first("hello")["session"]
            client.send(pieces[acked:end], speed=8)
            if end == len(pieces):
                # behind the end nobody waits for long
                eventually(partial(is_heard, rig, str(task), 2), "most of it is heard", DONE_S)
                client.say({"type": "end"})
                client.first("ended")
            else:
                client.until(lambda: client.acked, "something is acknowledged")
                client.drop()
            acked = max(acked, client.acked)
            batch = [message for message in client.messages if "id" in message]
            events += batch
            after = max([after, *(message["id"] for message in batch)])
    finals = [event for event in events if event["type"] == "final"]
    assert [event["utterance"] for event in finals] == list(range(len(finals)))
    assert word_error_rate(reference(), " ".join(event["text"] for event in finals)) < WRONG
    rig.transcript(str(task))
    assert rig.recording(str(task)) == sound


def test_frames_that_are_there_already_are_passed_over(rig: Rig) -> None:
    """A client that has lost its acknowledgements sends all again, and the recording has everything once."""
    pieces = frames(pcm("librivox-0880.wav"))
    with rig.client() as client:
        task = client.first("hello")["session"]
        client.send(pieces[:8], speed=20)
        client.until(lambda: client.acked == 8, "all is acknowledged")
    with rig.client(session=task, seq=0) as client:
        assert client.first("hello")["seq"] == 8
        client.send(pieces, speed=20)
        client.say({"type": "end"})
        client.first("ended")
    rig.transcript(task)
    assert rig.recording(task) == b"".join(pieces)


def test_a_session_whose_client_stays_away_is_transcribed(rig: Rig) -> None:
    """After LIVE_RESUME_S it ends by itself; a client that comes later is told the rest."""
    speech = pcm("librivox-0880.wav")
    client = rig.client()
    task = client.first("hello")["session"]
    client.send(frames(speech), speed=10)
    client.until(lambda: client.acked == len(frames(speech)), "all is acknowledged")
    client.drop()
    eventually(lambda: rig.status(task) != "live", "the session has ended", RESUME_S + DONE_S)
    with rig.client(session=task) as late:
        assert late.first("ended")["reason"] == "abandoned"
        assert late.all("final")
    assert rig.transcript(task)
    assert rig.recording(task) == speech


def test_a_cancelled_session_ends_at_once(rig: Rig) -> None:
    """The socket is closed with the reason, and nobody listens any more."""
    with rig.client() as client:
        task = client.first("hello")["session"]
        client.send(frames(pcm("librivox-0880.wav"))[:4])
        assert rig.http.post(f"/tasks/{task}/cancel").status_code in (200, 202)
        assert client.first("error")["code"] == "cancelled"
        assert client.end_code() == 4409
    eventually(lambda: rig.status(task) == "cancelled", "it is cancelled", DONE_S)
    eventually(lambda: rig.session(task).heard_at is not None, "nobody listens", DONE_S)


def test_a_deleted_session_leaves_nothing(rig: Rig) -> None:
    """Chunks and events go with the task, while it is live."""
    with rig.client() as client:
        task = client.first("hello")["session"]
        client.send(frames(pcm("librivox-0880.wav"))[:8])
        assert rig.http.delete(f"/tasks/{task}").status_code in (200, 202)
        assert client.first("error")["code"] == "not_found"
        assert client.end_code() == 4404
    for table in (LiveChunk, LiveEvent):
        rows = select(func.count()).select_from(table).where(table.job_id == uuid.UUID(task))
        assert rig.truth.rows(rows)[0][0] == 0


def test_a_key_has_so_many_sessions_at_once(rig: Rig) -> None:
    """MAX_LIVE_SESSIONS are two; the third is refused, and taken when one has ended."""
    with rig.client() as first, rig.client() as second:
        for client in (first, second):
            client.first("hello")
        refused = rig.refusal()
        assert refused[:2] == (429, "too_many_sessions")
        for client in (first, second):
            client.say({"type": "end"})
            client.first("ended")
    with rig.client() as third:
        third.first("hello")
        third.say({"type": "end"})
        third.first("ended")
