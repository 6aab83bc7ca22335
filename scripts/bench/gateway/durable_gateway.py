"""Bare FastAPI with the same durable effects as ours: a key is looked up, a recording announced and stored, a task and
its stages committed, a worker rung. Nothing else of what the gateway does is here.
"""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import redis.asyncio
from fastapi import FastAPI, HTTPException, Request, UploadFile
from psycopg_pool import AsyncConnectionPool

from scripts.bench.plain_s3 import PlainS3
from shared.config import settings
from shared.db import conninfo

STAGES = ("convert", "transcribe", "merge", "store")
SCHEMA = """
CREATE SCHEMA IF NOT EXISTS bare;
CREATE TABLE IF NOT EXISTS bare.keys (id uuid PRIMARY KEY, hash text UNIQUE NOT NULL);
CREATE TABLE IF NOT EXISTS bare.announcements (task_id uuid PRIMARY KEY, owner_id uuid NOT NULL);
CREATE TABLE IF NOT EXISTS bare.tasks (id uuid PRIMARY KEY, owner_id uuid NOT NULL REFERENCES bare.keys,
    state text NOT NULL, sha256 text NOT NULL, bytes bigint NOT NULL, progress real NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX IF NOT EXISTS bare_tasks_owner ON bare.tasks (owner_id, created_at);
CREATE TABLE IF NOT EXISTS bare.stages (task_id uuid REFERENCES bare.tasks, name text, state text NOT NULL,
    PRIMARY KEY (task_id, name));
"""
_KEY = "SELECT id FROM bare.keys WHERE hash = %s"
_ANNOUNCE = "INSERT INTO bare.announcements (task_id, owner_id) VALUES (%s, %s)"
_SUBMIT = """
WITH task AS (INSERT INTO bare.tasks (id, owner_id, state, sha256, bytes) VALUES (%(id)s, %(owner)s, 'queued',
                                                                                  %(sha256)s, %(bytes)s)),
     announced AS (DELETE FROM bare.announcements WHERE task_id = %(id)s)
INSERT INTO bare.stages (task_id, name, state) SELECT %(id)s, unnest(%(stages)s::text[]), 'queued'
"""
_POLL = """
SELECT key.id, task.state, task.progress, task.created_at
FROM bare.keys AS key LEFT JOIN bare.tasks AS task ON task.owner_id = key.id AND task.id = %s
WHERE key.hash = %s
"""


def create_app() -> FastAPI:
    """The app, for uvicorn."""
    config = settings()
    pool = AsyncConnectionPool(conninfo(), open=False, min_size=8, max_size=8)
    storage = PlainS3(config)
    broker = redis.asyncio.Redis.from_url(config.redis_url.get_secret_value())

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await pool.open(wait=True)
        assert config.api_key is not None
        async with pool.connection() as connection:
            await connection.execute(SCHEMA)
            insert = "INSERT INTO bare.keys VALUES (%s, %s) ON CONFLICT DO NOTHING"
            await connection.execute(insert, (uuid.uuid4(), _hash(config.api_key.get_secret_value())))
        yield
        await pool.close()
        await broker.aclose()

    async def submit(request: Request, file: UploadFile) -> dict[str, str]:
        content, task_id = await file.read(), uuid.uuid4()
        async with pool.connection() as connection:
            caller = await (await connection.execute(_KEY, (_sent_key(request),))).fetchone()
            if caller is None:
                raise HTTPException(401)
            owner_id = caller[0]
            await connection.execute(_ANNOUNCE, (task_id, owner_id))
        await asyncio.to_thread(storage.put, f"bare/{owner_id}/{task_id}/upload", content)
        row = {"id": task_id, "owner": owner_id, "bytes": len(content), "stages": list(STAGES)}
        row["sha256"] = hashlib.sha256(content).hexdigest()
        async with pool.connection() as connection:
            await connection.execute(_SUBMIT, row)
        await broker.lpush("bare", str(task_id))
        return {"task_id": str(task_id), "status": "queued"}

    async def status(request: Request, task_id: uuid.UUID) -> dict[str, object]:
        async with pool.connection() as connection:
            row = await (await connection.execute(_POLL, (task_id, _sent_key(request)))).fetchone()
        if row is None:
            raise HTTPException(401)
        if row[1] is None:
            raise HTTPException(404)
        return {"task_id": task_id, "status": row[1], "progress": row[2], "created_at": row[3]}

    async def live() -> dict[str, str]:
        return {"status": "ok"}

    app = FastAPI(lifespan=lifespan)
    app.add_api_route("/transcribe", submit, methods=["POST"], status_code=202)
    app.add_api_route("/status/{task_id}", status)
    app.add_api_route("/health/live", live)
    return app


def _sent_key(request: Request) -> str:
    return _hash(request.headers.get("authorization", "").removeprefix("Bearer "))


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
