"""Runs the numbered migrations through alembic, in one transaction of its own."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources.abc import Traversable
from pathlib import Path

from alembic import command, context
from alembic.config import Config
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from guichets.database.connection import connect
from guichets.database.schema import MIGRATIONS, migrations, read_migration

_running = threading.Lock()  # alembic keeps its context in globals of its modules


def migrate(dsn: str, progress: Callable[[str], None] | None) -> list[str]:
    """Apply every missing migration, all or none; their numbers. The caller holds the lock of upgrades."""
    applied: list[str] = []
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: connect("owner", check=False, dsn=dsn), poolclass=NullPool
    )
    with (
        _running,
        _own_errors(),
        tempfile.TemporaryDirectory(prefix="guichets-migrations-") as folder,
        engine.begin() as connection,
    ):
        _copy(MIGRATIONS, Path(folder))  # alembic reads a folder, and ours may lie in an egg
        connection.exec_driver_sql("SET LOCAL search_path = public")
        config = Config()
        config.set_main_option("script_location", folder.replace("%", "%%"))
        config.attributes["connection"] = connection

        def run(number: str) -> None:
            if progress:
                progress(migrations()[number])
            _execute(connection, number)
            applied.append(number)

        config.attributes["run"] = run
        command.upgrade(config, "head")
    return applied


def _copy(source: Traversable, target: Path) -> None:
    for entry in source.iterdir():
        if entry.is_file():
            (target / entry.name).write_bytes(entry.read_bytes())
        elif not entry.name.startswith("__"):
            (target / entry.name).mkdir()
            _copy(entry, target / entry.name)


@contextmanager
def _own_errors() -> Iterator[None]:
    """psycopg's errors as they are, without SQLAlchemy's wrapping."""
    try:
        yield
    except DBAPIError as error:
        raise error.orig or error from None


def run_migration(number: str) -> None:
    """What every revision does: execute the SQL file of its number."""
    context.config.attributes["run"](number)


def _execute(connection: Connection, number: str) -> None:
    driver_connection = connection.connection.driver_connection
    assert driver_connection is not None  # it is open
    # Past SQLAlchemy, which would look for parameters in the text, where per cent signs are just that.
    driver_connection.execute(read_migration(number))
