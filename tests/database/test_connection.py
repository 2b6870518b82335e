from __future__ import annotations

import socket

import psycopg
import pytest
from psycopg import conninfo

from guichets import __version__
from guichets import database as guichets_database
from guichets.database import connection as connection_module
from guichets.errors import ConfigurationError, DatabaseUnreachable
from tests.cluster.proxy import DatabaseProxy
from tests.database.conftest import Home
from tests.database_fixtures import Database

SECRET = "s3cret-word"


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@pytest.mark.parametrize("role", ["reader", "writer"])
async def test_every_way_of_connecting_acts_under_the_role_in_utc(
    database: Database, role: guichets_database.Role
) -> None:
    query = "SELECT current_user, current_setting('TimeZone'), current_setting('application_name')"
    expected = (f"guichets_{role}", "UTC", f"guichets/{__version__}")
    with guichets_database.connect(role, dsn=database.dsn) as plain:
        assert plain.execute(query).fetchone() == expected
        plain.rollback()
        assert plain.execute(query).fetchone() == expected
    async with await guichets_database.connect_async(role, dsn=database.dsn) as connection:
        assert await (await connection.execute(query)).fetchone() == expected
    pool = await guichets_database.open_pool(database.dsn, role, min_size=2, max_size=3)
    try:
        async with pool.connection() as one, pool.connection() as other, pool.connection() as third:
            for connection in (one, other, third):
                assert await (await connection.execute(query)).fetchone() == expected
    finally:
        await pool.close()


async def test_a_pools_caller_may_prepare_its_sessions(database: Database) -> None:
    async def prepare(connection: psycopg.AsyncConnection) -> None:
        await connection.execute("SET statement_timeout = '7s'")

    pool = await guichets_database.open_pool(database.dsn, "reader", then=prepare)
    try:
        async with pool.connection() as connection:
            row = await (await connection.execute("SHOW statement_timeout")).fetchone()
            assert row == ("7s",)
    finally:
        await pool.close()


async def test_a_pool_to_nowhere_is_refused_at_once_in_one_line() -> None:
    port = _free_port()
    with pytest.raises(
        DatabaseUnreachable, match=f"^PostgreSQL at 127.0.0.1:{port}, database g, user u cannot"
    ):
        await guichets_database.open_pool(f"postgresql://u:{SECRET}@127.0.0.1:{port}/g", "writer")


def test_a_server_that_is_not_there_is_one_line_without_the_password() -> None:
    port = _free_port()
    with pytest.raises(DatabaseUnreachable) as refused:
        guichets_database.connect(dsn=f"postgresql://u:{SECRET}@127.0.0.1:{port}/g")
    assert str(refused.value) == (
        f"PostgreSQL at 127.0.0.1:{port}, database g, user u cannot be reached: Connection refused"
    )


def test_an_unknown_host_is_one_line() -> None:
    with pytest.raises(
        DatabaseUnreachable, match=r"^PostgreSQL at nowhere\.invalid, .+ cannot be reached: .+$"
    ):
        guichets_database.connect(dsn="postgresql://u@nowhere.invalid/g")


def test_a_missing_database_is_named(database: Database) -> None:
    with pytest.raises(DatabaseUnreachable, match=r'cannot be reached: database "missing" does not exist$'):
        guichets_database.connect(dsn=conninfo.make_conninfo(database.dsn, dbname="missing"))


async def test_a_server_that_stops_before_the_role_is_taken_is_unreachable(database: Database) -> None:
    """Nobody is told to grant a role that was granted long ago: the connection may simply be made again."""

    def stop() -> None:
        with database.connect() as administrator:
            administrator.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    proxy = DatabaseProxy(str(conninfo.conninfo_to_dict(database.dsn)["host"]))
    through = conninfo.make_conninfo(database.dsn, host=str(proxy.folder))
    words = "cannot be reached: terminating connection due to administrator command$"
    try:
        proxy.before(b"SET ROLE", stop)
        with pytest.raises(DatabaseUnreachable, match=words):
            guichets_database.connect("writer", dsn=through)
        with pytest.raises(DatabaseUnreachable, match=words):
            await guichets_database.connect_async("writer", dsn=through, check=False)
        proxy.mend()
        guichets_database.connect("writer", dsn=through).close()
    finally:
        proxy.close()


def test_a_wrong_password_is_one_line_without_the_password(home: Home) -> None:
    _, dsn = home.hold()
    data = home.path / "postgres" / "data"
    with psycopg.connect(dsn, autocommit=True) as administrator:
        administrator.execute("CREATE ROLE guarded LOGIN PASSWORD 'another'")
        (data / "pg_hba.conf").write_text("local all guarded scram-sha-256\nlocal all all trust\n")
        administrator.execute("SELECT pg_reload_conf()")
    guarded = conninfo.make_conninfo(dsn, user="guarded", password=SECRET)
    with pytest.raises(
        DatabaseUnreachable,
        match=r'user guarded cannot be reached: password authentication failed for user "guarded"$',
    ) as refused:
        guichets_database.connect(dsn=guarded)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"postgres//u:{SECRET}@host/g", id="missing-colon"),
        pytest.param(f"postgresql://u:{SECRET}%zz@host/g", id="bad-escape"),
        pytest.param(f"hots=h password={SECRET}", id="unknown-key"),
    ],
)
def test_an_unreadable_address_is_refused_without_quoting_it(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GUICHETS_DATABASE_URL", text)
    with pytest.raises(
        ConfigurationError, match=r"^GUICHETS_DATABASE_URL cannot be read: expected "
    ) as refused:
        guichets_database.connect()
    assert SECRET not in str(refused.value)


def test_a_server_that_is_too_old_is_refused(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "OLDEST_VERSION", 99)
    with pytest.raises(DatabaseUnreachable, match=r"is version \d+: Guichets needs 99 or newer\.$"):
        guichets_database.connect(dsn=database.dsn)
