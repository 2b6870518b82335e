from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest

from guichets.database import rollups
from tests.database.seeds import add_desk, observe
from tests.database_fixtures import Database

FIGURES = """SELECT desk_id, counter_key, day, purpose, counted, outcome::text, probes, with_first_slot,
    first_slot_days_sum, first_slot_days_min, first_slot_days_histogram, slots_sum, absurd, by_hour
    FROM daily_outcomes"""
RECOUNTED = """SELECT line.desk_id, line.counter_key, local_day(line.departement, line.observed_at),
    line.purpose,
    line.purpose = 'baseline' AND EXISTS (SELECT FROM baseline_visits WHERE probe = line.probe),
    line.outcome::text, count(*)
    FROM observations_in_force AS line GROUP BY 1, 2, 3, 4, 5, 6"""


@pytest.fixture
def owner(database: Database) -> Iterator[psycopg.Connection]:
    with database.connect() as connection:
        connection.execute("SELECT ensure_partitions('2025-01-01 00:00+00', 14)")
        add_desk(connection, "a")
        add_desk(connection, "b")
        yield connection


def _uuid7(at: datetime) -> uuid.UUID:
    return uuid.UUID(
        int=(int(at.timestamp() * 1000) << 80) | (7 << 76) | (2 << 62) | uuid.uuid4().int % 2**60
    )


def _visit(connection: psycopg.Connection, desk: str, slot: str, probe: uuid.UUID) -> None:
    connection.execute(
        """INSERT INTO baseline_visits (desk_id, slot_starts_at, begun_at, probe, fencing_token)
        VALUES (%(desk)s, %(slot)s, %(slot)s, %(probe)s, 1)
        ON CONFLICT (desk_id, slot_starts_at) DO UPDATE SET probe = excluded.probe""",
        {"desk": desk, "slot": slot, "probe": probe},
    )


def _rows(connection: psycopg.Connection, query: str = FIGURES) -> list[tuple[Any, ...]]:
    return sorted(connection.execute(query), key=repr)


def _agrees(connection: psycopg.Connection) -> bool:
    return [row[:7] for row in _rows(connection)] == _rows(connection, RECOUNTED)


def test_a_day_is_the_day_of_the_desks_zone_and_the_hour_too(owner: psycopg.Connection) -> None:
    observe(owner, "a", "2025-03-30 00:30+00", "none")  # 01:30, the night the clocks go forward
    observe(owner, "a", "2025-03-30 01:30+00", "none")  # 03:30
    observe(owner, "a", "2025-03-30 22:30+00", "none")  # 00:30 on the 31st
    rollups.refresh(owner)
    found = {row[2]: row[-1] for row in _rows(owner)}
    assert found.keys() == {date(2025, 3, 30), date(2025, 3, 31)}
    assert [hour for hour, count in enumerate(found[date(2025, 3, 30)]) if count] == [1, 3]
    assert found[date(2025, 3, 31)][0] == 1


def test_refreshing_again_changes_nothing_and_takes_nothing(owner: psycopg.Connection) -> None:
    observe(owner, "a", "2025-03-10 10:00+00", "none")
    assert rollups.refresh(owner) == 1
    before = _rows(owner), _rows(owner, "SELECT * FROM probe_totals")
    assert rollups.refresh(owner) == 0
    assert (_rows(owner), _rows(owner, "SELECT * FROM probe_totals")) == before


def test_what_arrives_late_is_counted_on_its_day(owner: psycopg.Connection) -> None:
    observe(owner, "a", "2025-03-10 10:00+00", "none")
    rollups.refresh(owner)
    observe(owner, "a", "2025-01-31 23:59+00", "offered")  # drained from a spool, in another month
    observe(owner, "a", "2025-03-10 11:00+00", "none", counter_key="1")
    rollups.refresh(owner)
    assert _agrees(owner)
    assert len(_rows(owner)) == 3


def test_a_correction_takes_the_place_of_what_it_corrects_and_no_total_falls(
    owner: psycopg.Connection,
) -> None:
    first = observe(owner, "a", "2025-03-10 10:00+00", "unrecognised")
    rollups.refresh(owner)
    observe(owner, "a", "2025-03-10 10:00+00", "none", supersedes=first, parser="test/2")
    rollups.refresh(owner)
    assert [row[5] for row in _rows(owner)] == ["none"]
    assert _rows(owner, "SELECT outcome::text, probes FROM probe_totals") == [("unrecognised", 1)]


