"""The stack, its speakers, who is killed when, and what must be true afterwards."""

from __future__ import annotations

import io
import os
import random
import signal
import statistics
import threading
import time
import uuid
import wave
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
from faster_whisper.audio import decode_audio
from sqlalchemy import select

from scripts.bench.live_kills.speaker import FRAME_S, Session, speak
from scripts.bench.soak import chaos
from scripts.bench.soak.truth import Truth, bare_environment
from scripts.local.apps import API, LIVE, App, worker
from scripts.local.home import LOOPBACK
from scripts.local.stack import Stack
from scripts.weights import default_model_dir
from scripts.weights.fixtures import fixture
from shared.models import Artifact, LiveSession, Worker
from shared.transcript import SAMPLE_RATE

READINGS = ("librivox-0870.wav", "librivox-0880.wav", "librivox-0890.wav")
SILENT_BYTES = 2 * SAMPLE_RATE
PATIENCE_S = 300.0
AGAIN_S = 10.0
"""In which a session is heard again, and its client has a line again: docs/decisions/live.md."""

AT_ONE_PLACE = 3
"""Claims at the same place of a session, after which its worker is let live: behind the fifth nobody listens to it any
more (docs/decisions/live.md)."""

LIVE_WORKERS = (
    LIVE,
    replace(
        LIVE,
        name="worker-live-2",
        env={**LIVE.env, "METRICS_PORT": "{worker-live-2}", "PROMETHEUS_MULTIPROC_DIR": "{metrics}/worker-live-2"},
    ),
)
GATEWAYS = (
    API,
    replace(
        API,
        name="api-2",
        arguments=tuple("{api-2}" if argument == "{port}" else argument for argument in API.arguments),
        is_public=False,
    ),
)


@dataclass
class Outcome:
    """What was done, how long sessions were without a listener and clients without a line, and what is wrong."""

    kills: Counter[str] = field(default_factory=Counter)
    cuts: int = 0
    sessions: list[Session] = field(default_factory=list)
    unheard_s: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def away_s(self) -> list[float]:
        return [each for session in self.sessions for each in session.away_s]


def sound() -> bytes:
    """A reading of about 17 s, 16-bit PCM at 16 kHz, with a second of silence behind each sentence."""
    parts = [decode_audio(str(fixture(name)), sampling_rate=SAMPLE_RATE) for name in READINGS]
    return b"".join((part * 32767).astype("<i2").tobytes() + bytes(SILENT_BYTES) for part in parts)


def run(home: Path, *, kills: int, minutes: float, speakers: int, seed: int, report: Callable[[str], None]) -> Outcome:
    """Kill until there were so many, or so long, with so many sessions at any time. Raises TimeoutError."""
    environ = {
        **bare_environment(),
        "MODEL_DIR": str(default_model_dir().resolve()),
        "WHISPER_MODEL": "tiny.en",
        "CPU_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "MAX_LIVE_SESSIONS": "0",
        "LIVE_LOAD": "0",  # a busy machine would let in fewer than speak
        "LIVE_RESUME_S": "60",
    }
    # nobody transcribes: it is the recording that is looked at
    apps = (*GATEWAYS, *LIVE_WORKERS, worker("io", "io", concurrency=1, threads=1))
    outcome, began = Outcome(), time.monotonic()
    with Stack(home, apps=apps, environ=environ) as stack:
        soak = Soak(stack, outcome, random.Random(seed), report)  # noqa: S311 - to be repeated, not to be secret
        try:
            soak.speak_and_kill(kills, 60 * minutes, speakers)
            soak.check()
        finally:
            soak.truth.close()
    outcome.seconds = time.monotonic() - began
    return outcome


