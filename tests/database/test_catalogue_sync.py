from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest

from guichets import database as guichets_database
from guichets.catalogue import departements, load
from guichets.catalogue.model import Catalogue, Channel, Desk, HostRule
from guichets.database import SyncReport, sync_catalogue
from tests.database_fixtures import Database

NOW = datetime(2025, 3, 20, 12, tzinfo=UTC)
LATER = NOW + timedelta(days=1)


def _desk(name: str, **fields: Any) -> Desk:
    known: dict[str, Any] = {
        "id": name,
        "family": "ezbooking",
        "departement": "92",
        "office": "Préfecture des Hauts-de-Seine",
        "procedure": "remise_titre",
        "label": "Remise d'un titre",
        "url": f"https://www.hauts-de-seine.gouv.fr/booking/create/{name}",
    }
    return Desk(**(known | fields))


def _catalogue(version: str, *desks: Desk, **parts: Any) -> Catalogue:
    return Catalogue(departements(), desks, folder="/somewhere", version=version, **parts)


def _desk_rows(connection: psycopg.Connection, columns: str) -> dict[str, tuple[Any, ...]]:
    return {row[0]: row[1:] for row in connection.execute(f"SELECT id, {columns} FROM desks").fetchall()}


def test_the_bundled_catalogue_arrives_whole_and_a_second_sync_changes_nothing(database: Database) -> None:
    catalogue = load()
    with database.connect("writer") as connection:
        assert sync_catalogue(connection, catalogue, NOW) == SyncReport(added=len(catalogue.desks))
        again = replace(catalogue, version="the same desks in other words")
        assert sync_catalogue(connection, again, LATER) == SyncReport(unchanged=len(catalogue.desks))
        counts = [
            *connection.execute("SELECT count(*) FROM desks"),
            *connection.execute("SELECT count(*) FROM departements"),
            *connection.execute("SELECT count(*) FROM hosts"),
        ]
    assert [count for (count,) in counts] == [
        len(catalogue.desks),
        len(catalogue.departements),
        len({desk.host for desk in catalogue.desks} | {rule.host for rule in catalogue.hosts}),
    ]


def test_a_desk_that_leaves_the_files_is_closed_and_one_that_comes_back_is_reopened(
    database: Database,
) -> None:
    with database.connect("writer") as connection:
        sync_catalogue(connection, _catalogue("1", _desk("a"), _desk("b")), NOW)
        assert sync_catalogue(connection, _catalogue("2", _desk("a")), LATER) == SyncReport(
            closed=1, unchanged=1
        )
        assert _desk_rows(connection, "opened_at, closed_at") == {"a": (NOW, None), "b": (NOW, LATER)}
        # closing again keeps the first date
        sync_catalogue(connection, _catalogue("3", _desk("a", label="x")), LATER + timedelta(days=1))
        assert _desk_rows(connection, "closed_at")["b"] == (LATER,)
        back = LATER + timedelta(days=2)
        report = sync_catalogue(connection, _catalogue("4", _desk("a", label="x"), _desk("b")), back)
        assert report == SyncReport(reopened=1, unchanged=1)
        assert _desk_rows(connection, "opened_at, closed_at, next_due_at")["b"] == (NOW, None, back)


def test_a_changed_desk_is_corrected_and_keeps_its_due_time(database: Database) -> None:
    due = NOW + timedelta(hours=3)
    with database.connect("writer") as connection:
        sync_catalogue(connection, _catalogue("1", _desk("a")), NOW)
        connection.execute("UPDATE desks SET next_due_at = %s, last_probed_at = %s", [due, NOW])
        changed = _desk(
            "a",
            label="Autre libellé",
            office="Sous-préfecture d'Antony",
            url="http://127.0.0.20:8001/booking/create/1",
            params={"site": 3},
            valid_to=date(2025, 6, 1),
        )
        assert sync_catalogue(connection, _catalogue("2", changed), LATER) == SyncReport(changed=1)
        assert _desk_rows(connection, "label, host, params, valid_to, next_due_at, last_probed_at") == {
            "a": ("Autre libellé", "127.0.0.20:8001", {"site": 3}, date(2025, 6, 1), due, NOW)
        }
        office = connection.execute(
            "SELECT name FROM desks JOIN offices ON offices.id = office_id"
        ).fetchone()
        assert office == ("Sous-préfecture d'Antony",)


def test_the_rules_of_hosts_come_and_go_and_the_pace_of_a_host_is_kept(database: Database) -> None:
    host = _desk("a").host
    pace = "next_request_at, paused_until, strikes, fencing_token, lease_owner, requests_today"
    kept = (NOW, LATER, 2, 7, "worker", 41)

    def row(connection: psycopg.Connection) -> tuple[Any, ...] | None:
        rules = "min_delay_seconds, forbidden, forbidden_why, forbidden_by"
        return connection.execute(f"SELECT {rules}, {pace} FROM hosts WHERE host = %s", [host]).fetchone()

    with database.connect("writer") as connection:
        sync_catalogue(connection, _catalogue("1", _desk("a")), NOW)
        connection.execute(f"UPDATE hosts SET ({pace}) = (%s, %s, %s, %s, %s, %s)", kept)
        slow = HostRule(host=host, delay_seconds=30.0)
        sync_catalogue(connection, _catalogue("2", _desk("a"), hosts=(slow,)), LATER)
        assert row(connection) == (30.0, False, None, None, *kept)
        away = HostRule(host=host, forbidden=True, note="asked by the préfecture")
        sync_catalogue(connection, _catalogue("3", _desk("a"), hosts=(away,)), LATER)
        assert row(connection) == (None, True, "asked by the préfecture", "catalogue", *kept)
        sync_catalogue(connection, _catalogue("4", _desk("a")), LATER)
        assert row(connection) == (None, False, None, None, *kept)


