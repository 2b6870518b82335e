from __future__ import annotations

import shutil
import socket
from pathlib import Path

import psycopg
import pytest

from guichets.database.schema import migrations
from tests.database.conftest import PROJECT, Home
from tests.database.seeds import add_desk, observe
from tests.database_fixtures import Database

NEWEST = max(migrations())


def test_upgrade_tells_what_it_applies_and_then_has_nothing_to_do(home: Home) -> None:
    home.hold()
    first = home.run("db", "upgrade")
    assert first.returncode == 0
    assert first.stdout.startswith(f"Schema {NEWEST}, {len(migrations())} applied: ")
    assert first.stderr == "".join(f"applying {name}\n" for name in migrations().values())
    second = home.run("db", "upgrade")
    assert (second.returncode, second.stderr) == (0, "")
    assert second.stdout.startswith(f"Schema {NEWEST}, nothing to do: ")


def test_a_zipped_package_starts_the_server_and_applies_its_migrations(home: Home, tmp_path: Path) -> None:
    egg = shutil.make_archive(str(tmp_path / "egg"), "zip", PROJECT, "guichets")
    done = home.run("db", "upgrade", PYTHONPATH=egg)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"Schema {NEWEST}, {len(migrations())} applied: ")
    home.wait_until_stopped()


def test_url_prints_an_address_that_works_while_the_server_is_held(home: Home) -> None:
    _, dsn = home.hold()
    done = home.run("db", "url")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{dsn}\n", "")
    with psycopg.connect(done.stdout.strip()) as connection:
        assert connection.info.dbname == "guichets"


def test_url_of_a_stopped_server_says_how_to_keep_it_up(home: Home) -> None:
    done = home.run("db", "url")
    assert done.returncode == 0
    assert done.stdout.startswith("postgresql://postgres@/guichets?host=")
    assert "`guichets db url --hold` keeps it up" in done.stderr
    assert not home.is_running()


def test_url_of_the_users_own_database_is_the_setting(home: Home) -> None:
    done = home.run("db", "url", GUICHETS_DATABASE_URL="postgresql://u:p@h/d")
    assert (done.returncode, done.stdout, done.stderr) == (0, "postgresql://u:p@h/d\n", "")


def test_status_of_a_new_database_says_what_to_run(home: Home, empty_database: Database) -> None:
    done = home.run("db", "status", GUICHETS_DATABASE_URL=empty_database.dsn)
    assert done.returncode == 1
    assert "none yet; run: guichets db upgrade" in done.stdout


def test_status_tells_where_and_what(home: Home, database: Database) -> None:
    with database.connect() as connection:
        connection.execute("SELECT ensure_partitions('2019-12-01 00:00+00', 0)")
        add_desk(connection, "a")
        for second in range(3):
            observe(connection, "a", f"2019-12-05 10:00:0{second}+00", "none")
        connection.execute("ANALYZE")
        connection.execute(
            """INSERT INTO crawls (id, family, worker, version, started_at, finished_at, finish_reason)
            VALUES (gen_random_uuid(), 'ezbooking', 'w1', '0', '2019-12-05 09:59+00', now(), 'finished')"""
        )
    done = home.run("db", "status", GUICHETS_DATABASE_URL=database.dsn)
    lines = {line.split("  ")[0]: line.split("  ", 1)[1].strip() for line in done.stdout.splitlines()}
    assert done.returncode == 0, done.stderr
    assert lines["Schema"] == f"{NEWEST} (current)"
    assert ", 2019-12 to " in lines["Partitions of observations"]
    assert lines["Partitions of observations"].endswith("about 3 rows")
    assert lines["Desks"] == "1 on 1 hosts"
    assert lines["Roles"] == "guichets_public, guichets_reader, guichets_writer"
    assert lines["Latest crawl"] == "ezbooking by w1, 2019-12-05 09:59 UTC, finished"
    assert lines["Size"].endswith(" MB")


def test_status_of_another_schema_exits_with_1(home: Home, database: Database) -> None:
    with database.connect() as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0000'")
    done = home.run("db", "status", GUICHETS_DATABASE_URL=database.dsn)
    assert done.returncode == 1
    assert f"0000, {NEWEST} is needed; run: guichets db upgrade" in done.stdout


@pytest.mark.parametrize("command", ["upgrade", "status"])
def test_a_server_that_is_not_there_is_one_line_on_stderr(home: Home, command: str) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
    done = home.run("db", command, GUICHETS_DATABASE_URL=f"postgresql://u:s3cret@127.0.0.1:{port}/g")
    assert (done.returncode, done.stdout) == (2, "")
    where = f"127.0.0.1:{port}, database g, user u"
    assert done.stderr == f"guichets: PostgreSQL at {where} cannot be reached: Connection refused\n"


def test_stop_does_not_touch_a_database_of_the_users(home: Home, database: Database) -> None:
    done = home.run("db", "stop", GUICHETS_DATABASE_URL=database.dsn)
    assert (done.returncode, done.stdout) == (2, "")
    assert "only the embedded server can be stopped" in done.stderr
    database.connect().close()
