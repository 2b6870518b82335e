"""One command's connection to PostgreSQL; what goes wrong on it is told in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from psycopg import Connection

    from guichets.database import Role


@contextmanager
def open_session(role: Role) -> Iterator[Connection]:
    """A connection under ``role``; on the embedded server the schema is brought up to date first.

    Raises DatabaseError for what PostgreSQL refuses or breaks off in the middle.
    """
    import psycopg

    from guichets import database
    from guichets.errors import DatabaseError

    target = database.prepare()
    try:
        with database.connect(role, dsn=target) as connection:
            yield connection
    except psycopg.Error as error:
        reason = error.diag.message_primary or str(error).strip().partition("\n")[0] or type(error).__name__
        raise DatabaseError(f"PostgreSQL at {database.place(target)}: {reason}") from error