def test_what_an_operator_forbade_stays_forbidden_whatever_the_files_say(database: Database) -> None:
    with database.connect("writer") as connection:
        sync_catalogue(connection, _catalogue("1", _desk("a")), NOW)
        connection.execute(
            "UPDATE hosts SET forbidden = true, forbidden_by = 'operator', forbidden_why = 'a call'"
        )
        sync_catalogue(connection, _catalogue("2", _desk("a", label="x")), LATER)
        forbidden = connection.execute("SELECT forbidden, forbidden_why FROM hosts").fetchall()
    assert forbidden == [(True, "a call")]


def test_channels_follow_the_files_too(database: Database) -> None:
    phone = Channel(
        office="Préfecture de la Vienne", departement="86", procedure="renouvellement", channel="phone"
    )
    mail = replace(phone, channel="mail", valid_from=date(2017, 1, 1))
    query = "SELECT channel, exclusive, closed_at FROM channels ORDER BY channel"
    with database.connect("writer") as connection:
        sync_catalogue(connection, _catalogue("1", channels=(phone, mail)), NOW)
        sync_catalogue(connection, _catalogue("2", channels=(replace(phone, exclusive=True),)), LATER)
        assert connection.execute(query).fetchall() == [("mail", False, LATER), ("phone", True, None)]
        sync_catalogue(connection, _catalogue("3", channels=(phone, mail)), LATER)
        assert connection.execute(query).fetchall() == [("mail", False, None), ("phone", False, None)]


def test_the_version_in_force_is_skipped_without_a_write(database: Database) -> None:
    catalogue = _catalogue("1", _desk("a"))
    with database.connect("writer") as connection:
        sync_catalogue(connection, catalogue, NOW)
        before = connection.execute("SELECT pg_current_wal_insert_lsn()").fetchone()
        assert sync_catalogue(connection, catalogue, LATER) == SyncReport(unchanged=1)
        assert connection.execute("SELECT pg_current_wal_insert_lsn()").fetchone() == before
        recorded = connection.execute("SELECT version, folder, synced_at, desks FROM catalogue_versions")
        assert recorded.fetchall() == [("1", "/somewhere", NOW, 1)]


def test_an_earlier_version_that_returns_is_synced_again(database: Database) -> None:
    with database.connect("writer") as connection:
        sync_catalogue(connection, _catalogue("1", _desk("a")), NOW)
        sync_catalogue(connection, _catalogue("2", _desk("b")), NOW)
        assert sync_catalogue(connection, _catalogue("1", _desk("a")), LATER) == SyncReport(
            reopened=1, closed=1
        )


def test_syncs_at_the_same_time_neither_double_nor_block_each_other(database: Database) -> None:
    catalogue = load()
    backwards = replace(catalogue, desks=catalogue.desks[::-1], version="backwards")

    def sync(loaded: Catalogue) -> SyncReport:
        with guichets_database.connect("writer", dsn=database.dsn) as connection:
            return sync_catalogue(connection, loaded, NOW)

    with ThreadPoolExecutor(4) as pool:
        reports = list(pool.map(sync, [catalogue, backwards] * 2))
    assert sum(report.added for report in reports) == len(catalogue.desks)
    assert all(report.changed == report.closed == report.reopened == 0 for report in reports)


def test_a_deadlock_with_a_crawl_is_tried_again(database: Database) -> None:
    desks = [_desk("a"), _desk("b")]
    with database.connect("writer") as connection, database.connect("writer") as crawl:
        sync_catalogue(connection, _catalogue("1", *desks), NOW)
        changed = _catalogue("2", *(replace(desk, label="x") for desk in desks))
        with ThreadPoolExecutor(1) as pool, crawl.transaction():
            crawl.execute("UPDATE desks SET last_probed_at = %s WHERE id = 'b'", [NOW])
            syncing = pool.submit(sync_catalogue, connection, changed, LATER)
            _wait_until_blocked(database, connection.info.backend_pid)
            # the sync holds a and waits for b: one of the two must give way, and it is not always the sync
            try:
                with crawl.transaction():
                    crawl.execute("UPDATE desks SET last_probed_at = %s WHERE id = 'a'", [NOW])
            except psycopg.errors.DeadlockDetected:
                pass
        assert syncing.result(timeout=60) == SyncReport(changed=2)


def _wait_until_blocked(database: Database, pid: int) -> None:
    with database.connect() as watcher:
        for _ in range(3000):
            row = watcher.execute("SELECT cardinality(pg_blocking_pids(%s)) > 0", [pid]).fetchone()
            if row == (True,):
                return
            watcher.execute("SELECT pg_sleep(0.01)")
    raise AssertionError("the sync never waited")


def test_a_sync_that_fails_leaves_everything_as_it_was(database: Database) -> None:
    with database.connect("writer") as connection:
        sync_catalogue(connection, _catalogue("1", _desk("a")), NOW)
        broken = _catalogue("2", _desk("b"), _desk("c", departement="00"))
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            sync_catalogue(connection, broken, LATER)
        assert _desk_rows(connection, "closed_at") == {"a": (None,)}
        assert connection.execute("SELECT count(*) FROM catalogue_versions").fetchone() == (1,)
