from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tests.database.seeds import observe
from tests.database_fixtures import Database


def _bounds(connection: psycopg.Connection, parent: str) -> dict[str, str]:
    connection.execute("SET TIME ZONE 'UTC'")
    return dict(
        connection.execute(
            """SELECT relname, pg_get_expr(relpartbound, oid)
            FROM pg_class JOIN pg_inherits ON inhrelid = oid WHERE inhparent = %s::regclass""",
            [parent],
        ).fetchall()
    )


@pytest.mark.parametrize(
    ("instant", "months_ahead", "expected"),
    [
        pytest.param("2019-03-15 12:00+00", 0, ["2019_03"], id="one-month"),
        pytest.param("2019-11-30 23:59:59+00", 2, ["2019_11", "2019_12", "2020_01"], id="year-end"),
        pytest.param("2020-01-31 12:00+00", 1, ["2020_01", "2020_02"], id="from-the-31st-to-february"),
        pytest.param("2019-04-01 00:30+02", 0, ["2019_03"], id="dst-march-april-first-in-paris-is-march-utc"),
        pytest.param("2019-10-27 02:30+02", 1, ["2019_10", "2019_11"], id="dst-night-october"),
        pytest.param("2020-01-01 00:30+01", 0, ["2019_12"], id="new-year-in-paris-is-december-utc"),
        pytest.param("2019-12-31 21:30-03", 0, ["2020_01"], id="new-years-eve-overseas-is-january-utc"),
    ],
)
def test_partitions_are_months_of_utc_whatever_the_sessions_zone(
    database: Database, instant: str, months_ahead: int, expected: list[str]
) -> None:
    with database.connect("writer") as connection:
        before = _bounds(connection, "observations")
        connection.execute("SET TIME ZONE 'Europe/Paris'")
        made = connection.execute("SELECT ensure_partitions(%s, %s)", [instant, months_ahead]).fetchone()
        assert made == (2 * len(expected),)
        for parent in ("observations", "slots"):
            bounds = _bounds(connection, parent)
            new = sorted(name for name in bounds if name[-7:] in expected)
            assert new == [f"{parent}_{month}" for month in expected]
            for name in new:
                year, month = int(name[-7:-3]), int(name[-2:])
                after = f"{year + month // 12:04}-{month % 12 + 1:02}"
                assert bounds[name] == (
                    f"FOR VALUES FROM ('{year:04}-{month:02}-01 00:00:00+00') TO ('{after}-01 00:00:00+00')"
                )
        assert len(_bounds(connection, "observations")) == len(before) + len(expected)
        again = connection.execute("SELECT ensure_partitions(%s, %s)", [instant, months_ahead]).fetchone()
        assert again == (0,)


def test_the_last_instant_of_a_month_and_the_first_of_the_next_find_their_partitions(
    database: Database,
) -> None:
    with database.connect() as connection:
        connection.execute("SELECT ensure_partitions('2019-12-15 12:00+00', 1)")
        observe(connection, "d", "2019-12-31 23:59:59.999999+00", "none")
        observe(connection, "d", "2020-01-01 00:00:00+00", "none")
        found = connection.execute("SELECT tableoid::regclass::text FROM observations ORDER BY observed_at")
        assert found.fetchall() == [("observations_2019_12",), ("observations_2020_01",)]


def test_an_observation_of_a_month_without_partition_is_refused_by_name(database: Database) -> None:
    with database.connect() as connection, pytest.raises(psycopg.errors.CheckViolation, match="no partition"):
        observe(connection, "d", "2009-01-01 00:00+00", "none")


def test_sessions_that_make_the_same_partitions_at_once_all_succeed(database: Database) -> None:
    def make(_: int) -> int:
        with database.connect("writer") as connection:
            row = connection.execute("SELECT ensure_partitions('2017-01-01 00:00+00', 11)").fetchone()
            assert row is not None
            return int(row[0])

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(make, range(4))) == 24


def test_making_a_partition_does_not_wait_for_a_reader_or_a_writer(database: Database) -> None:
    with database.connect() as busy, database.connect("writer") as connection:
        connection.execute("SET lock_timeout = '10s'")
        with busy.transaction():
            busy.execute("SELECT ensure_partitions('2019-03-01 00:00+00', 0)")
        with busy.transaction():
            busy.execute("SELECT count(*) FROM observations")
            observe(busy, "d", "2019-03-02 00:00+00", "none")
            assert connection.execute("SELECT ensure_partitions('2018-03-01 00:00+00', 0)").fetchone() == (2,)


def test_partitions_carry_the_indexes_of_their_table(database: Database) -> None:
    with database.connect() as connection:
        connection.execute("SELECT ensure_partitions('2019-03-01 00:00+00', 0)")
        query = "SELECT count(*) FROM pg_index WHERE indrelid = %s::regclass"
        indexes, of_the_table = (
            connection.execute(query, [table]).fetchone()
            for table in ("observations_2019_03", "observations")
        )
        assert indexes == of_the_table
        assert of_the_table is not None
        assert of_the_table[0] > 1


@pytest.mark.parametrize("months_ahead", [-1, 121])
def test_an_unlikely_number_of_months_is_refused(database: Database, months_ahead: int) -> None:
    with (
        database.connect("writer") as connection,
        pytest.raises(
            psycopg.errors.RaiseException, match=f"months_ahead is {months_ahead}, expected 0 to 120"
        ),
    ):
        connection.execute("SELECT ensure_partitions(now(), %s)", [months_ahead])
