"""What the role of the site and the open data can read, and what it cannot."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import psycopg
import pytest

from guichets import database as guichets_database
from guichets.database import rollups
from tests.database.seeds import add_desk, observe
from tests.database_fixtures import Database

PARIS = ZoneInfo("Europe/Paris")
VIEWS = (
    "departements",
    "offices",
    "desks",
    "channels",
    "desk_days",
    "desk_delays",
    "openings",
    "releases",
    "errata",
)


def probe(connection: psycopg.Connection, at: datetime, outcome: str, **columns: object) -> None:
    """A counted baseline probe in the hour's slot, which must be one of the day."""
    connection.execute("SELECT ensure_partitions(%s, 0)", [at])
    local = at.astimezone(PARIS).replace(minute=0, second=0, microsecond=0)
    observed = observe(connection, "92-desk", at.isoformat(), outcome, **columns)
    connection.execute(
        "INSERT INTO baseline_visits SELECT %s, %s, %s, probe, 1 FROM observations WHERE id = %s",
        ["92-desk", local, at, observed],
    )


def refresh(connection: psycopg.Connection) -> None:
    rollups.refresh(connection, patiently=True)
    while connection.execute("SELECT refresh_sequences(1000)").fetchone() != (0,):
        pass


def at(day: date, hour: int, minute: int = 30) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=PARIS).astimezone(UTC)


def test_the_public_role_reads_the_views_and_nothing_else(database: Database) -> None:
    with database.connect() as owner:
        relations = owner.execute(
            """SELECT oid::regclass::text FROM pg_class
            WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'S')"""
        ).fetchall()
    with guichets_database.connect("public", dsn=database.dsn, autocommit=True) as connection:
        for view in VIEWS:
            connection.execute(f"SELECT * FROM {view}")
        assert len(relations) > 30
        for (relation,) in relations:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"SELECT * FROM public.{relation}")
        for statement in (
            "SELECT public.refresh_rollups(1, true)",
            "SELECT public.refresh_sequences(1)",
            "UPDATE public.publication SET delay = '24 hours'",
            "CREATE TABLE public_data.mine ()",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def test_a_fresh_day_is_held_back_and_no_trick_of_the_reader_sees_it(database: Database) -> None:
    now = datetime.now(UTC)
    slot = now + timedelta(days=12)
    with database.connect() as owner:
        add_desk(owner, "92-desk")
        # an hour of the day on each of the last six days, so that each falls in a slot of an hour
        for days in range(6):
            day = now.astimezone(PARIS).date() - timedelta(days=days)
            if at(day, 12) < now:
                probe(owner, at(day, 12), "offered", first_slot=slot, slot_has_time=True)
        refresh(owner)
        kept = owner.execute("SELECT max(day) FROM daily_outcomes").fetchone()
    with guichets_database.connect("public", dsn=database.dsn, autocommit=True) as connection:
        until = connection.execute("SELECT published_until FROM departements").fetchone()
        assert until == ((now - timedelta(hours=48)).astimezone(PARIS).date() - timedelta(days=1),)
        seen = connection.execute("SELECT max(day) FROM desk_days WHERE offered > 0").fetchone()
        assert seen == until
        assert kept is not None
        assert kept > until
        notices: list[str] = []
        connection.add_notice_handler(lambda notice: notices.append(notice.message_primary or ""))
        connection.execute(
            """CREATE FUNCTION pg_temp.leak(day date) RETURNS boolean LANGUAGE plpgsql COST 0.0000001
            AS $$ BEGIN RAISE NOTICE 'saw %', day; RETURN true; END $$"""
        )
        connection.execute("SELECT * FROM desk_days WHERE pg_temp.leak(day)")
        assert notices
        assert max(notice.removeprefix("saw ") for notice in notices) <= until[0].isoformat()


def test_the_delay_is_a_day_at_least(database: Database) -> None:
    with database.connect("writer") as connection:
        connection.execute("UPDATE publication SET delay = '72 hours'")
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute("UPDATE publication SET delay = '1 hour'")


def test_a_sequence_tells_pairs_changes_and_delays(database: Database) -> None:
    day = date(2026, 3, 10)
    slot = at(date(2026, 3, 25), 9, 0)
    with database.connect() as owner:
        add_desk(owner, "92-desk")
        probe(owner, at(day, 8), "none")
        probe(owner, at(day, 9), "offered", first_slot=slot, slot_has_time=True)
        probe(owner, at(day, 10), "unreachable")
        probe(owner, at(day, 11), "closed")
        probe(owner, at(day + timedelta(days=1), 7, 10), "offered", first_slot=slot, slot_has_time=True)
        refresh(owner)
        assert owner.execute(
            "SELECT day, pairs_day, pairs_edge, pairs_night FROM daily_sequences ORDER BY day"
        ).fetchall() == [
            (day, 1, 0, 0),
            (day + timedelta(days=1), 0, 0, 0),
        ]
        changes = owner.execute(
            "SELECT changed_by, offers, consecutive FROM daily_changes ORDER BY changed_by"
        ).fetchall()
        assert changes == [
            (at(day, 9), True, True),
            (at(day, 11), False, False),
            (at(day + timedelta(days=1), 7, 10), True, False),
        ]
        assert owner.execute(
            "SELECT day, days, firsts, seconds FROM daily_delays ORDER BY day"
        ).fetchall() == [
            (day, 15, 1, 0),
            (day + timedelta(days=1), 14, 1, 0),
        ]
    with guichets_database.connect("public", dsn=database.dsn, autocommit=True) as connection:
        row = connection.execute(
            "SELECT offered, closed, unreachable, observed, slots_due, gap_minutes FROM desk_days "
            "WHERE day = %s",
            [day],
        ).fetchone()
        assert row == (1, 1, 1, 4, 18, [60])
        # between 9:30 and 9:30; between 8:30 and 11:30
        assert connection.execute("SELECT at_least_minutes, at_most_minutes FROM openings").fetchall() == [
            (0, 180)
        ]
        assert connection.execute("SELECT month, days, firsts FROM desk_delays ORDER BY days").fetchall() == [
            (date(2026, 3, 1), 14, 1),
            (date(2026, 3, 1), 15, 1),
        ]


def test_a_late_probe_has_its_day_and_the_next_one_counted_again(database: Database) -> None:
    day = date(2026, 3, 10)
    with database.connect() as owner:
        add_desk(owner, "92-desk")
        probe(owner, at(day, 8), "none")
        probe(owner, at(day + timedelta(days=1), 8), "none")
        refresh(owner)
        assert owner.execute("SELECT count(*) FROM daily_changes").fetchone() == (0,)
        probe(owner, at(day, 20), "offered")
        refresh(owner)
        changes = owner.execute(
            "SELECT changed_after, changed_by, offers FROM daily_changes ORDER BY changed_by"
        ).fetchall()
        assert changes == [
            (at(day, 8), at(day, 20), True),
            (at(day, 20), at(day + timedelta(days=1), 8), False),
        ]
        assert owner.execute("SELECT count(*) FROM sequence_queue").fetchone() == (0,)
