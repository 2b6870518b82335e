from __future__ import annotations

import re
from datetime import UTC, datetime

import psycopg
import pytest

from tests.database.seeds import add_desk, observe
from tests.database_fixtures import Database

AT = "2025-03-20 12:00+00"


@pytest.fixture
def seeded(database: Database) -> Database:
    with database.connect() as connection:
        connection.execute("SELECT ensure_partitions('2025-01-01 00:00+00', 3)")
    return database


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _departements(connection: psycopg.Connection) -> dict[str, dict[str, object]]:
    with connection.cursor(row_factory=psycopg.rows.dict_row) as cursor:
        rows = cursor.execute("SELECT * FROM departement_status_at(%s)", [AT]).fetchall()
    return {row["departement"]: row for row in rows}


def test_the_view_has_the_columns_others_rely_on(database: Database) -> None:
    with database.connect("reader") as connection:
        description = connection.execute("SELECT * FROM departement_status").description
    assert [column.name for column in description or []] == [
        *("departement", "name", "region", "desks", "offered", "none", "closed", "dysfunction", "barrier"),
        *("unrecognised", "other", "not_yet_observed", "first_slot", "second_slot", "last_observed_at"),
        *("first_slot_has_time", "second_slot_has_time"),
    ]


def test_each_desk_counts_once_by_its_latest_desk_level_outcome(seeded: Database) -> None:
    outcomes = ["offered", "none", "none", "closed", "overloaded", "unreachable", "captcha", "blocked"]
    outcomes += ["unrecognised", "open", "moved", "gone", "observer_fault"]
    with seeded.connect() as connection:
        for number, outcome in enumerate(outcomes):
            add_desk(connection, f"desk-{number}")
            observe(connection, f"desk-{number}", "2025-02-01 10:00+00", "closed")  # older, in another month
            observe(connection, f"desk-{number}", "2025-03-10 10:00+00", outcome)
            # a counter's line, even a newer one, is not the desk's
            observe(connection, f"desk-{number}", "2025-03-10 10:00:01+00", "offered", counter_key="1")
        add_desk(connection, "never-observed")
        add_desk(connection, "left-the-catalogue", closed_at="2025-03-01 00:00+00")
        observe(connection, "left-the-catalogue", "2025-03-15 10:00+00", "offered")
        add_desk(connection, "elsewhere", "93")
        status = _departements(connection)
    assert list(status) == ["92", "93"]
    figures = {name: value for name, value in status["92"].items() if isinstance(value, int)}
    assert figures == {
        "desks": 14,
        "offered": 1,
        "none": 2,
        "closed": 1,
        "dysfunction": 2,
        "barrier": 2,
        "unrecognised": 1,
        "other": 4,
        "not_yet_observed": 1,
    }
    assert status["92"]["last_observed_at"] == _at("2025-03-10 10:00")
    assert status["93"]["desks"] == status["93"]["not_yet_observed"] == 1
    assert status["93"]["last_observed_at"] is None


def test_the_two_dates_are_the_earliest_distinct_future_ones_of_desks_now_offered(seeded: Database) -> None:
    with seeded.connect() as connection:
        for desk in ("a", "b", "c", "d"):
            add_desk(connection, desk)
        timed = {"slot_has_time": True}
        seen = "2025-03-20 11:00+00"
        observe(
            *(connection, "a", seen, "offered"),
            **timed,
            first_slot="2025-03-20 11:30+00",  # has passed meanwhile
            second_slot="2025-03-25 09:00+00",
        )
        observe(
            *(connection, "b", seen, "offered"),
            **timed,
            first_slot="2025-03-25 09:00+00",  # the same instant as a's
            second_slot="2025-04-02 09:00+00",
        )
        observe(
            *(connection, "c", "2025-03-20 10:00+00", "offered"),
            **timed,
            first_slot="2025-03-21 09:00+00",
        )
        observe(connection, "c", seen, "none")  # no longer offered
        status = _departements(connection)["92"]
        assert (status["first_slot"], status["second_slot"]) == (
            _at("2025-03-25 09:00"),
            _at("2025-04-02 09:00"),
        )
        # a day without a time counts until it is over: the 20th in Paris begins on the 19th at 23:00 UTC
        observe(connection, "d", seen, "offered", slot_has_time=False, first_slot="2025-03-19 23:00+00")
        status = _departements(connection)["92"]
    assert (status["first_slot"], status["first_slot_has_time"]) == (_at("2025-03-19 23:00"), False)
    assert (status["second_slot"], status["second_slot_has_time"]) == (_at("2025-03-25 09:00"), True)


