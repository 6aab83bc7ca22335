"""Celery's side: tasks that do nothing, and tasks with the same durable effects as a stage of ours.

A durable task commits a claim, reads an object, writes one, and commits its end.
"""

from __future__ import annotations

import os
import uuid
from functools import cache

import psycopg
from celery import Celery, chain
from celery.canvas import Signature

from scripts.bench.plain_s3 import PlainS3
from shared.config import settings
from shared.db import conninfo

SCHEMA = """
CREATE SCHEMA IF NOT EXISTS bare;
CREATE TABLE IF NOT EXISTS bare.steps (job_id uuid, number int, state text NOT NULL, fence int NOT NULL DEFAULT 0,
    lease_until timestamptz, object text, PRIMARY KEY (job_id, number));
"""
_SUBMIT = "INSERT INTO bare.steps (job_id, number, state) SELECT %s, generate_series(1, %s), 'queued'"
_CLAIM = """
UPDATE bare.steps SET state = 'running', fence = fence + 1, lease_until = now() + interval '30 s'
WHERE job_id = %s AND number = %s AND state = 'queued' RETURNING fence
"""
_END = """
UPDATE bare.steps SET state = 'done', object = %s WHERE job_id = %s AND number = %s AND state = 'running' AND fence = %s
"""
QUEUE = "bare"
FIRST_OBJECT = "bare/first"
CONTENT = b"0" * 4096

app = Celery("bare", broker=os.environ.get("REDIS_URL"), backend=os.environ.get("REDIS_URL"))
app.conf.worker_prefetch_multiplier = 1
app.conf.task_default_queue = QUEUE


@app.task(name="bare.nothing")
def nothing() -> None:
    """A message, and no more."""


@app.task(name="bare.durable")
def durable(job_id: str, number: int) -> None:
    """One step."""
    connection, storage = _connection(), _storage()
    row = connection.execute(_CLAIM, (job_id, number)).fetchone()
    assert row is not None
    connection.commit()
    content = storage.get(f"bare/{job_id}/{number - 1}" if number > 1 else FIRST_OBJECT)
    key = f"bare/{job_id}/{number}"
    storage.put(key, content)
    cursor = connection.execute(_END, (key, job_id, number, row[0]))
    assert cursor.rowcount == 1
    connection.commit()


def prepare() -> None:
    """Its table, and the object that the first step reads."""
    with psycopg.connect(conninfo()) as connection:
        connection.execute(SCHEMA)
    _storage().put(FIRST_OBJECT, CONTENT)


def run(steps: int, *, is_durable: bool) -> None:
    """Submit a chain and wait for its end. A durable one has committed its rows before."""
    parts: list[Signature] = [nothing.si() for _ in range(steps)]
    if is_durable:
        job_id, connection = str(uuid.uuid4()), _connection()
        connection.execute(_SUBMIT, (job_id, steps))
        connection.commit()
        parts = [durable.si(job_id, number + 1) for number in range(steps)]
    chain(*parts).apply_async().get(timeout=30, interval=0.002)


@cache
def _connection() -> psycopg.Connection[tuple[int, ...]]:
    """One for each process, made at its first task."""
    return psycopg.connect(conninfo())


@cache
def _storage() -> PlainS3:
    return PlainS3(settings())
