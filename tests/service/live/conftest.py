"""A stack that listens: two gateways, two live workers, and one that transcribes what was recorded, with tiny.en."""

from __future__ import annotations

import io
import json
import uuid
import wave
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import create_engine, func, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from websockets.exceptions import InvalidStatus

from scripts.bench.soak.truth import Truth, bare_environment
from scripts.local.apps import API, LIVE, worker
from scripts.local.stack import Stack
from scripts.weights.fixtures import fixture
from shared.callers import keys
from shared.models import Artifact, LiveSession, LiveVoices
from tests.conftest import MODELS
from tests.faults.rig import eventually
from tests.service.live.client import READINGS, Client, pcm

RESUME_S = 10
SETTINGS = {
    "WHISPER_MODEL": "tiny.en",
    "CPU_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "LIVE_RESUME_S": str(RESUME_S),
    "MAX_LIVE_SESSIONS": "2",
    "LIVE_STALL_S": "8",
    "LIVE_LOAD": "0",  # a busy machine would carry one session, and tests have two
}
OTHER = replace(
    LIVE,
    name="worker-live-2",
    env={**LIVE.env, "METRICS_PORT": "{worker-live-2}", "PROMETHEUS_MULTIPROC_DIR": "{metrics}/worker-live-2"},
)
SECOND_API = replace(
    API,
    name="api-2",
    arguments=tuple("{api-2}" if argument == "{port}" else argument for argument in API.arguments),
    is_public=False,
)
DONE_S = 300
"""Much longer than it takes where nothing else is done."""


@dataclass(frozen=True)
class Rig:
    """The stack, its truth, its first key, and keys of others."""

    stack: Stack
    truth: Truth
    http: httpx.Client
    others: list[str] = field(default_factory=list)

    @property
    def urls(self) -> tuple[str, str]:
        """Of the gateways."""
        return self.stack.url, f"http://127.0.0.1:{self.stack.port_of(SECOND_API.name)}"

    def client(self, **query: object) -> Client:
        return Client(self.stack.url, self.stack.api_key, query)

    def other_key(self, name: str = "other") -> str:
        """A valid key of somebody else."""
        with Session(create_engine(self.truth.config.database_url.get_secret_value())) as work:
            _, key = keys.create(work, name)
            work.commit()
        self.others.append(key)
        return key

    def delete(self, task_id: str, key: str) -> int:
        """A task of whoever has the key. The status."""
        headers = {"Authorization": f"Bearer {key}"}
        return self.http.delete(f"/tasks/{task_id}", headers=headers).status_code

    def refusal(self, query: Mapping[str, object] | None = None, key: str | None = None) -> tuple[int, str, str]:
        """Status, code and message of a handshake that is refused."""
        with pytest.raises(InvalidStatus) as refused:
            Client(self.stack.url, key or self.stack.api_key, query)
        body = json.loads(refused.value.response.body)
        return refused.value.response.status_code, body["code"], body["message"]

    def session(self, task_id: str) -> LiveSession:
        query = select(LiveSession).where(LiveSession.job_id == uuid.UUID(task_id))
        row: LiveSession = self.truth.rows(query)[0].LiveSession
        return row

    def prolong(self, row: LiveSession) -> None:
        """Its lease, if it is still that one, lasts for so long that nobody waits for its end."""
        held = (LiveSession.job_id == row.job_id, LiveSession.fence == row.fence)
        with Session(create_engine(self.truth.config.database_url.get_secret_value())) as work:
            work.execute(update(LiveSession).where(*held).values(lease_until=func.now() + timedelta(hours=1)))
            work.commit()

    def voices(self, task_id: str) -> bytes | None:
        """What is kept of what they sound like."""
        rows = self.truth.rows(select(LiveVoices.voices).where(LiveVoices.job_id == uuid.UUID(task_id)))
        return rows[0].voices if rows else None

    def status(self, task_id: str) -> str:
        return str(self.http.get(f"/status/{task_id}").json()["status"])

    def transcript(self, task_id: str) -> str:
        """What the workers made of the recording, once they have."""
        eventually(lambda: self.status(task_id) in ("done", "error"), "the task has ended", DONE_S)
        answer = self.http.get(f"/result/{task_id}?format=text")
        assert answer.status_code == 200, answer.text
        return answer.text

    def stored(self, task_id: str) -> bytes:
        """The recording in storage."""
        stage = self.truth.stage(uuid.UUID(task_id), "download")
        key = self.truth.rows(select(Artifact.key).where(Artifact.id == stage.artifact_id))[0].key
        return bytes(self.truth.storage.get(key))

    def cancel_open(self) -> None:
        """Sessions that nobody has ended would hold places of their keys for LIVE_RESUME_S. A test that failed may have
        left the database or a gateway on its way up."""
        eventually(self._cancels_open, "open sessions are cancelled", DONE_S)

    def _cancels_open(self) -> bool:
        try:
            tasks = [
                row.job_id for row in self.truth.rows(select(LiveSession.job_id).where(LiveSession.ended_at.is_(None)))
            ]
            answers = [self.delete(task, key) for task in tasks for key in (self.stack.api_key, *self.others)]
        except (DBAPIError, httpx.TransportError):
            return False
        return max(answers, default=0) < 500  # whose it is not, is told that there is none

    def recording(self, task_id: str) -> bytes:
        """The samples of the recording in storage, where it is a WAV."""
        with wave.open(io.BytesIO(self.stored(task_id))) as wav:
            samples: bytes = wav.readframes(wav.getnframes())
            return samples


@pytest.fixture(scope="package")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    apps = (API, SECOND_API, LIVE, OTHER, worker("all", "io,cpu,asr", concurrency=1, threads=1))
    models = tmp_path_factory.mktemp("models")
    (models / "whisper").symlink_to(MODELS.resolve() / "whisper")
    (models / "speakers").mkdir()
    (models / "speakers" / "wespeaker.onnx").symlink_to(fixture("wespeaker.onnx").resolve())
    environ = {**bare_environment(), **SETTINGS, "MODEL_DIR": str(models)}
    with Stack(tmp_path_factory.mktemp("live"), apps=apps, environ=environ) as stack:
        truth = Truth(stack)
        eventually(lambda: {"asr", "live"} <= truth.queues(), "every queue has a worker", DONE_S)
        headers = {"Authorization": f"Bearer {stack.api_key}"}
        with httpx.Client(base_url=stack.url, headers=headers, timeout=60) as http:
            yield Rig(stack, truth, http)


@pytest.fixture(autouse=True)
def places(request: pytest.FixtureRequest) -> Iterator[None]:
    """All places are free for the next test, also where one has failed in the middle of its session."""
    yield
    if "rig" in request.fixturenames:
        request.getfixturevalue("rig").cancel_open()


@pytest.fixture(scope="package")
def sound() -> bytes:
    """A reading of about 17 s, in three utterances."""
    return pcm(*READINGS)
