"""What a job is made of, and the rows of its stages: plain data, without a database."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.kernel.audio import AUDIO
from shared.kernel.shards import SHARDED
from shared.models import Artifact
from shared.options import PRIORITIES, JobNotes, JobOptions, Priority
from shared.stages import STAGES
from shared.states import StageState


@dataclass(frozen=True, slots=True)
class Source:
    """The recording as the gateway stored it."""

    key: str
    sha256: str
    bytes: int
    filename: str | None


@dataclass(frozen=True, slots=True)
class RemoteSource:
    """A recording that the download stage is still to fetch. `hash` stands for its bytes, which nobody knows yet."""

    url: str
    hash: str


@dataclass(frozen=True, slots=True)
class LiveSource:
    """A recording that is still arriving: a live session. `hash` stands for its bytes, which nobody knows yet."""

    hash: str


NO_NOTES = JobNotes()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOrder:
    """All that a job is made of."""

    job_id: uuid.UUID
    owner_id: uuid.UUID
    source: Source | RemoteSource | LiveSource
    options: JobOptions
    priority: Priority = "normal"
    notes: JobNotes = NO_NOTES
    batch_id: uuid.UUID | None = None
    request_id: str | None = None
    retry_of: uuid.UUID | None = None


Artifacts = dict[tuple[str, str], Artifact]
"""By stage and hash: answers that the owner has already."""


def stage_rows(
    order: JobOrder, hashes: Mapping[str, str], parts: Sequence[dict[str, Any]], artifacts: Artifacts
) -> list[dict[str, Any]]:
    """The rows of a job's stages, in their order. `parts` are the shards of the recording, at least one."""
    rows: list[dict[str, Any]] = []
    for name, record in STAGES.items():
        stage_parts = parts if name == SHARDED else [{"hash": hashes.get(name, ""), "audio_seconds": None}]
        for number, part in enumerate(stage_parts):
            artifact = artifacts.get((name, part["hash"]))
            state = StageState.SKIPPED if name not in hashes else StageState.DONE if artifact else StageState.WAITING
            row = {
                "job_id": order.job_id,
                "name": name,
                "shard": number,
                "owner_id": order.owner_id,
                "priority": PRIORITIES[order.priority],
                "state": state,
                "queue": record.queue,
                "progress": 1.0 if artifact else 0.0,
                "artifact_id": artifact.id if artifact else None,
            }
            rows.append(row | part)
    return rows


def audio_readers(hashes: Mapping[str, str], parts: Sequence[Mapping[str, Any]]) -> set[tuple[str, str]]:
    """The stages, by name and hash, that read the converted audio."""
    whole = {(name, hashes[name]) for name in hashes if name != SHARDED and AUDIO in STAGES[name].needs}
    return whole | {(SHARDED, part["hash"]) for part in parts}
