"""The schema's version: what the database has, what this program wants, and the way from one to the other."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType

import psycopg

from guichets.errors import DatabaseError, SchemaOutOfDate

MIGRATIONS = files("guichets.database").joinpath("migrations")
_MIGRATION_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")

ADMINISTRATOR_COMMANDS = (
    "CREATE ROLE guichets_writer NOLOGIN; CREATE ROLE guichets_reader NOLOGIN; "
    "CREATE ROLE guichets_public NOLOGIN; GRANT guichets_writer, guichets_reader, guichets_public TO {user}"
)
MONTHS_AHEAD = 2  # partitions made by an upgrade; whoever writes makes the next ones


@dataclass(frozen=True, slots=True)
class SchemaState:
    """Numbers of migrations, as text: ``0001``."""

    current: str | None  # last one applied; None: there is no schema of ours
    wanted: str  # last one this program knows

    @property
    def is_current(self) -> bool:
        return self.current == self.wanted


@cache
def migrations() -> Mapping[str, str]:
    """The file names of all migrations by number, in order."""
    names = sorted(entry.name for entry in MIGRATIONS.iterdir() if _MIGRATION_NAME.fullmatch(entry.name))
    return MappingProxyType({name[:4]: name for name in names})


def read_migration(number: str) -> str:
    """The SQL of one migration."""
    return MIGRATIONS.joinpath(migrations()[number]).read_text(encoding="utf-8")


def schema_state(connection: psycopg.Connection) -> SchemaState:
    """Read without alembic, which takes a third of a second to import."""
    current: str | None = None
    found = connection.execute("SELECT to_regclass('public.alembic_version') IS NOT NULL").fetchone()
    if found and found[0]:
        row = connection.execute("SELECT max(version_num) FROM public.alembic_version").fetchone()
        current = row[0] if row else None
    return SchemaState(current, max(migrations()))


def check_schema(connection: psycopg.Connection) -> None:
    """Raise SchemaOutOfDate unless the schema is this program's."""
    state = schema_state(connection)
    if state.is_current:
        return
    where = f"The database {connection.info.dbname!r}"
    if state.current is None:
        raise SchemaOutOfDate(f"{where} has no schema of Guichets yet; run: guichets db upgrade")
    if state.current < state.wanted:
        raise SchemaOutOfDate(
            f"{where} has schema {state.current}, and this version of Guichets needs {state.wanted}; "
            "run: guichets db upgrade"
        )
    raise SchemaOutOfDate(
        f"{where} has schema {state.current}, newer than the {state.wanted} this version of Guichets knows; "
        "install the newer Guichets"
    )


def upgrade(dsn: str, progress: Callable[[str], None] | None = None) -> list[str]:
    """Bring the schema up to date and make the first partitions; the numbers of the migrations applied.

    Safe to run from several processes at once: all but one wait and find nothing left to do. All or nothing.
    ``progress`` is called with the file name of each migration before it runs.
    Raises DatabaseError with what an administrator should run when the user may not create what is needed.
    """
    from guichets.database.connection import connect  # imports this module

    applied: list[str] = []
    with connect("owner", check=False, dsn=dsn, autocommit=True) as connection:
        try:
            # Of this database only: roles are the whole cluster's, and roles.sql copes with that.
            connection.execute("SELECT pg_advisory_lock(hashtextextended('guichets.upgrade', 0))")
            state = schema_state(connection)
            if state.current and state.current > state.wanted:
                check_schema(connection)
            ensure_roles(connection)
            if not state.is_current:
                from guichets.database._alembic import migrate  # slow to import, and seldom needed

                applied = migrate(dsn, progress)
            connection.execute("SELECT public.ensure_partitions(now(), %s)", [MONTHS_AHEAD])
        except psycopg.errors.InsufficientPrivilege as error:
            reason = (error.diag.message_primary or "permission denied").strip()
            user = connection.info.user
            raise DatabaseError(
                f"The schema cannot be upgraded by the user {user!r}: {reason}. "
                f"The owner of the database can run: GRANT CREATE ON SCHEMA public TO {user}"
            ) from None
    return applied


def ensure_roles(connection: psycopg.Connection) -> None:
    """Create the group roles where they are missing, and let this user act under them."""
    statement = MIGRATIONS.joinpath("roles.sql").read_text(encoding="utf-8")
    try:
        with connection.transaction():
            connection.execute(statement)
    except psycopg.errors.InsufficientPrivilege as error:
        reason = (error.diag.message_primary or "permission denied").strip()
        user = connection.info.user
        raise DatabaseError(
            f"The user {user!r} may not make the roles Guichets needs ({reason}). An administrator can run: "
            + ADMINISTRATOR_COMMANDS.format(user=user)
        ) from None
