"""Finding tasks of an owner: filters and words, a page at a time, at the same price at every depth.

A page is found in two steps: ids, by indexes alone where they suffice, then the rows of those ids. Every index ends
with the id, which sorts by time of submission, so a page is a range of an index and a cursor is the last id of a page.

Words and tags are in inverted indexes, which know no order. What is common is found by looking at the newest rows, what
is rare by asking the inverted index for all of it and sorting that; see `_by_word_or_tag`.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Boolean, ColumnElement, Select, Text, cast, func, literal_column, select
from sqlalchemy.dialects.postgresql import ARRAY, TSQUERY
from sqlalchemy.orm import Session, defer

from shared.errors import InvalidRequest
from shared.kernel.erasure import UPLOAD_TIME
from shared.models import Job
from shared.models.jobs import TAGGED
from shared.states import JobState

NEWEST = 2000
"""Rows that are looked at one by one before the inverted index is asked. They fill a page of 100 with all that is in
more than 5 % of the rows, a page of 20 with all in more than 1 %. What is left to the index is rarer."""

SORT_BYTES = 64 * 1024**2
"""What the index may take to remember the pages of its hits exactly: about 50 bytes for each of a million."""

CLOCKS_APART = timedelta(minutes=5)
"""How much the clock of a gateway, which makes ids, may be ahead of the database's, which notes when."""


@dataclass(frozen=True, slots=True)
class Filters:
    """What is looked for; None and () mean anything.

    `since` is the first moment and `until` the first moment after, both of `created_at`. A task must have all of
    `tags`. `words` is in the language of search engines: words, "phrases", or, -not.
    """

    state: JobState | None = None
    language: str | None = None
    model: str | None = None
    tags: tuple[str, ...] = ()
    reference: str | None = None
    batch_id: uuid.UUID | None = None
    since: datetime | None = None
    until: datetime | None = None
    words: str | None = None


ANYTHING = Filters()


def page(
    session: Session, owner_id: uuid.UUID, *, limit: int, before: uuid.UUID | None = None, filters: Filters = ANYTHING
) -> tuple[Sequence[Job], uuid.UUID | None]:
    """This owner's tasks, newest first, and the id to pass as `before` for the next page (None at the end).

    They come without `full_text`: a page of long recordings would be megabytes of it. Raises InvalidRequest when
    `words` holds no word.
    """
    job_ids = ids(session, owner_id, limit=limit + 1, before=before, filters=filters)
    return rows(session, job_ids[:limit]), job_ids[limit - 1] if len(job_ids) > limit else None


def rows(session: Session, job_ids: Sequence[uuid.UUID], *, texts: bool = False) -> Sequence[Job]:
    """The tasks of these ids, newest first; of those that were deleted meanwhile none."""
    query = select(Job).where(Job.id.in_(job_ids)).order_by(Job.id.desc())
    return session.scalars(query if texts else query.options(defer(Job.full_text, raiseload=True))).all()


def ids(
    session: Session, owner_id: uuid.UUID, *, limit: int, before: uuid.UUID | None = None, filters: Filters = ANYTHING
) -> Sequence[uuid.UUID]:
    """Ids of at most `limit` tasks, newest first, from the one after `before` on. Raises InvalidRequest."""
    if filters.words is not None and not session.scalar(select(func.numnode(tsquery(filters.words)))):
        raise InvalidRequest("q holds no word to look for.", parameter="q")
    range_ = [Job.owner_id == owner_id, *_range_of_ids(filters)]
    if before:
        range_.append(Job.id < before)
    if filters.words is None and not filters.tags:
        return session.scalars(_newest(select(Job.id).where(*range_, *_plain(filters)), limit)).all()
    return _by_word_or_tag(session, owner_id, filters, range_, limit)


# ---- the conditions

SIMPLE: ColumnElement[Any] = literal_column("'simple'::regconfig")
"""The configuration of the column `search`: it bends no word."""


