"""A gateway, a live worker with tiny.en, and a Chromium whose microphone plays a file."""

from __future__ import annotations

import os
import wave
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Browser, sync_playwright
from sqlalchemy import func, select

from scripts.local.apps import API, LIVE
from scripts.local.stack import Stack
from shared.config import Settings
from shared.db import session
from shared.models import LiveSession, Worker
from shared.storage import storage_of
from tests.conftest import MODELS
from tests.page.conftest import FLAGS
from tests.page.recordings import Recordings
from tests.page.screen import PATIENCE_MS
from tests.service.gateway import Gateway, eventually

RATE = 16_000
FIRST_HERTZ, HERTZ_PER_S = 300, 15
SWEEP_S = 400
"""Longer than a gateway takes to start on a busy machine."""

SETTINGS = {
    "MODEL_DIR": str(MODELS),
    "WHISPER_MODEL": "tiny.en",
    "CPU_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "LIVE_LOAD": "0",  # a busy machine would carry one session
    "LIVE_STALL_S": "60",
    "LIVE_RESUME_S": "600",  # however long a gateway takes to start
}


@pytest.fixture(scope="session")
def gateway(
    chromium: str, servers: Stack, environment: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    home, environ = tmp_path_factory.mktemp("live"), {**os.environ, **servers.env, **SETTINGS}
    with Stack(home, apps=(API, LIVE), environ=environ, migrate=False) as stack:
        eventually(_is_listening, "a live worker")
        yield Gateway(stack, storage_of(environment))


def _is_listening() -> bool:
    with session() as work:
        recent = Worker.seen_at > func.now() - func.make_interval(0, 0, 0, 0, 0, 0, 10)
        return bool(work.scalar(select(func.count()).where(Worker.queues.contains(["live"]), recent)))


@pytest.fixture(autouse=True)
def places(recordings: Recordings) -> Iterator[None]:
    """The listener is free for the next test, also where one has failed in the middle of its session."""
    yield
    caller = recordings.caller
    unended = select(LiveSession.job_id).where(LiveSession.owner_id == caller.id, LiveSession.ended_at.is_(None))
    with session() as work:
        tasks = work.scalars(unended).all()
    for task in tasks:
        caller.http.delete(f"/tasks/{task}")


@pytest.fixture
def hear(tmp_path: Path) -> Callable[[NDArray[np.int16]], Path]:
    """Makes a file of what the microphone is to hear, 16-bit samples at 16 kHz."""

    def write(samples: NDArray[np.int16]) -> Path:
        path = tmp_path / "heard.wav"
        with wave.open(str(path), "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(RATE)
            sound.writeframes(samples.astype("<i2").tobytes())
        return path

    return write


@cache
def sweep() -> NDArray[np.int16]:
    """A tone that rises by 15 Hz a second, so that each moment of it can be known again."""
    at = np.arange(SWEEP_S * RATE) / RATE
    tone = np.sin(2 * np.pi * (FIRST_HERTZ * at + HERTZ_PER_S * at**2 / 2))
    return np.asarray(tone * 12_000, np.int16)


def moments(sound: NDArray[np.int16], step_s: float = 0.25) -> NDArray[np.float64]:
    """At which second of the sweep each piece of so many seconds was."""
    size = round(step_s * RATE)
    pieces = sound[: len(sound) // size * size].reshape(-1, size) * np.hanning(size)
    peaks = np.abs(np.fft.rfft(pieces, 8 * size)).argmax(axis=1) / (8 * step_s)
    return np.asarray((peaks - FIRST_HERTZ) / HERTZ_PER_S, np.float64)


@pytest.fixture
def microphone(hear: Callable[[NDArray[np.int16]], Path]) -> Path:
    """What it hears, unless a module has its own."""
    return hear(sweep())


@pytest.fixture
def answer() -> str:
    """What the browser's question for the microphone is answered with: "" is yes, "=deny" no."""
    return ""


@pytest.fixture
def browser(chromium: str, microphone: Path, answer: str) -> Iterator[Browser]:
    flags = [
        *FLAGS,
        *(["--no-sandbox"] if os.geteuid() == 0 else []),
        "--use-fake-device-for-media-stream",
        f"--use-fake-ui-for-media-stream{answer}",
        f"--use-file-for-fake-audio-capture={microphone}%noloop",
        "--autoplay-policy=no-user-gesture-required",
    ]
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=flags, timeout=PATIENCE_MS)
        yield running
        running.close()
