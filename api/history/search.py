"""Finding tasks of an owner: filters and words, a page at a time, at the same price at every depth.

A page is found in two steps: ids, by indexes alone where they suffice, then the rows of those ids. Every index ends
with the id, which sorts by time of submission, so a page is a range of an index and a cursor is the last id of a page.

Words and tags are in inverted indexes, which know no order. What is common is found by looking at the newest rows, what
is rare by asking the inverted index for all of it and sorting that; see `_by_word_or_tag`.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Select,
    SQLColumnExpression,
    Text,
    and_,
    cast,
    func,
    literal_column,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY, TSQUERY
from sqlalchemy.orm import Session, defer

from shared.errors import InvalidRequest
from shared.kernel.erasure import UPLOAD_TIME
from shared.models import Job, SearchBacklog, SearchEntry
from shared.models.jobs import TAGGED
from shared.search.entries import is_backlog, owner_key
from shared.states import JobState
from shared.text.search_query import Clause, Query, parse

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
    `tags`. `words` is in the language of search engines (shared/text/search_query.py).
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
    if filters.words is not None and not parse(filters.words):
        raise InvalidRequest("q holds no word to look for.", parameter="q")
    least, end = _range_of_ids(filters)
    range_ = _Ids(owner_id, least, min(filter(None, (end, before)), default=None))
    if filters.words is None and not filters.tags:
        query = select(Job.id).where(*range_.of(Job.owner_id, Job.id), *_plain(filters))
        return session.scalars(_newest(query, limit)).all()
    return _by_word_or_tag(session, filters, range_, limit)


# ---- the conditions


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


@dataclass(frozen=True, slots=True)
class _Ids:
    """A range of an owner's ids, from `least` up to but without `end`."""

    owner_id: uuid.UUID
    least: uuid.UUID | None
    end: uuid.UUID | None

    def of(
        self, owner: SQLColumnExpression[uuid.UUID], job_id: SQLColumnExpression[uuid.UUID]
    ) -> Iterator[ColumnElement[bool]]:
        """The range as conditions on two columns, by which a table has an index."""
        yield owner == self.owner_id
        if self.least:
            yield job_id >= self.least
        if self.end:
            yield job_id < self.end


def _range_of_ids(filters: Filters) -> tuple[uuid.UUID | None, uuid.UUID | None]:
    """Bounds of the ids that tasks created in this time can have: an id is made before its upload begins."""
    least = _least_id(filters.since, -(UPLOAD_TIME + CLOCKS_APART)) if filters.since else None
    return least, _least_id(filters.until, CLOCKS_APART) if filters.until else None


def _least_id(moment: datetime, later: timedelta) -> uuid.UUID:
    """The smallest UUIDv7 of a moment: 48 bits of milliseconds, and zeros."""
    milliseconds = round((moment.timestamp() + later.total_seconds()) * 1000)
    return uuid.UUID(int=min(max(milliseconds, 0), 2**48 - 1) << 80)


def _newest(query: Select[Any], limit: int, job_id: SQLColumnExpression[uuid.UUID] | None = None) -> Select[Any]:
    return query.order_by((Job.id if job_id is None else job_id).desc()).limit(limit)


def _tagged(owner_id: uuid.UUID, filters: Filters) -> Iterator[ColumnElement[bool]]:
    """What the inverted index of tags answers. The owner is in it, but anybody may make another's id a tag."""
    if filters.tags:
        yield literal_column("tags <> '{}'", Boolean)  # the index holds no others, and is not used unless that is said
        tagged = TAGGED.replace("owner_id", "jobs.owner_id")  # entries have one too
        yield literal_column(tagged).op("@>")(cast([*filters.tags, str(owner_id)], ARRAY(Text)))


# ---- words


def _in_entry(owner_id: uuid.UUID, query: Query) -> ColumnElement[bool]:
    """Whether an entry answers the query: first by the inverted index; what it cannot tell, by the entry's text."""
    either = [" & ".join(filter(None, map(_candidates, clauses))) for clauses in query]
    keys = f"'{owner_key(owner_id)}'" + (f" & ({' | '.join(f'({one})' for one in either)})" if all(either) else "")
    match = SearchEntry.keys.op("@@")(cast(keys, TSQUERY))
    if all(clause.is_in_index for clauses in query for clause in clauses):
        return match
    return and_(match, or_(*(and_(*map(_is_true, clauses)) for clauses in query)))


def _candidates(clause: Clause) -> str:
    """The clause as a tsquery, which may find too much but not too little; nothing where that is everything."""
    keys = " & ".join(f"'{key}'" for key in clause.keys)
    if clause.is_excluded:
        return f"!{keys}" if clause.is_in_index else ""
    return keys


