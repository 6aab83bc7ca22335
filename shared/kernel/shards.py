"""The parts of a long recording as the kernel sees them: one row of `transcribe` each, all of them before `merge`.

convert plans them (tasks/asr/shard_plan.py), its answer's meta holds the plan, and the transaction that publishes that
answer makes the rows. A shard's answer is reused like any other, by a hash of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from shared.models import Job, Stage
from shared.states import StageState
from shared.transcript import Shard

SHARDED = "transcribe"
"""The stage that has a row per shard. Whatever needs it waits for all of them."""


def planned(meta: Mapping[str, Any]) -> tuple[Shard, ...]:
    """The shards that convert left in its answer's meta; none for a recording that is recognised in one piece."""
    return tuple(Shard(**shard) for shard in meta.get("shards", ()))


def shard_hash(whole: str, shard: Shard) -> str:
    """SHA-256, in hex, of all that decides the answer for a shard; `whole` is the hash for the recording."""
    return hashlib.sha256(f"{whole} {astuple(shard)}".encode()).hexdigest()


def heard_seconds(shard: Shard) -> float:
    """Audio that is to be recognised, by which the forecast knows how long a shard takes."""
    return shard.heard_to - shard.heard_from


def fan_out(session: Session, job: Job, shards: Sequence[Shard]) -> None:
    """Make the one waiting row of a recording that is to be recognised in shards a row for each of them.

    Call with the job's row locked and before `advance`. Nothing is done without shards, or if the row waits no more.
    """
    row = session.scalars(
        select(Stage)
        .where(Stage.job_id == job.id, Stage.name == SHARDED, Stage.shard == 0)
        .execution_options(populate_existing=True)
    ).one()
    if not shards or row.state != StageState.WAITING:
        return
    whole = row.hash
    common = {"job_id": job.id, "name": SHARDED, "owner_id": row.owner_id, "priority": row.priority, "queue": row.queue}
    rows = [
        {"shard": number, "state": StageState.WAITING, **answer(whole, shard), **common}
        for number, shard in enumerate(shards)
    ]
    session.execute(
        update(Stage)
        .where(Stage.job_id == job.id, Stage.name == SHARDED, Stage.shard == 0)
        .values(**answer(whole, shards[0]))
        .execution_options(synchronize_session=False)
    )
    session.execute(insert(Stage), rows[1:])


def answer(whole: str, shard: Shard) -> dict[str, Any]:
    """The columns of a shard's row that say what it is to answer."""
    return {"hash": shard_hash(whole, shard), "audio_seconds": heard_seconds(shard)}


def note_language(job: Job, meta: Mapping[str, Any]) -> None:
    """The language that all shards of a recording are recognised in: the first that is decided on stays.

    `meta` is what a shard left, or what a worker is about to take for all of them.
    """
    if job.language is None and meta.get("language"):
        job.language, job.language_probability = meta["language"], meta["language_probability"]
