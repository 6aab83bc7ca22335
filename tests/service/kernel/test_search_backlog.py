"""The search entries of tasks that an earlier release has made, or makes beside this one."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

import psycopg
from alembic import command
from sqlalchemy import func, make_url, select, text

from api.history.search import Filters, page
from shared.db import session
from shared.db.tables import alembic_config
from shared.models import Job, SearchBacklog, SearchEntry
from shared.search import entries

OWNER = uuid.UUID(int=1)
TASKS = 130
"""More than are indexed at once."""


def insertion(numbers: Iterable[int]) -> str:
    """SQL that inserts finished tasks as any release before 0009 does, and one that waits."""
    values = [
        f"('{uuid.UUID(int=1000 + number)}', '{OWNER}', 'done', 5, 'call-{number}.wav', '{{}}',"
        f" 'word stays 图书馆 number{number}')"
        for number in numbers
    ]
    fields = "id, owner_id, state, priority, filename, options, full_text"
    return f"INSERT INTO jobs ({fields}) VALUES {', '.join(values)};"


def hits(words: str) -> list[int]:
    """Numbers of the tasks that a search finds, all pages."""
    numbers: list[int] = []
    before = None
    while True:
        with session() as work:
            jobs, before = page(work, OWNER, limit=40, before=before, filters=Filters(words=words))
        numbers += [job.id.int - 1000 for job in jobs]
        if before is None:
            return numbers


def count(model: type[SearchBacklog] | type[SearchEntry]) -> int:
    with session() as work:
        return work.scalar(select(func.count()).select_from(model)) or 0


def by_the_release_before(address: str, statement: str) -> None:
    plain = make_url(address).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain) as connection:
        connection.execute(statement)


def test_old_tasks_are_found_before_while_and_after_they_are_indexed(empty: str) -> None:
    """Every task once and newest first at each step; what only entries know is found from the newest on."""
    command.upgrade(alembic_config(), "0008")
    with session() as work:
        key = f"INSERT INTO api_keys (id, name, prefix, digest, scopes) VALUES ('{OWNER}', 'n', 'p', 'd', '{{}}')"
        work.execute(text(key))
        work.execute(text(insertion(range(TASKS))))
    command.upgrade(alembic_config(), "head")
    newest_first = list(range(TASKS))[::-1]
    assert (count(SearchBacklog), count(SearchEntry)) == (TASKS, 0)
    assert hits("stays") == newest_first
    assert hits("图书馆") == newest_first  # between spaces the old index has it as a word
    assert hits("书") == []

    assert entries.work_off(seconds=0) == entries.AT_ONCE
    assert (count(SearchBacklog), count(SearchEntry)) == (TASKS - entries.AT_ONCE, entries.AT_ONCE)
    assert hits("stays") == hits("word -nowhere") == newest_first
    assert hits("书") == hits("wav") == newest_first[: entries.AT_ONCE]
    assert hits("number5") == [5]

    assert entries.work_off(seconds=60) == TASKS - entries.AT_ONCE  # in two transactions, however long one takes
    assert (count(SearchBacklog), count(SearchEntry)) == (0, TASKS)
    assert hits("stays") == hits("书") == hits("wav") == newest_first
    assert entries.work_off() == 0


def test_what_the_release_before_writes_is_found_at_once(empty: str) -> None:
    """While both run: its new tasks and its corrections are found as it finds them, then as this one does."""
    command.upgrade(alembic_config(), "head")
    with session() as work:
        key = f"INSERT INTO api_keys (id, name, prefix, digest, scopes) VALUES ('{OWNER}', 'n', 'p', 'd', '{{}}')"
        work.execute(text(key))
    by_the_release_before(empty, insertion(range(3)))
    assert (count(SearchBacklog), hits("stays"), hits("书")) == (3, [2, 1, 0], [])
    entries.work_off()
    assert (count(SearchBacklog), hits("stays"), hits("书")) == (0, [2, 1, 0], [2, 1, 0])

    one = uuid.UUID(int=1001)
    by_the_release_before(empty, f"UPDATE jobs SET full_text = 'another text' WHERE id = '{one}'")
    assert (hits("stays"), hits("another")) == ([2, 0], [1])
    by_the_release_before(empty, f"UPDATE jobs SET state = 'done', full_text = 'another text' WHERE id = '{one}'")
    by_the_release_before(empty, "UPDATE jobs SET updated_at = now()")
    assert count(SearchBacklog) == 1
    entries.work_off()
    assert (count(SearchBacklog), hits("stays"), hits("another")) == (0, [2, 0], [1])


def test_a_task_that_is_locked_or_gone_holds_nothing_up(empty: str) -> None:
    """What somebody is changing waits for a later sweep; what was erased leaves the backlog."""
    command.upgrade(alembic_config(), "head")
    with session() as work:
        key = f"INSERT INTO api_keys (id, name, prefix, digest, scopes) VALUES ('{OWNER}', 'n', 'p', 'd', '{{}}')"
        work.execute(text(key))
    by_the_release_before(empty, insertion(range(4)))
    locked, erased = uuid.UUID(int=1003), uuid.UUID(int=1002)
    with session() as other:
        other.delete(other.get_one(Job, erased))
        other.flush()
        other.scalars(select(Job).where(Job.id == locked).with_for_update()).one()
        assert entries.work_off() == 2
    assert count(SearchBacklog) == 2
    assert entries.work_off() == 2
    assert (count(SearchBacklog), hits("书")) == (0, [3, 1, 0])
