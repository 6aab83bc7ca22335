"""The database and the bucket behind a stack, read past the gateway."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Select, create_engine, select
from sqlalchemy.orm import Session

from scripts.local.stack import Stack
from shared.config import Settings
from shared.models import Artifact, Erasure, Job, Stage, Worker
from shared.storage import storage_of


def settings_of(env: Mapping[str, str]) -> Settings:
    """The settings that a process with this environment has."""
    return Settings.model_validate({name: env[name.upper()] for name in Settings.model_fields if name.upper() in env})


def bare_environment() -> dict[str, str]:
    """This process's environment without any of Parley's settings, so that a stack gets only those it is given."""
    return {name: value for name, value in os.environ.items() if name.lower() not in Settings.model_fields}


class Truth:
    """Opened directly, with the addresses and credentials of the stack's own processes."""

    def __init__(self, stack: Stack) -> None:
        self.config = settings_of(stack.env)
        self.storage = storage_of(self.config)
        self._engine = create_engine(self.config.database_url.get_secret_value(), pool_pre_ping=True)

    def close(self) -> None:
        """Give up the connections to PostgreSQL."""
        self._engine.dispose()

    def rows(self, statement: Select[Any]) -> Sequence[Any]:
        """What a SELECT gives now."""
        with Session(self._engine, expire_on_commit=False) as opened:
            return opened.execute(statement).all()

    def jobs(self) -> dict[uuid.UUID, Job]:
        """All jobs by id."""
        return {row.Job.id: row.Job for row in self.rows(select(Job))}

    def stages(self, job_id: uuid.UUID | None = None) -> list[Stage]:
        """The stages of one job, or all."""
        query = select(Stage) if job_id is None else select(Stage).where(Stage.job_id == job_id)
        return [row.Stage for row in self.rows(query)]

    def stage(self, job_id: uuid.UUID, name: str) -> Stage:
        """One stage, its only shard."""
        return next(row for row in self.stages(job_id) if row.name == name)

    def artifacts(self) -> list[Artifact]:
        """All answers."""
        return [row.Artifact for row in self.rows(select(Artifact))]

    def erasures(self) -> list[Erasure]:
        """Deletions done and open, and uploads announced."""
        return [row.Erasure for row in self.rows(select(Erasure))]

    def objects(self, job_id: uuid.UUID) -> list[str]:
        """Keys of everything in the bucket that was stored for a job, whoever its owner is."""
        return [key for key in self.storage.list("") if f"/{job_id}/" in key]

    def queues(self) -> set[str]:
        """The queues whose worker has been heard of."""
        return {queue for row in self.rows(select(Worker.queues)) for queue in row.queues}
