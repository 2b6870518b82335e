from __future__ import annotations

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from typing import Any

import psycopg
import pytest

from guichets import database as guichets_database
from guichets.database.schema import MIGRATIONS, ensure_roles, migrations, read_migration
from guichets.errors import SchemaOutOfDate
from guichets.outcomes import GROUP_OF, Outcome
from tests.database.conftest import Home
from tests.database_fixtures import Database

SCHEMA = files("guichets.database").joinpath("schema.sql").read_text(encoding="utf-8")

# What a schema is made of, from pg_catalog. Partitions are left out: they depend on the day of the upgrade.
OURS = (
    "c.relnamespace IN ('public'::regnamespace, 'public_data'::regnamespace) AND NOT c.relispartition "
    "AND NOT EXISTS (SELECT FROM pg_index JOIN pg_class AS t ON t.oid = indrelid "
    "WHERE indexrelid = c.oid AND t.relispartition)"
)
CATALOGUES = {
    "relations": f"""
        SELECT relnamespace::regnamespace::text, relname, relkind, relacl::text, reloptions,
            obj_description(c.oid, 'pg_class'), pg_get_partkeydef(c.oid),
            CASE WHEN relkind = 'v' THEN pg_get_viewdef(c.oid) END,
            CASE WHEN relkind IN ('i', 'I') THEN pg_get_indexdef(c.oid) END
        FROM pg_class AS c WHERE {OURS}""",
    "columns": f"""
        SELECT relnamespace::regnamespace::text, relname, attnum, attname, format_type(atttypid, atttypmod),
            attnotnull, attidentity,
            pg_get_expr(adbin, adrelid), col_description(c.oid, attnum), attacl::text
        FROM pg_attribute JOIN pg_class AS c ON c.oid = attrelid
        LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        WHERE {OURS} AND NOT attisdropped""",
    "constraints": f"""
        SELECT relname, conname, contype, pg_get_constraintdef(pg_constraint.oid)
        FROM pg_constraint JOIN pg_class AS c ON c.oid = conrelid WHERE {OURS}""",
    "functions": """
        SELECT proname, pg_get_functiondef(oid), proacl::text, obj_description(oid, 'pg_proc')
        FROM pg_proc WHERE pronamespace IN ('public'::regnamespace, 'public_data'::regnamespace)""",
    "triggers": """
        SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger
        WHERE NOT tgisinternal AND tgparentid = 0""",
    "types": """
        SELECT typname, obj_description(pg_type.oid, 'pg_type'),
            array_agg(enumlabel ORDER BY enumsortorder)::text
        FROM pg_type JOIN pg_enum ON enumtypid = pg_type.oid GROUP BY pg_type.oid""",
    "schemas": """
        SELECT nspname, nspacl::text, obj_description(oid, 'pg_namespace') FROM pg_namespace
        WHERE nspname IN ('public', 'public_data')""",
    "version": "SELECT version_num FROM alembic_version",
}


def _catalogue_of(connection: psycopg.Connection) -> dict[str, list[tuple[Any, ...]]]:
    return {name: sorted(connection.execute(query), key=repr) for name, query in CATALOGUES.items()}


def test_schema_sql_and_the_migrations_make_the_same_database(
    database: Database, empty_database: Database
) -> None:
    with empty_database.connect_unchecked() as connection:
        ensure_roles(connection)
        connection.execute(SCHEMA)
        from_schema = _catalogue_of(connection)
    with database.connect() as connection:
        from_migrations = _catalogue_of(connection)
    assert from_schema == from_migrations
    assert len(from_schema["relations"]) > 20


def test_migrations_are_numbered_without_a_gap_and_say_before_or_after_the_code() -> None:
    numbers = list(migrations())
    assert numbers == [f"{number:04}" for number in range(1, len(numbers) + 1)]
    for number in numbers:
        assert re.match(rf"-- {number} (before|after) the code: \S", read_migration(number)), number
        assert MIGRATIONS.joinpath("versions", f"rev_{number}.py").is_file()


def test_every_index_says_whom_it_serves(database: Database) -> None:
    with database.connect() as connection:
        silent = connection.execute(
            f"""SELECT relname FROM pg_class AS c
            WHERE relkind IN ('i', 'I') AND {OURS} AND obj_description(c.oid, 'pg_class') IS NULL
            AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = c.oid)"""
        ).fetchall()
    assert silent == []


