"""A real PostgreSQL for tests: one embedded server per run, shared by all workers, one database per test.

A migrated template is made once; each test that asks for ``database`` gets a copy of it, dropped afterwards.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo, sql

from guichets import database as guichets_database
from guichets.database import embedded

HOME_VARIABLE = "PYTEST_DATABASE_HOME"  # tells xdist's workers where the run's server lives
SERVER_VARIABLE = "PYTEST_DATABASE_SERVER"  # DSN of another server, to test another version of PostgreSQL
TEMPLATE = "template_guichets"

_made_home = pytest.StashKey[Path]()


@dataclass(frozen=True, slots=True)
class Database:
    """A database of one's own with the current schema, and nothing in it."""

    dsn: str

    def connect(self, role: guichets_database.Role = "owner") -> psycopg.Connection:
        """A connection in autocommit, so that a test sees what others commit; close it."""
        return guichets_database.connect(role, dsn=self.dsn, autocommit=True)

    def connect_unchecked(self) -> psycopg.Connection:
        """The owner's connection, whatever the schema."""
        return guichets_database.connect("owner", dsn=self.dsn, autocommit=True, check=False)


def pytest_configure(config: pytest.Config) -> None:
    if HOME_VARIABLE not in os.environ:
        # Not under pytest's base folder, which is closed to the account root must run the server under.
        home = Path(tempfile.mkdtemp(prefix="guichets-tests-"))
        os.environ[HOME_VARIABLE] = str(home)
        config.stash[_made_home] = home


def pytest_unconfigure(config: pytest.Config) -> None:
    home = config.stash.get(_made_home, None)
    if home is not None:
        embedded.stop(home)
        shutil.rmtree(home, ignore_errors=True)
        os.environ.pop(HOME_VARIABLE, None)


@pytest.fixture(scope="session")
def database_server() -> str:
    """The DSN of the run's server, with the template made."""
    server = os.environ.get(SERVER_VARIABLE) or embedded.join(Path(os.environ[HOME_VARIABLE]))
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(1)")  # of this run's workers; kept until closed
        found = connection.execute(
            "SELECT datistemplate FROM pg_database WHERE datname = %s", [TEMPLATE]
        ).fetchone()
        if found != (True,):
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(TEMPLATE)))
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE)))
            guichets_database.upgrade(conninfo.make_conninfo(server, dbname=TEMPLATE))
            connection.execute(sql.SQL("ALTER DATABASE {} IS_TEMPLATE true").format(sql.Identifier(TEMPLATE)))
    return server


@pytest.fixture
def database(database_server: str) -> Iterator[Database]:
    """A fresh database with the current schema."""
    yield from _fresh(database_server, TEMPLATE)


@pytest.fixture
def empty_database(database_server: str) -> Iterator[Database]:
    """A fresh database without any schema of ours."""
    yield from _fresh(database_server, "template1")


def _fresh(server: str, template: str) -> Iterator[Database]:
    name = sql.Identifier(name_text := f"test_{uuid.uuid4().hex}")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(name, sql.Identifier(template)))
    yield Database(conninfo.make_conninfo(server, dbname=name_text))
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))
