from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest

from guichets.database import rollups
from tests.database.seeds import add_desk, observe
from tests.database_fixtures import Database

DAY = date(2025, 3, 20)
DEPARTEMENTS = ("13", "33", "59", "69", "75", "93")
DESKS = [f"desk-{number}" for number in range(12)]


@pytest.fixture
def owner(database: Database) -> Iterator[psycopg.Connection]:
    with database.connect() as connection:
        connection.execute("SELECT ensure_partitions('2025-02-01 00:00+00', 3)")
        for number, desk in enumerate(DESKS):
            add_desk(connection, desk, DEPARTEMENTS[number % len(DEPARTEMENTS)])
        yield connection


def _days(
    connection: psycopg.Connection, desk: str, outcome: str, days: range, parser: str = "test@1"
) -> None:
    for day in days:
        at = datetime(DAY.year, DAY.month, DAY.day, 9, tzinfo=UTC) - timedelta(days=day)
        observe(connection, desk, at.isoformat(), outcome, parser=parser)


def _verdict(connection: psycopg.Connection) -> tuple[Any, ...]:
    rollups.refresh(connection, patiently=True)
    row = connection.execute(
        "SELECT verdict, control_desks, changed, ours FROM changes_between(%(day)s, %(day)s)", {"day": DAY}
    ).fetchone()
    assert row is not None
    return row


def test_a_day_like_the_week_before_is_steady(owner: psycopg.Connection) -> None:
    for desk in DESKS:
        _days(owner, desk, "none", range(8))
    assert _verdict(owner) == ("steady", 12, 0, None)


def test_control_desks_that_change_everywhere_are_the_platform(owner: psycopg.Connection) -> None:
    for desk in DESKS:
        _days(owner, desk, "none", range(1, 8))
        _days(owner, desk, "unrecognised", range(1))
    assert _verdict(owner) == ("platform", 12, 12, None)


def test_control_desks_that_change_here_and_there_are_the_world(owner: psycopg.Connection) -> None:
    for number, desk in enumerate(DESKS):
        _days(owner, desk, "none", range(1, 8))
        _days(owner, desk, "offered" if number in (0, 6) else "none", range(1))
    assert _verdict(owner) == ("world", 12, 2, None)


def test_the_same_on_the_day_of_new_readers_may_be_us(owner: psycopg.Connection) -> None:
    for desk in DESKS:
        _days(owner, desk, "none", range(1, 8))
        _days(owner, desk, "closed", range(1), parser="test@2")
    assert _verdict(owner) == ("robot", 12, 12, "parser test@2")


def test_desks_that_change_all_the_time_are_no_controls(owner: psycopg.Connection) -> None:
    for desk in DESKS:
        _days(owner, desk, "none", range(0, 8, 2))
        _days(owner, desk, "offered", range(1, 8, 2))
    assert _verdict(owner) == ("insufficient", 0, 0, None)


def test_our_own_faults_change_no_desk(owner: psycopg.Connection) -> None:
    for desk in DESKS:
        _days(owner, desk, "none", range(1, 8))
        _days(owner, desk, "observer_fault", range(1))
    rollups.refresh(owner, patiently=True)
    assert owner.execute("SELECT FROM changes_between(%s, %s)", [DAY, DAY]).fetchall() == []


def test_what_was_there_from_the_beginning_is_no_marker(owner: psycopg.Connection) -> None:
    _days(owner, "desk-0", "none", range(3))
    rollups.refresh(owner, patiently=True)
    assert owner.execute("SELECT FROM markers").fetchall() == []


def test_rates_and_coverage_are_of_counted_baseline_probes(owner: psycopg.Connection) -> None:
    owner.execute("UPDATE desks SET opened_at = '2025-01-01 00:00+00'")
    outcomes = [
        "offered",
        "none",
        "none",
        "closed",
        "captcha",
        "overloaded",
        "unrecognised",
        "observer_fault",
    ]
    for number, outcome in enumerate(outcomes):
        at, probe = f"2025-03-20 {8 + number:02}:10+00", uuid.uuid4()
        owner.execute(
            """INSERT INTO baseline_visits (desk_id, slot_starts_at, begun_at, probe, fencing_token)
            VALUES ('desk-0', date_trunc('hour', %(at)s::timestamptz), %(at)s, %(probe)s, 1)""",
            {"at": at, "probe": probe},
        )
        observe(owner, "desk-0", at, outcome, probe=probe)
        observe(owner, "desk-0", at, "offered", purpose="watch")  # enters no rate
    rollups.refresh(owner, patiently=True)
    [row] = owner.execute(
        """SELECT slots_due, probes, offered, rated, barrier, dysfunction, unrecognised,
            observer_fault, observed
        FROM availability_between(%(day)s, %(day)s) WHERE desk_id = 'desk-0'""",
        {"day": DAY},
    )
    assert row == (18, 8, 1, 4, 1, 1, 1, 1, 6)
    [coverage] = owner.execute(
        "SELECT slots_due, observed FROM coverage_between(%(day)s, %(day)s) WHERE desk_id = 'desk-0'",
        {"day": DAY},
    )
    assert coverage == (row[0], row[8])
    [day] = owner.execute("SELECT offered, rated, observed FROM desk_days WHERE desk_id = 'desk-0'")
    assert day == (1, 4, 6)


def test_a_baseline_visit_keeps_when_it_was_due_and_totals_tell_the_delay(owner: psycopg.Connection) -> None:
    probe = uuid.uuid4()
    owner.execute("UPDATE desks SET next_due_at = '2025-03-20 08:00+00' WHERE id = 'desk-0'")
    owner.execute(
        """INSERT INTO baseline_visits (desk_id, slot_starts_at, begun_at, probe, fencing_token)
        VALUES ('desk-0', '2025-03-20 08:00+00', '2025-03-20 08:09+00', %s, 1)""",
        [probe],
    )
    owner.execute("UPDATE desks SET next_due_at = '2025-03-20 09:30+00' WHERE id = 'desk-0'")
    observe(owner, "desk-0", "2025-03-20 08:10+00", "none", probe=probe)
    rollups.refresh(owner, patiently=True)
    assert owner.execute("SELECT * FROM delay_totals").fetchall() == [
        ("ezbooking", 1, 600.0, [0, 0, 1, 0, 0, 0, 0])
    ]
