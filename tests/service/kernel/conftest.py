"""A database of its own for tests of the tables."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import make_url

from scripts.local.stack import Stack
from shared.config import Settings, settings
from shared.db import engine, forget_engine


@pytest.fixture
def empty(servers: Stack, environment: Settings) -> Iterator[str]:
    """The address of a database without tables, which this process's settings point at."""
    server, name = make_url(servers.env["DATABASE_URL"]), f"migrations_{uuid.uuid4().hex}"
    address = server.set(database=name).render_as_string(hide_password=False)
    plain = server.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
        before, os.environ["DATABASE_URL"] = os.environ["DATABASE_URL"], address
        settings.cache_clear()
        engine.cache_clear()
        try:
            yield address
        finally:
            engine().dispose()
            os.environ["DATABASE_URL"] = before
            settings.cache_clear()
            forget_engine()
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
