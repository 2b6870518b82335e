from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import conninfo

from tests.database_fixtures import TEMPLATE, Database, _fresh
from tests.monitoring.seeding import seed_catalogue, seed_observations

DESKS = 204  # two in each département
DAYS = 8


@pytest.fixture(scope="session")
def seeded_country(database_server: str) -> Iterator[Database]:
    """Eight days of two hundred desks; each test takes a copy, or reads only."""
    with contextmanager(_fresh)(database_server, TEMPLATE) as database:
        with database.connect() as connection:
            connection.execute("SET synchronous_commit = off")
            seed_catalogue(connection, desks=DESKS, days=DAYS)
            seed_observations(connection, days=DAYS)
            add_events(connection)
        yield database


@pytest.fixture
def country(seeded_country: Database, database_server: str) -> Iterator[Database]:
    """A copy to change at will."""
    template = str(conninfo.conninfo_to_dict(seeded_country.dsn)["dbname"])
    yield from _fresh(database_server, template)


def add_events(connection: psycopg.Connection) -> None:
    """One of each thing that happens beside observations, so that every panel has something to show."""
    connection.execute(
        """INSERT INTO crawls (
            id, family, worker, version, started_at, finished_at, finish_reason, stats, archive
        )
        SELECT gen_random_uuid(), 'ezbooking', 'node-' || n % 3 || '-' || n, '0.' || n / 5,
            now() - (10 - n) * interval '5 hours',
            now() - (10 - n) * interval '5 hours' + interval '50 minutes',
            'finished', '{"downloader/response_bytes": 100000, "downloader/request_count": 50}',
            '00000000-0000-4000-8000-000000000001'
        FROM generate_series(1, 9) AS n"""
    )
    connection.execute(
        """INSERT INTO crawls (id, family, worker, version, started_at)
        VALUES (gen_random_uuid(), 'ezbooking', 'node-1-99', '0.2', now() - interval '10 minutes')"""
    )
    connection.execute(
        """INSERT INTO host_events (host, at, what, until, who, why)
        SELECT 'site-1.example', now() - n * interval '10 minutes', 'refused', now() + interval '30 minutes',
            'node-1-99', 'HTTP 403'
        FROM generate_series(1, 4) AS n
        UNION ALL
        SELECT 'site-2.example', now() - interval '1 day', 'forbidden', NULL, 'operator@desk',
            'asked by its owner'"""
    )
    connection.execute(
        """UPDATE hosts SET lease_owner = 'node-1-99', lease_expires_at = now() + interval '1 hour'
        WHERE host IN ('site-3.example', 'site-4.example')"""
    )
    connection.execute(
        """UPDATE hosts SET paused_until = now() + interval '1 hour', last_refusal_at = now()
        WHERE host = 'site-1.example'"""
    )
    connection.execute(
        """UPDATE hosts SET lease_owner = 'node-2-7', lease_expires_at = now() - interval '1 hour'
        WHERE host = 'site-5.example'"""
    )
    connection.execute(
        """INSERT INTO observations (id, probe, desk_id, family, departement, observed_at, outcome, rule,
            purpose, requests, parser, worker, host)
        SELECT gen_random_uuid(), gen_random_uuid(), id, family, departement, now() - interval '5 minutes',
            'offered', 'r', 'watch', 4, family || '@1', 'node-0-1', host
        FROM desks
        ORDER BY id
        LIMIT 5"""
    )
    connection.execute("UPDATE watch_planner SET planned_until = now() + interval '1 minute'")
    connection.execute("UPDATE watch_totals SET planned = 70, dropped = 20 WHERE reason = 'release'")
    connection.execute(
        """INSERT INTO watch_states
        SELECT id, 'x', 'Europe/Paris', now(), now(), now(), 300, 6,
            ARRAY(SELECT CASE WHEN hour % 24 = 9 THEN 0.5 ELSE 0.01 END FROM generate_series(0, 167) AS hour),
            '[{"kind": "daily", "weekdays": [1, 2, 3, 4, 5], "local_time": "09:00:00", "minutes_of_hour": [],
               "spread_minutes": 3, "usual_length_minutes": 12, "confidence": 0.8, "since": "2026-03-02",
               "evidence": 40}]'
        FROM desks"""
    )
    connection.execute(
        """INSERT INTO catalogue_versions (version, program, folder, synced_at, desks)
        VALUES (repeat('a', 64), '0.1', 'data', now() - interval '2 days', 400)"""
    )
    connection.execute(
        """INSERT INTO seals VALUES ('00000000-0000-4000-8000-000000000001',
            (now() - interval '2 days')::date, 10, repeat('0', 64), repeat('1', 64))"""
    )
    connection.execute(
        """INSERT INTO versions_seen
        SELECT 'parser', 'ezbooking', 'ezbooking@2', now() - interval '3 hours', now()"""
    )
    connection.execute(
        "UPDATE desks SET next_due_at = now() - interval '1 hour' WHERE id IN ('desk-1', 'desk-2')"
    )
    connection.execute("SELECT refresh_rollups(10000, true)")
