"""Recordings of one key on a real gateway, whose speech the tests recognise themselves: what is said, and when."""

from __future__ import annotations

import os
import uuid
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from shared import claims
from shared.claims import Answer
from shared.db import session
from shared.kernel import events, leases
from shared.storage import Storage
from shared.transcript import Segment, Speaker, SpeakerTurn, Transcript, to_json
from tests.service.gateway import Caller, eventually, hand_in, work_on

SEGMENT_S = 2.0


def segment(number: int, text: str, speaker: str | None = None) -> Segment:
    """Number `number` of a recording in which each sentence takes two seconds."""
    return Segment(number, SEGMENT_S * number, SEGMENT_S * number + 1.5, f" {text}", 0.9, speaker)


def transcript(texts: Sequence[str], speakers: Sequence[str] = ("spk_1", "spk_2")) -> Transcript:
    """Sentences that the speakers say in turn."""
    segments = tuple(segment(number, text, speakers[number % len(speakers)]) for number, text in enumerate(texts))
    turns = tuple(SpeakerTurn(one.start, one.end, one.speaker or "") for one in segments)
    voices = tuple(Speaker(name, 1.5 * len(segments) / len(speakers)) for name in sorted(set(speakers)))
    return Transcript("en", 0.98, SEGMENT_S * len(segments), "base", segments, voices, turns)


def noise(path: Path, channels: int = 1) -> Path:
    """Half a second of noise in a file, which nobody sent before."""
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(channels)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(os.urandom(8000 * channels))
    return path


def hand_in_transcript(claim: claims.Claim, storage: Storage, whole: Transcript) -> None:
    """Complete the stage whose object is the transcript."""
    key = f"{claim.owner_id}/{claim.job_id}/{claim.stage}/0.{claim.fence}.json"
    size = storage.put(key, to_json(whole))
    summary = {
        "language": whole.language,
        "language_probability": whole.language_probability,
        "model": whole.model,
        "duration": whole.duration,
        "speakers": len(whole.speakers),
        "full_text": whole.text,
    }
    with session() as work:
        leases.complete(work, claim, Answer(key, size, summary))


@dataclass(frozen=True)
class Recordings:
    """A caller's recordings, and the workers' part in them, for which `storage` is needed."""

    caller: Caller
    storage: Storage | None = None

    def finished(self, name: str, *texts: str, speakers: Sequence[str] = ("spk_1", "spk_2")) -> uuid.UUID:
        """A recording whose transcript is there."""
        answer = self.caller.http.post(
            "/transcribe", files={"file": (name, os.urandom(64))}, data={"diarization": "true"}
        )
        assert answer.status_code == 202, answer.text
        task_id = uuid.UUID(answer.json()["task_id"])
        self.end(self.begin(task_id), *texts, speakers=speakers)
        return task_id

    def begin(self, task_id: uuid.UUID) -> claims.Claim:
        """The claim of a fresh task whose speech recognition has begun."""
        assert self.storage is not None
        hand_in(work_on(task_id, "convert"), self.storage)
        return work_on(task_id, "transcribe")

    def hear(self, claim: claims.Claim, *texts: str) -> None:
        """Tell followers that these sentences were recognised."""
        with session() as work:
            events.publish(work, claim, [segment(number, text) for number, text in enumerate(texts)])

    def end(self, claim: claims.Claim, *texts: str, speakers: Sequence[str] = ("spk_1", "spk_2")) -> None:
        """Finish the task of a claim of `begin`."""
        assert self.storage is not None
        hand_in(claim, self.storage)
        hand_in(work_on(claim.job_id, "diarize"), self.storage)
        hand_in(work_on(claim.job_id, "merge"), self.storage)
        hand_in_transcript(work_on(claim.job_id, "store"), self.storage, transcript(texts, speakers))

    def end_plain(self, claim: claims.Claim, *texts: str) -> None:
        """Finish the task of a claim of `begin` whose speakers were not asked for."""
        assert self.storage is not None
        for stage in ("transcribe", "merge"):
            hand_in(claim if stage == "transcribe" else work_on(claim.job_id, stage), self.storage)
        hand_in_transcript(work_on(claim.job_id, "store"), self.storage, transcript(texts))

    def newer_than(self, task_id: uuid.UUID | None) -> uuid.UUID:
        """The task that was submitted after that one, once it is there."""
        newest: uuid.UUID = eventually(lambda: (last := self.caller.newest()) != task_id and last, "a new task")
        return newest

    def details(self, count: int) -> list[dict[str, Any]]:
        """What the API says of each task, the oldest first, once there are so many."""

        def newest() -> list[dict[str, Any]]:
            items: list[dict[str, Any]] = self.caller.http.get("/history").json()["items"]
            return items

        eventually(lambda: len(newest()) == count, f"{count} tasks")
        return [self.caller.http.get(f"/tasks/{one['task_id']}").json() for one in reversed(newest())]

    def result(self, task_id: uuid.UUID) -> dict[str, Any]:
        answer = self.caller.http.get(f"/result/{task_id}", params={"format": "json"})
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def texts(self, task_id: uuid.UUID) -> list[str]:
        """What each segment says by now."""
        return [one["text"] for one in self.result(task_id)["segments"]]

    def names(self, task_id: uuid.UUID) -> list[str]:
        """Who says each segment."""
        return [one["speaker"] for one in self.result(task_id)["segments"]]

    def becomes(self, task_id: uuid.UUID, *texts: str) -> None:
        """Waits until the segments say this."""
        eventually(lambda: self.texts(task_id) == list(texts), f"{texts} on the server")

    def correct(self, task_id: uuid.UUID, **fields: Any) -> httpx.Response:
        """A correction that somebody else makes."""
        answer = self.caller.http.patch(f"/tasks/{task_id}", json=fields)
        assert answer.status_code == 200, answer.text
        return answer
