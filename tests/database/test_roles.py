from __future__ import annotations

import re

import psycopg
import pytest
from psycopg import conninfo

from guichets import database as guichets_database
from guichets.errors import DatabaseError
from tests.database.conftest import Home
from tests.database_fixtures import Database

NEVER_CHANGED = ("observations", "slots", "catalogue_versions", "seals", "errata")
TABLES = (
    *NEVER_CHANGED,
    *("departements", "offices", "hosts", "desks", "counters", "channels", "crawls", "alembic_version"),
    "evidence_holds",
)


def _any_column(connection: psycopg.Connection, table: str) -> str:
    row = connection.execute(
        """SELECT attname FROM pg_attribute
        WHERE attrelid = %s::regclass AND attnum > 0 AND attidentity = '' LIMIT 1""",
        [table],
    ).fetchone()
    assert row is not None
    return str(row[0])


def _copy_of_itself(table: str) -> str:
    return f"INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM {table}"


@pytest.mark.parametrize("table", TABLES)
def test_the_writer_can_delete_nothing(database: Database, table: str) -> None:
    with database.connect("writer") as connection:
        for statement in (f"DELETE FROM {table}", f"TRUNCATE {table}", f"DROP TABLE {table}"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


@pytest.mark.parametrize("table", NEVER_CHANGED)
def test_the_writer_adds_to_what_was_seen_and_cannot_change_it(database: Database, table: str) -> None:
    with database.connect("writer") as connection:
        column = _any_column(connection, table)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(f"UPDATE {table} SET {column} = {column}")
        connection.execute(_copy_of_itself(table))


@pytest.mark.parametrize("table", TABLES)
def test_the_reader_only_reads(database: Database, table: str) -> None:
    with database.connect("reader") as connection:
        connection.execute(f"SELECT * FROM {table}")
        column = _any_column(connection, table)
        for statement in (
            _copy_of_itself(table),
            f"UPDATE {table} SET {column} = {column}",
            f"DELETE FROM {table}",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def test_the_reader_reads_the_views_and_makes_no_partitions(database: Database) -> None:
    with database.connect("reader") as connection:
        connection.execute("SELECT * FROM desk_status")
        connection.execute("SELECT * FROM departement_status")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT ensure_partitions(now(), 1)")


def test_the_writer_makes_partitions_but_no_other_table(database: Database) -> None:
    with database.connect("writer") as connection:
        connection.execute("SELECT ensure_partitions('2016-06-15 12:00+00', 0)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("CREATE TABLE anything ()")


def test_temporary_tables_of_the_writer_do_not_deceive_the_partition_function(database: Database) -> None:
    with database.connect("writer") as connection:
        connection.execute("CREATE TEMPORARY TABLE observations_2016_06 ()")
        connection.execute("CREATE TEMPORARY TABLE observations ()")
        made = connection.execute("SELECT ensure_partitions('2016-06-15 12:00+00', 0)").fetchone()
        assert made == (2,)
        assert connection.execute("SELECT to_regclass('public.observations_2016_06')").fetchone() != (None,)


def test_a_user_who_may_not_create_roles_is_told_what_an_administrator_can_run(home: Home) -> None:
    _, dsn = home.hold()
    with psycopg.connect(dsn, autocommit=True) as administrator:
        administrator.execute("CREATE ROLE plain LOGIN")
        administrator.execute("CREATE DATABASE theirs OWNER plain")
        plain = conninfo.make_conninfo(dsn, user="plain", dbname="theirs")
        with pytest.raises(DatabaseError, match="The user 'plain' may not make the roles") as refused:
            guichets_database.upgrade(plain)
        assert "\n" not in str(refused.value)
        told = re.search(r"An administrator can run: (.+)$", str(refused.value))
        assert told is not None
        administrator.execute(told.group(1))
    guichets_database.upgrade(plain)
    for role in ("reader", "writer"):
        with guichets_database.connect(role, dsn=plain) as connection:
            assert connection.execute("SELECT current_user").fetchone() == (f"guichets_{role}",)


def test_a_user_who_may_create_roles_needs_no_administrator(home: Home) -> None:
    _, dsn = home.hold()
    with psycopg.connect(dsn, autocommit=True) as administrator:
        administrator.execute("CREATE ROLE able LOGIN CREATEROLE")
        administrator.execute("CREATE DATABASE theirs OWNER able")
    able = conninfo.make_conninfo(dsn, user="able", dbname="theirs")
    guichets_database.upgrade(able)
    with guichets_database.connect("writer", dsn=able) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("guichets_writer",)


def test_a_login_without_the_role_is_told_which_grant_is_missing(home: Home) -> None:
    _, dsn = home.hold()
    guichets_database.upgrade(dsn)
    with psycopg.connect(dsn, autocommit=True) as administrator:
        administrator.execute("CREATE ROLE dashboards LOGIN IN ROLE guichets_reader")
    dashboards = conninfo.make_conninfo(dsn, user="dashboards")
    guichets_database.connect("reader", dsn=dashboards).close()
    with pytest.raises(DatabaseError, match=r"can run: GRANT guichets_writer TO dashboards$"):
        guichets_database.connect("writer", dsn=dashboards)


def test_a_user_who_does_not_own_the_database_is_told_what_is_missing(home: Home) -> None:
    _, dsn = home.hold()
    with psycopg.connect(dsn, autocommit=True) as administrator:
        administrator.execute("CREATE ROLE guest LOGIN CREATEROLE")
    with pytest.raises(DatabaseError, match=r"GRANT CREATE ON SCHEMA public TO guest$"):
        guichets_database.upgrade(conninfo.make_conninfo(dsn, user="guest"))