class Soak:
    """One run."""

    def __init__(self, stack: Stack, outcome: Outcome, chance: random.Random, report: Callable[[str], None]) -> None:
        self.stack, self.truth, self.outcome = stack, Truth(stack), outcome
        self._chance, self._report = chance, report
        self._urls = [stack.url, *(f"http://{LOOPBACK}:{stack.port_of(app.name)}" for app in GATEWAYS[1:])]
        self._sound = sound()
        size = round(FRAME_S * SAMPLE_RATE) * 2
        self._frames = [self._sound[place : place + size] for place in range(0, len(self._sound), size)]
        self._speakers: list[Session] = []
        self._enough = threading.Event()

    def speak_and_kill(self, kills: int, longest_s: float, speakers: int) -> None:
        """First a session that nobody disturbs, which the others are compared with."""
        self._until(lambda: all(self._pids(LIVE_WORKERS)) and self._all_listen(), "the live workers listen")
        self._speak_once()
        threads = [threading.Thread(target=self._speak_on, daemon=True) for _ in range(speakers)]
        for thread in threads:
            thread.start()
        until = time.monotonic() + longest_s
        try:
            while self.outcome.kills.total() < kills and time.monotonic() < until:
                self._kill_gateway() if self._chance.random() < 0.5 else self._kill_listener()
                time.sleep(self._chance.uniform(0.5, 4))
                self._cut()
                if self.outcome.kills.total() % 10 == 0:
                    self._report(f"{self.outcome.kills.total()} kills, {len(self.outcome.sessions)} sessions")
        finally:
            self._enough.set()
        for thread in threads:
            thread.join(PATIENCE_S)

    def check(self) -> None:
        """Finals and recordings."""
        first, *others = self.outcome.sessions
        faults = self.outcome.faults
        if not first.finals:
            faults.append("the session that nobody disturbed has no text")
        for session in others:
            if session.finals != first.finals:
                faults.append(f"{session.task} was told {session.finals}, not {first.finals}")
        for what, times in (("without a listener", self.outcome.unheard_s), ("without a line", self.outcome.away_s)):
            faults += [f"{seconds:.1f} s {what}" for seconds in times if seconds > AGAIN_S]
        for session in self.outcome.sessions:
            with suppress(TimeoutError):
                self._until(lambda task=session.task: self._recorded(task) is not None, "it is recorded")  # type: ignore[misc]
            if self._recorded(session.task) != self._sound:
                faults.append(f"the recording of {session.task} is not what was sent")

    # ---- speaking

    def _speak_on(self) -> None:
        while not self._enough.is_set():
            time.sleep(self._chance.random())
            self._speak_once()

    def _speak_once(self) -> None:
        session = Session()
        self._speakers.append(session)
        try:
            speak(self._urls, self.stack.api_key, self._frames, session, PATIENCE_S)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
            self.outcome.faults.append(f"{session.task or 'a session'}: {type(error).__name__}: {error}")
        self._speakers.remove(session)
        if session.ended:
            self.outcome.sessions.append(session)

    # ---- killing

    def _cut(self) -> None:
        """The line of somebody who has one."""
        lines = list(self._speakers)
        self._chance.shuffle(lines)
        self.outcome.cuts += any(session.cut() for session in lines)

    def _kill_listener(self) -> None:
        """The worker of some session, once there is another one to take it."""
        self._until(self._all_listen, "both live workers listen")
        names = dict(zip(map(str, self._pids(LIVE_WORKERS)), (app.name for app in LIVE_WORKERS), strict=True))
        held = {row.job_id: row for row in self._open() if row.worker}
        if not held:
            return
        row = held[self._chance.choice(sorted(held))]
        name = names.get(str(row.worker).rpartition(":")[2])
        lost = {each.job_id: each.fence for each in held.values() if each.worker == row.worker}
        if any(held[job].attempt > AT_ONE_PLACE for job in lost) or name is None or not self._kill(name):
            return
        began = time.monotonic()
        chaos.replace(self.stack, name)

        def is_taken() -> bool:
            now = {each.job_id: each for each in self._open()}
            return all(job not in now or now[job].fence > fence for job, fence in lost.items())

        self._until(is_taken, "its sessions are heard again")
        self.outcome.unheard_s.append(time.monotonic() - began)

    def _kill_gateway(self) -> None:
        self._until(lambda: all(map(_answers, self._urls)), "both gateways answer")
        name = self._chance.choice([app.name for app in GATEWAYS])
        if self._kill(name):
            chaos.replace(self.stack, name)

    def _kill(self, name: str) -> bool:
        pid = self.stack.pid(name)
        if pid is None:
            return False
        os.kill(pid, signal.SIGKILL)
        self.outcome.kills[name] += 1
        return True

    # ---- looking

    def _open(self) -> Sequence[LiveSession]:
        return [row.LiveSession for row in self.truth.rows(select(LiveSession).where(LiveSession.heard_at.is_(None)))]

    def _pids(self, apps: Sequence[App]) -> list[int | None]:
        return [self.stack.pid(app.name) for app in apps]

    def _all_listen(self) -> bool:
        names = {row.name for row in self.truth.rows(select(Worker.name))}
        return all(any(name.endswith(f":{pid}") for name in names) for pid in self._pids(LIVE_WORKERS))

    def _recorded(self, task: str) -> bytes | None:
        artifact = self.truth.stage(uuid.UUID(task), "download").artifact_id
        if artifact is None:
            return None
        key = self.truth.rows(select(Artifact.key).where(Artifact.id == artifact))[0].key
        with wave.open(io.BytesIO(self.truth.storage.get(key))) as wav:
            samples: bytes = wav.readframes(wav.getnframes())
        return samples

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        until = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > until:
                raise TimeoutError(f"not within {PATIENCE_S:g} s: {what}")
            time.sleep(0.1)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/live", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def figures(seconds: Sequence[float]) -> str:
    """Median and most."""
    return f"median {statistics.median(seconds):.1f} s, most {max(seconds):.1f} s" if seconds else "none"