def tsquery(words: str) -> ColumnElement[Any]:
    """What is looked for, as PostgreSQL's tsquery."""
    return func.websearch_to_tsquery(SIMPLE, words)


def _plain(filters: Filters) -> Iterator[ColumnElement[bool]]:
    equal = {
        Job.state: filters.state,
        Job.language: filters.language,
        Job.model: filters.model,
        Job.reference: filters.reference,
        Job.batch_id: filters.batch_id,
    }
    for column, value in equal.items():
        if value is not None:
            yield column == value
    if filters.since:
        yield Job.created_at >= filters.since
    if filters.until:
        yield Job.created_at < filters.until


def _range_of_ids(filters: Filters) -> Iterator[ColumnElement[bool]]:
    """Bounds of the ids that tasks created in this time can have: an id is made before its upload begins."""
    if filters.since:
        yield Job.id >= _least_id(filters.since, -(UPLOAD_TIME + CLOCKS_APART))
    if filters.until:
        yield Job.id < _least_id(filters.until, CLOCKS_APART)


def _least_id(moment: datetime, later: timedelta) -> uuid.UUID:
    """The smallest UUIDv7 of a moment: 48 bits of milliseconds, and zeros."""
    milliseconds = round((moment.timestamp() + later.total_seconds()) * 1000)
    return uuid.UUID(int=min(max(milliseconds, 0), 2**48 - 1) << 80)


def _newest(query: Select[Any], limit: int) -> Select[Any]:
    return query.order_by(Job.id.desc()).limit(limit)


def _inverted(owner_id: uuid.UUID, filters: Filters) -> Iterator[ColumnElement[bool]]:
    """What the two inverted indexes answer. The owner is in both, but anybody may say or write another's id."""
    if filters.words is not None:
        yield Job.search.op("@@")(cast(f"'{owner_id}'", TSQUERY).op("&&")(tsquery(filters.words)))
    if filters.tags:
        yield literal_column("tags <> '{}'", Boolean)  # the index holds no others, and is not used unless that is said
        yield literal_column(TAGGED).op("@>")(cast([*filters.tags, str(owner_id)], ARRAY(Text)))


def _by_word_or_tag(
    session: Session, owner_id: uuid.UUID, filters: Filters, range_: Sequence[ColumnElement[bool]], limit: int
) -> Sequence[uuid.UUID]:
    """The newest rows one by one, then the inverted index for what is older.

    Left alone, the planner chooses one of the two ways by how common a word is, and it cannot know where. It would read
    a whole history to find a word that half of all transcripts have: those of another owner, or those of long ago.
    """
    session.execute(_ONE_BY_ONE)
    conditions = [*_plain(filters), *_inverted(owner_id, filters)]
    oldest = session.scalar(_newest(select(Job.id).where(*range_), 1).offset(NEWEST - 1))
    near = [*range_, Job.id >= oldest] if oldest else range_
    job_ids = session.scalars(_newest(select(Job.id).where(*near, *conditions), limit)).all()
    if oldest is None or len(job_ids) == limit:
        return job_ids
    session.execute(_BY_INVERTED_INDEX)
    # without the owner's range, which would offer the planner an index that is in order
    hits = select(Job.id, Job.owner_id).where(*conditions).cte("hits").prefix_with("MATERIALIZED", dialect="postgresql")
    bounds = [hits.c.owner_id == owner_id, hits.c.id < oldest]
    far = select(hits.c.id).where(*bounds).order_by(hits.c.id.desc()).limit(limit - len(job_ids))
    return [*job_ids, *session.scalars(far)]


_ONE_BY_ONE = select(
    func.set_config("plan_cache_mode", "force_custom_plan", True),  # by what is asked, not by what is asked on average
    func.set_config("enable_bitmapscan", "off", True),
)
_BY_INVERTED_INDEX = select(
    func.set_config("enable_bitmapscan", "on", True),
    func.set_config("enable_seqscan", "off", True),
    func.set_config("work_mem", f"{SORT_BYTES // 1024}kB", True),
)
"""How the statements that follow in the transaction are planned."""
