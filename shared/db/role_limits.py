"""Limits of time as settings of the role: a pooler refuses those that a connection would begin with."""

from __future__ import annotations

from shared.db.connections import LIMITS, direct_engine, engine

LIMITS_LOCK = 7_275_538
"""Advisory lock, any constant that nothing else has."""


def limit_role() -> None:
    """Give the limits to the role, in this database: connections of a pooler begin without any."""
    with direct_engine().begin() as connection:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LIMITS_LOCK})")
        database = connection.exec_driver_sql("SELECT current_database()").scalar_one()
        quoted = connection.dialect.identifier_preparer.quote_identifier(database)
        for name, value in LIMITS.items():
            connection.exec_driver_sql(f"ALTER ROLE CURRENT_USER IN DATABASE {quoted} SET {name} = '{value}'")


def is_role_limited() -> bool:
    """Whether `limit_role` has been called. Asked past the pooler, which would go on with a connection that it has
    opened before."""
    query = """
        SELECT count(*) FROM pg_db_role_setting, unnest(setconfig) AS setting
        WHERE setrole = CAST(current_user AS regrole)
          AND setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
          AND split_part(setting, '=', 1) = ANY(%s)
    """
    with direct_engine().connect() as connection:
        return bool(connection.exec_driver_sql(query, (list(LIMITS),)).scalar_one() == len(LIMITS))


def has_limits() -> bool:
    """Whether connections of the pooler have the limits that `limit_role` gives."""
    with engine().connect() as connection:
        return all(
            connection.exec_driver_sql(
                "SELECT CAST(current_setting(%s) AS interval) = CAST(%s AS interval)", limit
            ).scalar_one()
            for limit in LIMITS.items()
        )