def test_every_table_and_view_has_a_comment(database: Database) -> None:
    with database.connect() as connection:
        silent = connection.execute(
            f"""SELECT relname FROM pg_class AS c
            WHERE relkind IN ('r', 'p', 'v') AND {OURS} AND obj_description(c.oid, 'pg_class') IS NULL"""
        ).fetchall()
    assert silent == []


def test_outcomes_and_their_groups_are_those_of_python(database: Database) -> None:
    with database.connect("reader") as connection:
        rows = connection.execute(
            "SELECT outcome::text, outcome_group(outcome) FROM unnest(enum_range(NULL::outcome)) AS outcome"
        ).fetchall()
    assert rows == [(outcome.value, GROUP_OF[outcome].value) for outcome in Outcome]


def test_upgrading_again_changes_nothing(database: Database) -> None:
    with database.connect() as connection:
        before = _catalogue_of(connection)
        assert guichets_database.upgrade(database.dsn) == []
        assert _catalogue_of(connection) == before


def test_an_upgrade_makes_the_first_partitions(database: Database) -> None:
    with database.connect() as connection:
        assert connection.execute("SELECT ensure_partitions(now(), 2)").fetchone() == (0,)


def test_upgrades_at_the_same_time_all_succeed(empty_database: Database) -> None:
    with ThreadPoolExecutor(4) as pool:
        applied = list(pool.map(guichets_database.upgrade, [empty_database.dsn] * 4))
    assert sorted(applied) == [[], [], [], list(migrations())]


def test_two_databases_of_a_new_cluster_may_be_upgraded_at_the_same_time(home: Home) -> None:
    _, dsn = home.hold()
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE DATABASE other")
    dsns = [dsn, dsn.replace("/guichets?", "/other?")]
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda dsn: home.run("db", "upgrade", GUICHETS_DATABASE_URL=dsn), dsns))
    all_applied = (0, len(migrations()))
    assert [(command.returncode, command.stderr.count("applying")) for command in done] == [all_applied] * 2


def test_a_failed_migration_leaves_nothing_behind(empty_database: Database) -> None:
    with empty_database.connect_unchecked() as connection:
        connection.execute("CREATE TABLE slots ()")  # in the way of the first migration
        with pytest.raises(psycopg.errors.DuplicateTable):
            guichets_database.upgrade(empty_database.dsn)
        assert guichets_database.schema_state(connection).current is None
        assert connection.execute("SELECT to_regclass('desks')").fetchone() == (None,)


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        pytest.param(
            "0000",
            r"has schema 0000, and this version of Guichets needs \d{4}; run: guichets db upgrade$",
            id="older",
        ),
        pytest.param(
            "9999",
            r"has schema 9999, newer than the \d{4} this version .+ knows; install the newer Guichets$",
            id="newer",
        ),
    ],
)
def test_another_schema_is_refused_in_one_line(database: Database, stored: str, expected: str) -> None:
    with database.connect() as connection:
        connection.execute("UPDATE alembic_version SET version_num = %s", [stored])
    with pytest.raises(SchemaOutOfDate, match=expected):
        guichets_database.connect("reader", dsn=database.dsn)


def test_a_database_without_schema_is_refused_in_one_line(empty_database: Database) -> None:
    with pytest.raises(SchemaOutOfDate, match=r"has no schema of Guichets yet; run: guichets db upgrade$"):
        guichets_database.connect("reader", dsn=empty_database.dsn)


def test_a_newer_schema_is_not_upgraded(database: Database) -> None:
    with database.connect() as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SchemaOutOfDate, match="newer"):
        guichets_database.upgrade(database.dsn)


def test_preparing_a_database_of_the_users_only_checks_it(
    empty_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GUICHETS_DATABASE_URL", empty_database.dsn)
    with pytest.raises(SchemaOutOfDate, match="guichets db upgrade"):
        guichets_database.prepare()
    guichets_database.upgrade(empty_database.dsn)
    assert guichets_database.prepare() == empty_database.dsn


def test_preparing_the_embedded_server_upgrades_it_even_twice_at_once(home: Home) -> None:
    program = "from guichets import database; database.connect('writer', dsn=database.prepare()).close()"
    commands = [
        subprocess.Popen(
            [sys.executable, "-c", program], env=home.environment, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    assert [(command.communicate(timeout=60)[1], command.returncode) for command in commands] == [("", 0)] * 2
