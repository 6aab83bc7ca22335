"""PostgreSQL: one engine per process, transactions, and the tables (`python -m shared.db upgrade`)."""

from shared.db.connections import conninfo, direct_engine, engine, forget_engine, preparing
from shared.db.transactions import Query, Reading, Statement, first_row, run, session, statement_maker

__all__ = [
    "Query",
    "Reading",
    "Statement",
    "conninfo",
    "direct_engine",
    "engine",
    "first_row",
    "forget_engine",
    "preparing",
    "run",
    "session",
    "statement_maker",
]
