"""Recording with the microphone: text while somebody speaks, and no second lost."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Locator, Page, expect
from sqlalchemy import select

from scripts.local.processes import kill_session
from scripts.weights.fixtures import fixture
from shared.db import session
from shared.models import LiveChunk, LiveSession
from tests.page.live.conftest import RATE, moments, sweep
from tests.page.recordings import Recordings
from tests.page.screen import Screen
from tests.service.gateway import Gateway, eventually
from tests.service.live.client import READINGS, Client, pcm

MISSED_S = 0.5
"""How much a browser on a busy machine may drop by itself before the page has it."""

LATE_S = 0.2
"""By how much a piece may seem to lie before the one in front of it: such a browser gives some of them late, behind
silence of its own, and catches up. Frames in the wrong order are 0.25 s apart."""

FRAME = RATE // 4
"""Samples of what the page sends at once."""


@pytest.fixture
def microphone(request: pytest.FixtureRequest, hear: Callable[[NDArray[np.int16]], Path]) -> Path:
    is_spoken = "speaks" in request.function.__name__
    return hear(np.frombuffer(pcm(*READINGS), np.int16) if is_spoken else sweep())


def start(screen: Screen) -> None:
    screen.enter("#/live")
    screen.button("Start recording").click()
    expect(status(screen.page)).to_have_text("Recording")


def status(page: Page) -> Locator:
    return page.get_by_role("status").first


def elapsed(screen: Screen) -> int:
    """Seconds that the page says it has recorded."""
    minutes, seconds = screen.page.get_by_role("timer").inner_text().split(":")
    return 60 * int(minutes) + int(seconds)


def pause(screen: Screen) -> int:
    """Seconds that the page says it has recorded, once they stand still: what the microphone has heard up to the click
    comes a little behind it, and may be the end of a second."""
    screen.button("Pause").click()
    expect(status(screen.page)).to_contain_text("Paused. After a long pause")
    lengths = [elapsed(screen)]

    def stand_still() -> bool:
        screen.page.wait_for_timeout(1500)
        lengths.append(elapsed(screen))
        return lengths[-1] == lengths[-2]

    screen.eventually(stand_still, "the seconds stand still")
    return lengths[-1]


def finish(screen: Screen, recordings: Recordings) -> NDArray[np.int16]:
    """What is stored of a recording that is paused and stopped now: as much as the page says, which stands still."""
    length = pause(screen)
    screen.button("Stop").click()
    screen.until("location.hash.startsWith('#/transcript/')")
    _, sound = recorded(recordings)
    assert length <= len(sound) / RATE < length + 1.2
    return sound


def recorded(recordings: Recordings) -> tuple[uuid.UUID, NDArray[np.int16]]:
    """The key's one session, which has ended, and what is stored of it."""
    own = select(LiveSession).where(LiveSession.owner_id == recordings.caller.id)

    def ended() -> uuid.UUID | None:
        with session() as work:
            row = work.scalars(own).one()
            return row.job_id if row.end_reason == "client" else None

    task: uuid.UUID = eventually(ended, "the session has ended")
    with session() as work:
        chunks = work.scalars(select(LiveChunk.data).where(LiveChunk.job_id == task).order_by(LiveChunk.seq)).all()
    return task, np.frombuffer(b"".join(chunks), np.int16)


def words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]+", text.lower()))


def test_somebody_speaks_and_reads_along(screen: Screen, recordings: Recordings) -> None:
    """Text comes while the recording is in the list as live, on any screen; its end is a task like others."""
    screen.enter("#/live")
    screen.page.get_by_label("Your own name or number").fill("Meeting 7")
    screen.button("Start recording").click()
    log = screen.page.get_by_role("log")
    expect(screen.page.get_by_text("may still change")).to_be_visible()
    expect(log.locator("p")).not_to_have_count(0)
    spoken = words(" ".join(fixture(name.replace(".wav", ".txt")).read_text() for name in READINGS))
    expect(log).to_contain_text("Speaker 1:")
    vocabulary = words(log.inner_text())
    assert len(vocabulary & spoken) > len(vocabulary) / 2, vocabulary
    screen.page.get_by_role("link", name="Recordings", exact=True).click()
    expect(screen.rows()).to_contain_text("Live")
    expect(screen.rows()).to_contain_text("Meeting 7")
    assert screen.is_asked_when_left()
    screen.page.get_by_role("link", name="Record on").click()
    expect(log.locator("p")).not_to_have_count(0)
    screen.button("Stop").click()
    screen.until("location.hash.startsWith('#/transcript/')")
    task, sound = recorded(recordings)
    assert screen.page.url.endswith(str(task))
    assert recordings.caller.status(task) == "queued"
    assert recordings.caller.http.get(f"/tasks/{task}").json()["reference"] == "Meeting 7"
    assert len(sound) > RATE


