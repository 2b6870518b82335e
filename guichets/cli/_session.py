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
    from guichets import database

    with database.session(role, dsn=database.prepare()) as connection:
        yield connection