def test_only_the_probe_a_slot_belongs_to_is_counted_even_when_it_changes_hands(
    owner: psycopg.Connection,
) -> None:
    first, second = uuid.uuid4(), uuid.uuid4()
    _visit(owner, "a", "2025-03-10 10:00+00", first)
    observe(owner, "a", "2025-03-10 10:05+00", "none", probe=first)
    observe(owner, "a", "2025-03-10 10:20+00", "offered", purpose="watch")
    rollups.refresh(owner)
    assert {(row[5], row[4]) for row in _rows(owner)} == {("none", True), ("offered", False)}
    _visit(owner, "a", "2025-03-10 10:00+00", second)  # begun again; the second probe sees nothing
    rollups.refresh(owner)
    assert {(row[5], row[4]) for row in _rows(owner)} == {("none", False), ("offered", False)}
    assert _agrees(owner)


def test_refreshers_at_the_same_time_count_everything_once(
    database: Database, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollups, "BATCH_ROWS", 50)
    start = datetime(2025, 2, 1, tzinfo=UTC)
    done = threading.Event()

    def write() -> None:
        with database.connect("writer") as connection:
            for number in range(300):
                at = start + timedelta(hours=number)
                observe(connection, "ab"[number % 2], at.isoformat(), "none", probe=_uuid7(at))
        done.set()

    def work() -> None:
        with database.connect("reader") as connection:
            while not done.is_set():
                rollups.refresh(connection)

    threads = [threading.Thread(target=write), *(threading.Thread(target=work) for _ in range(3))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rollups.refresh(owner, patiently=True)
    assert _agrees(owner)
    assert _rows(owner, "SELECT sum(probes)::int, sum(timed)::int FROM probe_totals") == [(300, 300)]
    assert rollups.waiting(owner) == 0


def test_the_impatient_leaves_and_the_patient_waits(database: Database, owner: psycopg.Connection) -> None:
    observe(owner, "a", "2025-03-10 10:00+00", "none")
    with database.connect() as other:
        other.execute("BEGIN")
        other.execute("SELECT pg_advisory_xact_lock(hashtextextended('guichets.rollups', 0))")
        assert rollups.refresh(owner) == 0
        waiter = threading.Thread(target=rollups.refresh, args=(owner,), kwargs={"patiently": True})
        waiter.start()
        waiter.join(0.2)
        assert waiter.is_alive()
        other.execute("COMMIT")
        waiter.join()
    assert rollups.waiting(owner) == 0


def test_what_was_not_committed_is_not_taken(database: Database, owner: psycopg.Connection) -> None:
    with database.connect("writer") as writer:
        writer.execute("BEGIN")
        observe(writer, "a", "2025-03-10 10:00+00", "none")
        observe(owner, "a", "2025-03-10 11:00+00", "none")
        assert rollups.refresh(owner) == 1
        writer.execute("COMMIT")
    assert rollups.refresh(owner) == 1
    assert _agrees(owner)


@pytest.mark.parametrize(
    ("columns", "dates", "absurd", "slots"),
    [
        pytest.param({"first_slot": "1970-01-01 00:00+00"}, 0, 1, 0, id="first-slot-in-1970"),
        pytest.param({"first_slot": "infinity"}, 0, 1, 0, id="first-slot-never"),
        pytest.param(
            {"first_slot": "2025-03-12 08:00+00", "slot_count": 10**9}, 1, 1, 10_000, id="10^9-slots"
        ),
        pytest.param(
            {"first_slot": "2025-03-09 23:00+00", "slot_count": 3}, 1, 0, 3, id="today-without-time"
        ),
        pytest.param({"slot_count": -1}, 0, 1, 0, id="fewer-than-no-slots"),
        pytest.param({"evidence": '{"not": "a list"}'}, 0, 0, 0, id="evidence-of-another-shape"),
        pytest.param({"evidence": '[{"size": "big"}, 3]'}, 0, 0, 0, id="size-that-is-no-number"),
        pytest.param({"departement": "XX"}, 0, 0, 0, id="departement-unknown"),
        pytest.param({"desk_id": "not-in-the-catalogue"}, 0, 0, 0, id="desk-unknown"),
    ],
)
def test_absurd_values_are_clamped_and_counted(
    owner: psycopg.Connection, columns: dict[str, Any], dates: int, absurd: int, slots: int
) -> None:
    observe(owner, columns.pop("desk_id", "a"), "2025-03-10 10:00+00", "offered", **columns)
    rollups.refresh(owner)
    [row] = _rows(owner)
    assert (row[7], row[12], row[11]) == (dates, absurd, slots)
    assert _rows(owner, "SELECT absurd::int FROM probe_totals") == [(absurd,)]


def test_delays_are_whole_days_in_the_desks_zone_and_fall_into_one_class_each(
    owner: psycopg.Connection,
) -> None:
    days = (0, 1, 2, 3, 7, 8, 14, 30, 31, 60, 90, 91, 400)
    seen = datetime(2025, 3, 10, 10, 0, tzinfo=UTC)
    for number, delay in enumerate(days):
        at = seen + timedelta(minutes=number)
        observe(owner, "a", at.isoformat(), "offered", first_slot=(at + timedelta(days=delay)).isoformat())
    rollups.refresh(owner)
    [row] = _rows(owner)
    assert row[7:11] == (len(days), sum(days), 0, [2, 2, 1, 2, 1, 2, 1, 2])


def test_totals_tell_duration_requests_and_bytes(owner: psycopg.Connection) -> None:
    begun = datetime(2025, 3, 10, 10, 0, tzinfo=UTC)
    observe(
        *(owner, "a", (begun + timedelta(seconds=42)).isoformat(), "none"),
        probe=_uuid7(begun),
        requests=4,
        step="2",
        evidence='[{"size": 1000}, {"size": 500}]',
    )
    observe(owner, "a", (begun + timedelta(seconds=42)).isoformat(), "none", requests=4, step="2")  # UUIDv4
    rollups.refresh(owner)
    [(step, probes, requests, asked, size, timed, seconds, took)] = owner.execute(
        """SELECT step, probes, requests, requests_histogram, bytes, timed, seconds_sum, seconds_histogram
        FROM probe_totals"""
    )
    assert (step, probes, requests, asked) == ("2", 2, 8, [0, 0, 0, 0, 2, 0, 0, 0])
    assert (size, timed, round(seconds)) == (1500, 1, 42)
    assert took == [0, 0, 0, 0, 0, 1, 0, 0, 0]


def test_a_crawl_counts_once_when_it_ends_and_its_version_is_seen_when_it_begins(
    owner: psycopg.Connection,
) -> None:
    crawl = uuid.uuid4()
    owner.execute(
        """INSERT INTO crawls (id, family, worker, version, started_at)
        VALUES (%s, 'ezbooking', 'node-1', '9.9', '2025-03-10 10:00+00')""",
        [crawl],
    )
    rollups.refresh(owner)
    assert _rows(owner, "SELECT kind, version FROM versions_seen") == [("program", "9.9")]
    assert _rows(owner, "SELECT * FROM crawl_totals") == []
    for _ in range(2):
        owner.execute(
            """UPDATE crawls SET finished_at = now(), finish_reason = 'finished',
            stats = '{"guichets/gate_refused": 2, "downloader/response_bytes": 1000}' WHERE id = %s""",
            [crawl],
        )
    rollups.refresh(owner)
    assert _rows(owner, "SELECT * FROM crawl_totals") == [("ezbooking", "finished", 1, 0, 1000, 2)]


@pytest.mark.parametrize(
    ("worker", "node"),
    [("machine-a-4242", "machine-a"), ("node-a/ezbooking-20261124-0915-3f2c", "node-a"), ("mine", "mine")],
)
def test_a_node_is_the_worker_without_process_or_job(
    owner: psycopg.Connection, worker: str, node: str
) -> None:
    observe(owner, "a", "2025-03-10 10:00+00", "blocked", worker=worker)
    rollups.refresh(owner)
    assert _rows(owner, "SELECT node, conclusive_at FROM nodes_seen") == [(node, None)]


def test_slots_due_are_those_of_coverage(owner: psycopg.Connection) -> None:
    owner.execute(
        "UPDATE desks SET opened_at = '2025-03-02 12:34+00', closed_at = '2025-03-30 09:59+00' WHERE id = 'b'"
    )
    add_desk(owner, "97", "974")
    owner.execute("UPDATE departements SET timezone = 'Indian/Reunion' WHERE code = '974'")
    days = "('2025-02-27', '2025-04-02')"
    assert _rows(
        owner, f"SELECT desk_id, day, slots_due FROM slots_due_between{days} WHERE slots_due > 0"
    ) == _rows(owner, f"SELECT desk_id, day, slots_due::int FROM coverage_between{days} WHERE slots_due > 0")


def test_freshness_is_the_last_conclusive_observation_and_of_a_silent_desk_its_arrival(
    owner: psycopg.Connection,
) -> None:
    observe(owner, "a", "2025-03-10 10:00+00", "overloaded")
    observe(owner, "a", "2025-03-11 10:00+00", "blocked")
    rollups.refresh(owner)
    found = dict(owner.execute("SELECT desk_id, conclusive_at FROM desk_freshness").fetchall())
    assert found == {"a": datetime(2025, 3, 10, 10, tzinfo=UTC), "b": None}


def test_nobody_but_the_refresh_changes_a_rollup(database: Database) -> None:
    for role in ("reader", "writer"):
        with database.connect(role) as connection:  # type: ignore[arg-type]
            for statement in (
                "DELETE FROM daily_outcomes",
                "UPDATE probe_totals SET probes = 0",
                "DELETE FROM rollup_queue",
                "SELECT recompute_days('{}', '{}')",
            ):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(statement)