def test_a_gateway_that_is_killed_costs_no_second(screen: Screen, gateway: Gateway, recordings: Recordings) -> None:
    """What is said meanwhile waits in the tab, which says so, and is sent when the server is back."""
    start(screen)
    screen.until("document.querySelector('[role=timer]').textContent >= '0:03'")
    pid = gateway.stack.pid("api")
    assert pid
    kill_session(pid)
    expect(screen.page.get_by_text("No connection. Recording goes on.")).to_be_visible()
    expect(screen.page.get_by_text("wait in this tab until the server is back")).to_be_visible()
    expect(status(screen.page)).to_have_text("Recording")
    expect(screen.page.get_by_text("wait in this tab")).to_be_hidden()
    sound = finish(screen, recordings)
    frames = sound[: len(sound) // FRAME * FRAME].reshape(-1, FRAME)
    frames = frames[frames.any(axis=1)]
    assert len(np.unique(frames, axis=0)) == len(frames), "a frame is there twice"
    at = moments(sound)[2:-1]
    steps = np.diff(at)
    assert len(at) > 4 * 3
    assert steps.min() > -LATE_S and steps.max() < 0.25 + MISSED_S, steps


def test_a_pause_is_not_recorded(screen: Screen, recordings: Recordings) -> None:
    """Nor does it end the session; what comes behind it is in the same recording."""
    start(screen)
    screen.until("document.querySelector('[role=timer]').textContent >= '0:02'")
    length = pause(screen)
    screen.page.wait_for_timeout(2000)
    assert elapsed(screen) == length
    screen.button("Resume").click()
    expect(status(screen.page)).to_have_text("Recording")
    screen.until(f"document.querySelector('[role=timer]').textContent >= '0:{length + 1:02}'")
    finish(screen, recordings)


def test_too_many_sessions_are_explained(screen: Screen, gateway: Gateway, recordings: Recordings) -> None:
    """In words that say what to do; nothing is recorded, and the microphone is let go."""
    url, key = gateway.url, recordings.caller.key
    with Client(url, key) as one, Client(url, key) as other:
        assert one.first("hello") and other.first("hello")
        screen.enter("#/live")
        screen.button("Start recording").click()
        expect(screen.page.get_by_role("alert")).to_contain_text("End one, or wait a minute")
        expect(screen.button("Start recording")).to_be_enabled()
        assert not screen.is_asked_when_left()
        for client in (one, other):
            client.say({"type": "end"})
            client.first("ended")


@pytest.mark.parametrize("answer", ["=deny"])
def test_a_refused_microphone_is_explained(screen: Screen, recordings: Recordings, answer: str) -> None:
    """With what to do; no session was begun."""
    screen.enter("#/live")
    screen.button("Start recording").click()
    expect(screen.page.get_by_role("alert")).to_contain_text("Allow it in the settings of this site")
    expect(screen.button("Start recording")).to_be_visible()
    assert recordings.caller.newest() is None


@pytest.mark.parametrize("answer", ["=deny"])
def test_what_files_are_sent_with_stays(screen: Screen, answer: str) -> None:
    """Several languages cannot be chosen for a recording; files are sent with them all the same."""
    screen.enter("#/send")
    key = screen.page.evaluate("fetch('session').then((answer) => answer.json()).then((body) => body.key_id)")
    options = '{"language": "several", "languages": "en, de"}'
    screen.page.evaluate("([key, kept]) => localStorage.setItem(`parley.options.${key}`, kept)", [key, options])
    screen.go("#/live")
    expect(screen.page.get_by_role("combobox", name="Language", exact=True)).to_have_value("auto")
    screen.button("Start recording").click()
    expect(screen.page.get_by_role("alert")).to_contain_text("Allow it in the settings of this site")
    screen.go("#/send")
    expect(screen.page.get_by_role("combobox", name="Language", exact=True)).to_have_value("several")