def _is_true(clause: Clause) -> ColumnElement[bool]:
    if clause.is_in_index:
        return SearchEntry.keys.op("@@")(cast(_candidates(clause), TSQUERY))
    place = func.strpos(SearchEntry.text, clause.text)
    return place == 0 if clause.is_excluded else place > 0


def _by_old_index(owner_id: uuid.UUID, words: str) -> ColumnElement[bool]:
    """Whether a task without an entry has the words, as the release before compared them."""
    query = func.websearch_to_tsquery(literal_column("'simple'::regconfig"), words)
    match = Job.search.op("@@")(cast(f"'{owner_id}'", TSQUERY).op("&&")(query))
    return and_(func.numnode(query) > 0, match)  # it may see no word where we do


def _by_word_or_tag(session: Session, filters: Filters, ids: _Ids, limit: int) -> Sequence[uuid.UUID]:
    """The newest rows one by one, then the inverted index for what is older.

    Left alone, the planner chooses one of the two ways by how common a word is, and it cannot know where. It would read
    a whole history to find a word that half of all transcripts have: those of another owner, or those of long ago.
    """
    sources = _sources(session, ids.owner_id, filters)
    session.execute(_ONE_BY_ONE)
    newest = _newest(select(Job.id).where(*ids.of(Job.owner_id, Job.id)), 1)
    oldest = session.scalar(newest.offset(NEWEST - 1))
    near = replace(ids, least=oldest) if oldest else ids
    job_ids = _merged((session.scalars(source.within(near, limit)) for source in sources), limit)
    if oldest is None or len(job_ids) == limit:
        return job_ids
    session.execute(_BY_INVERTED_INDEX)
    far, rest = replace(ids, end=oldest), limit - len(job_ids)
    return [*job_ids, *_merged((session.scalars(source.found_within(far, rest)) for source in sources), rest)]


@dataclass(frozen=True, slots=True)
class _Source:
    """Rows with what is looked for, without the range: ids and owners, and the columns by which they have an index."""

    rows: Select[uuid.UUID, uuid.UUID]
    owner: SQLColumnExpression[uuid.UUID]
    job_id: SQLColumnExpression[uuid.UUID]

    def within(self, ids: _Ids, limit: int) -> Select[uuid.UUID, uuid.UUID]:
        """By the range, in which every row is looked at."""
        bounds = ids.of(self.owner, self.job_id)
        return self.rows.where(*bounds).order_by(self.job_id.desc()).limit(limit)

    def found_within(self, ids: _Ids, limit: int) -> Select[Any]:
        """By what is looked for: the owner's range would offer the planner an index that is in order."""
        hits = self.rows.cte("hits").prefix_with("MATERIALIZED", dialect="postgresql")
        return _newest(select(hits.c.id).where(*ids.of(hits.c.owner_id, hits.c.id)), limit, hits.c.id)


def _sources(session: Session, owner_id: uuid.UUID, filters: Filters) -> Sequence[_Source]:
    """By their entries and, while there is a backlog, those in it by the old index.

    That one comes first: what the sweep moves from the second to the first meanwhile is seen in both, never in none.
    """
    conditions = [*_plain(filters), *_tagged(owner_id, filters)]
    jobs = select(Job.id, Job.owner_id).where(*conditions)
    if filters.words is None:
        return [_Source(jobs, Job.owner_id, Job.id)]
    in_entry = _in_entry(owner_id, parse(filters.words))
    if conditions:
        # bounds of both tables would make the planner compare all entries of the range with all of its jobs
        rows = jobs.join(SearchEntry, SearchEntry.job_id == Job.id).where(in_entry)
        entries = _Source(rows, Job.owner_id, Job.id)
    else:
        rows = select(SearchEntry.job_id.label("id"), SearchEntry.owner_id).where(in_entry)
        entries = _Source(rows, SearchEntry.owner_id, SearchEntry.job_id)
    if not is_backlog(session):
        return [entries]
    has_entry = select(SearchEntry.job_id).where(SearchEntry.job_id == Job.id).exists()
    waits = select(SearchBacklog.job_id).where(SearchBacklog.job_id == Job.id).exists()
    old = jobs.where(_by_old_index(owner_id, filters.words), waits, ~has_entry)
    return [_Source(old, Job.owner_id, Job.id), entries]


def _merged(sources: Iterable[Iterable[uuid.UUID]], limit: int) -> Sequence[uuid.UUID]:
    """Ids of several sources, newest first, each once."""
    return sorted({job_id for ids in sources for job_id in ids}, reverse=True)[:limit]


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
