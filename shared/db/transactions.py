"""Transactions, and queries that run in one of a session as well as on an event loop."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import TextClause
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from shared.db.connections import engine, reading_engine
from shared.errors import DatabaseUnavailable

T = TypeVar("T")


@contextmanager
def session(*, is_reading: bool = False) -> Iterator[Session]:
    """One transaction: committed at the end, rolled back on an exception; with `is_reading` none, for a few SELECTs.

    Raises DatabaseUnavailable when the server cannot be reached or goes away; after a failed COMMIT nobody knows
    whether it took place, so callers make their work safe to repeat.
    """
    opened = Session(reading_engine() if is_reading else engine(), expire_on_commit=False)
    try:
        yield opened
        opened.commit()  # any other way out, close() rolls back
    except (OperationalError, InterfaceError, PoolTimeout) as error:
        raise DatabaseUnavailable("The database does not answer; try again in a moment.") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise DatabaseUnavailable("The database went away; try again in a moment.") from error
        raise
    finally:
        opened.close()


@dataclass(frozen=True, slots=True)
class Query:
    """SQL of which the first row is wanted, with `%(name)s` for each parameter, for a session or an event loop.

    fresh_s : how long its answer may be used again by whoever asks often
    """

    text: str
    parameters: Mapping[str, Any]
    fresh_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL as PostgreSQL itself takes it, with `$1` for the first value: psycopg would parse a long text with names each
    time."""

    text: str
    values: Sequence[Any]


def statement_maker(clause: TextClause) -> Callable[[Mapping[str, Any]], Statement]:
    """What makes statements of a text with `:name` for each parameter, out of those parameters."""
    compiled = clause.compile(dialect=PGDialect_psycopg(paramstyle="numeric_dollar"))  # type: ignore[no-untyped-call]
    text, names = str(compiled), tuple(compiled.positiontup or ())
    return lambda parameters: Statement(text, [parameters[name] for name in names])


Reading = Generator[Query, Sequence[Any] | None, T]
"""What is read by queries that follow from one another, whoever runs them: each is answered with its row, if any."""


def first_row(session: Session, query: Query) -> Sequence[Any] | None:
    """The row, in the session's transaction."""
    session.flush()
    return session.connection().exec_driver_sql(query.text, dict(query.parameters)).first()


def run(session: Session, reading: Reading[T]) -> T:
    """What the reading comes to, in the session's transaction."""
    try:
        query = next(reading)
        while True:
            query = reading.send(first_row(session, query))
    except StopIteration as end:
        result: T = end.value
        return result