def test_without_a_future_date_there_is_none(seeded: Database) -> None:
    with seeded.connect() as connection:
        add_desk(connection, "a")
        observe(
            connection,
            "a",
            "2025-03-01 10:00+00",
            "offered",
            first_slot="2025-03-02 10:00+00",
            slot_has_time=True,
        )
        status = _departements(connection)["92"]
    assert (status["offered"], status["first_slot"], status["second_slot"]) == (1, None, None)


def test_desk_status_reads_one_index_entry_per_desk_and_partition(seeded: Database) -> None:
    with seeded.connect() as connection:
        for number in range(60):
            add_desk(connection, f"desk-{number}")
        connection.execute(
            """INSERT INTO observations (id, probe, desk_id, family, departement, observed_at, outcome, rule,
                purpose, requests, parser, worker, host)
            SELECT gen_random_uuid(), gen_random_uuid(), 'desk-' || n % 60, 'ezbooking', '92',
                '2025-01-01 00:00+00'::timestamptz + n * interval '10 minutes', 'none', 'r',
                'baseline', 1, 'p', 'w', 'host.example'
            FROM generate_series(1, 12000) AS n"""
        )
        connection.execute("ANALYZE")
        plan = "\n".join(
            row[0] for row in connection.execute("EXPLAIN (ANALYZE, COSTS off) SELECT * FROM desk_status")
        )
    # read newest first, the older months are never touched once a row is found
    assert "Index Scan using observations_2025_03_desk_id_observed_at_idx" in plan
    # of an empty month a plan may name the table itself; what counts is that no whole month is read
    assert not re.search(r"Seq Scan on observations.*(?<!never executed\))$", plan, re.MULTILINE), plan
    january = plan[plan.index("observations_2025_01_desk_id") :].splitlines()[0]
    assert "never executed" in january, plan


def test_a_superseded_observation_counts_no_more_and_stays(seeded: Database) -> None:
    with seeded.connect() as connection:
        add_desk(connection, "a")
        seen = "2025-03-10 10:00+00"
        wrong = observe(connection, "a", seen, "none", parser="test/1")
        again = observe(connection, "a", seen, "unrecognised", parser="test/2", supersedes=wrong)
        assert _departements(connection)["92"]["unrecognised"] == 1
        right = observe(connection, "a", seen, "offered", parser="test/3", supersedes=again)
        assert _departements(connection)["92"]["offered"] == 1
        in_force = connection.execute("SELECT id FROM observations_in_force").fetchall()
        assert in_force == [(right,)]
        assert connection.execute("SELECT count(*) FROM observations").fetchone() == (3,)


def test_whether_an_observation_is_superseded_is_looked_up_in_its_own_month(seeded: Database) -> None:
    with seeded.connect() as connection:
        add_desk(connection, "a")
        for month in (1, 2, 3):
            for day in range(1, 28):
                observe(connection, "a", f"2025-{month:02}-{day:02} 10:00+00", "none")
        connection.execute("ANALYZE")
        plan = "\n".join(
            row[0] for row in connection.execute("EXPLAIN (ANALYZE, COSTS off) SELECT * FROM desk_status")
        )
    assert "observations_2025_03_supersedes_idx" in plan
    executed = [line for line in plan.splitlines() if "supersedes" in line and "never executed" not in line]
    assert not [line for line in executed if "2025_01_supersedes_idx" in line], plan
