"""Search entries: written with every change of what a task shows, and made for older tasks by the sweep.

A trigger of the table jobs puts a task into the backlog when anybody else changes it: the release before, or an
operator with SQL. It knows this release by the setting `parley.indexes` of its connections (shared/db/connections.py).
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Any

from sqlalchemy import ARRAY, Text, bindparam, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from shared.db import session
from shared.models import Job, SearchBacklog, SearchEntry
from shared.telemetry.logs import get_logger
from shared.text.search_query import spaced
from shared.text.search_terms import all_keys, fold, tokens

KEY_BYTES = 1_000_000
"""Of all different words of a task: PostgreSQL takes 1 MiB. Eight hours of Chinese have 0.4 MB, of English 0.1."""

AT_ONCE = 50
"""Tasks of the backlog in one transaction, whose rows stay locked for so long."""

BYTES_AT_ONCE = 500_000
"""The same of their transcripts: a fraction of a second of work. A longer one comes alone."""

BACKLOG_S = 1.0
"""What one sweep gives the backlog, of its five seconds."""

log = get_logger(__name__)


def owner_key(owner_id: uuid.UUID) -> str:
    """What the entries of an owner have in common, so that one index finds the words of one owner; it is no word."""
    return f"@{owner_id.hex}"


def write(work: Session, jobs: Iterable[Job]) -> None:
    """Make the entries say what the jobs say. Call it in the transaction that changes one, whose row is locked."""
    rows = [values(job) for job in jobs]
    if not rows:
        return
    columns = {
        "job_id": bindparam("entry_id"),
        "owner_id": bindparam("entry_owner"),
        "keys": func.array_to_tsvector(bindparam("entry_keys", type_=ARRAY(Text))),
        "text": bindparam("entry_text"),
    }
    statement = insert(SearchEntry).values(columns)
    changes = {"keys": statement.excluded["keys"], "text": statement.excluded["text"]}
    statement = statement.on_conflict_do_update(index_elements=["job_id"], set_=changes)
    work.connection().execute(statement, rows)


def values(job: Job) -> Mapping[str, Any]:
    """The parameters of an entry: its keys and its text, as tsvector takes them.

    A line for each field, so that no phrase goes from one into the next."""
    fields = [job.full_text, job.filename, *job.tags, job.reference]
    lines = [line for field in fields if field and (line := list(tokens(fold(field))))]
    keys = all_keys(token for line in lines for token in line)
    return {
        "entry_id": job.id,
        "entry_owner": job.owner_id,
        "entry_keys": [owner_key(job.owner_id), *_fitting(job.id, keys)],
        "entry_text": "\n".join(spaced(line) for line in lines),
    }


def _fitting(job_id: uuid.UUID, keys: set[str]) -> Iterator[str]:
    """The keys that PostgreSQL takes, short ones first. No language has more; noise may, and then the log says so."""
    size = sum(len(key.encode()) for key in keys)
    if size <= KEY_BYTES:
        yield from keys
        return
    log.warning("search_entry_cut", job_id=str(job_id), bytes=size, kept=KEY_BYTES)
    room = KEY_BYTES
    for key in sorted(keys, key=lambda key: (len(key), key)):
        room -= len(key.encode())
        if room < 0:
            return
        yield key


# ---- the backlog


def is_backlog(work: Session) -> bool:
    """Whether there are tasks that have no entry yet."""
    # the oldest is made last, so that this does not read what has been deleted before it
    return work.scalar(select(SearchBacklog.job_id).order_by(SearchBacklog.job_id).limit(1)) is not None


def work_off(seconds: float = BACKLOG_S) -> int:
    """Make entries of the backlog, the newest task first, for about this long. Returns how many tasks left it."""
    deadline, count = time.monotonic() + seconds, 0
    while True:
        with session() as work:
            number = _work_off_some(work)
        count += number
        if not number or time.monotonic() >= deadline:
            return count


def _work_off_some(work: Session) -> int:
    newest = select(SearchBacklog.job_id).order_by(SearchBacklog.job_id.desc()).limit(AT_ONCE)
    waiting = work.scalars(newest.with_for_update(skip_locked=True)).all()
    if not waiting:
        return 0
    sizes = work.execute(select(Job.id, func.coalesce(func.octet_length(Job.full_text), 0)).where(Job.id.in_(waiting)))
    size_of: dict[uuid.UUID, int] = dict(sizes.all())
    totals = accumulate(size_of.get(job_id, 0) for job_id in waiting)
    fitting = [job_id for job_id, total in zip(waiting, totals, strict=True) if total <= BYTES_AT_ONCE]
    job_ids = fitting or waiting[:1]
    # with the row locked nobody changes what is read; whoever holds one makes the task wait for a later sweep
    query = select(Job).where(Job.id.in_(job_ids)).with_for_update(skip_locked=True, key_share=True)
    jobs = work.scalars(query).all()
    write(work, jobs)
    finished = {job.id for job in jobs} | (set(job_ids) - size_of.keys())
    work.execute(delete(SearchBacklog).where(SearchBacklog.job_id.in_(finished)))
    return len(finished)
