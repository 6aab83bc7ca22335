"""The screen of a transcript."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest

from tests.page.recordings import Recordings
from tests.page.screen import Screen
from tests.page.transcript.paper import Paper
from tests.page.transcript.spoken import finished_recording, transcript


@pytest.fixture
def paper(screen: Screen) -> Paper:
    """A tab that is signed in."""
    screen.enter()
    return Paper(screen)


@pytest.fixture
def new_paper(new_screen: Callable[..., Screen]) -> Callable[..., Paper]:
    """Further tabs of people with the same key, signed in."""

    def make(**options: object) -> Paper:
        screen = new_screen(**options)
        screen.enter()
        return Paper(screen)

    return make


@pytest.fixture
def a(request: pytest.FixtureRequest, paper: Paper, recordings: Recordings) -> uuid.UUID:
    """A recording, a.wav, that is open; the module's `A` are its sentences."""
    task = finished_recording(recordings, "a.wav", transcript(request.module.A))
    paper.open(task)
    return task
