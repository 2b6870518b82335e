"""A day of four incidents, lived by the real schema and the real exporter, at a clock of our own.

The schema is built with ``now()`` replaced by a clock in a table, so that a day passes in seconds; what was
observed is written as crawls write it. Nothing else is changed.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import psycopg
import pytest

from guichets.database import rollups
from guichets.database.schema import ensure_roles
from monitoring import collector, machine
from monitoring.collector import Figures, GuichetsCollector
from monitoring.exporter import reader
from monitoring.machine import Machine
from tests.database_fixtures import Database
from tests.monitoring.scrapes import Labels, Scrape

MIDNIGHT = datetime(2026, 3, 10, tzinfo=UTC)
BEGINS, ENDS = MIDNIGHT + timedelta(hours=7), MIDNIGHT + timedelta(hours=21)
STEP = timedelta(minutes=10)

REDESIGN = MIDNIGHT + timedelta(hours=10)
STORM = MIDNIGHT + timedelta(hours=14)
KILL = MIDNIGHT + timedelta(hours=16)
DISK = MIDNIGHT + timedelta(hours=18)

REDESIGNED, OTHERS = "ezbooking", ("rdv_prefecture", "orion")
STORMY = "site-1-0.example"  # of a family that is otherwise well
KILLED = "node-2"
DEPARTEMENTS = ("13", "33", "59", "69", "75", "93")
DESKS_OF_A_FAMILY = 12

Timeline = dict[tuple[str, Labels], list[float | None]]
_Usage = namedtuple("_Usage", "total used free")


@dataclass(frozen=True, slots=True)
class Desk:
    number: int
    family: str
    departement: str
    host: str

    @property
    def id(self) -> str:
        return f"{self.family}-{self.number}".replace("_", "-")

    @property
    def minute(self) -> int:
        """When in each hour it is visited."""
        return (self.number * 5) % 60

    def node(self, at: datetime) -> str:
        """Who visits it; what a dead machine held goes to the others."""
        place = self.number % 3
        if place == 2 and at >= KILL:
            place = self.number // 3 % 2
        return f"node-{place}"


DESKS = [
    Desk(
        number=number,
        family=family,
        departement=DEPARTEMENTS[number % len(DEPARTEMENTS)],
        host=f"site-{place}-{number // 2}.example",
    )
    for place, family in enumerate((REDESIGNED, *OTHERS))
    for number in range(DESKS_OF_A_FAMILY)
]


class Day:
    """The day's database, and what the exporter told of it, ten minutes by ten minutes."""

    def __init__(self, database: Database, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
        self.at = BEGINS
        self._pauses: dict[str, tuple[datetime, timedelta]] = {}
        self._connection = database.connect_unchecked()
        _build(self._connection)
        slower = {name: _on_our_clock(query) for name, query in collector.QUERIES.items()}
        monkeypatch.setattr(collector, "QUERIES", slower)
        clock = SimpleNamespace(time=lambda: self.at.timestamp(), monotonic=lambda: self.at.timestamp())
        monkeypatch.setattr(collector, "time", clock)
        monkeypatch.setattr(machine, "shutil", SimpleNamespace(disk_usage=self._disk))
        connect = reader(database.dsn)
        self.figures = Figures(connect)
        self.collector = GuichetsCollector(
            connect=connect, figures=self.figures, machine=Machine(home, None), node="node-0"
        )

    def live(self) -> Timeline:
        """The whole day; each series has one value for each step, None where it was not told."""
        told: Timeline = {}
        steps = round((ENDS - BEGINS) / STEP)
        self._past_days()
        for number in range(steps):
            self.at = BEGINS + number * STEP
            self._connection.execute("UPDATE simulated.clock SET at = %s", [self.at])
            self._visit()
            self.figures.update(now=self.at.timestamp())
            for key, value in Scrape(self.collector.page()).samples.items():
                told.setdefault(key, [None] * steps)[number] = value
        return told

    def verdict(self, family: str) -> str:
        """World or robot?"""
        row = self._connection.execute(
            "SELECT verdict FROM changes_between(%(day)s, %(day)s) WHERE family = %(family)s",
            {"day": MIDNIGHT.date(), "family": family},
        ).fetchone()
        assert row is not None
        return str(row[0])

    def close(self) -> None:
        self.collector.close()
        self.figures.close()
        self._connection.close()

    def _past_days(self) -> None:
        """A quiet week, so that there are control desks, and the hour before."""
        hours = [1, *(24 * days for days in range(1, 7))]
        self._write(
            [
                _line(desk, BEGINS - timedelta(hours=hour, minutes=-desk.minute), "none", desk.node(BEGINS))
                for desk in DESKS
                for hour in hours
            ]
        )
        rollups.refresh(self._connection, patiently=True)

    def _visit(self) -> None:
        lines = []
        for desk in DESKS:
            if not self.at.minute <= desk.minute < self.at.minute + STEP // timedelta(minutes=1):
                continue
            until, pause = self._pauses.get(desk.host, (BEGINS, timedelta(minutes=20)))
            if self.at < until:
                continue
            outcome = "unrecognised" if desk.family == REDESIGNED and self.at >= REDESIGN else "none"
            if desk.host == STORMY and self.at >= STORM:
                outcome, until = "blocked", self.at + 2 * pause
                self._pauses[desk.host] = until, 2 * pause
                self._connection.execute(
                    """INSERT INTO host_events (host, at, what, until, who, why)
                    VALUES (%s, %s, 'refused', %s, 'node-0-1', 'HTTP 403')""",
                    [desk.host, self.at, until],
                )
            lines.append(_line(desk, self.at, outcome, desk.node(self.at)))
        self._write(lines)
        self._connection.execute(
            "UPDATE desks SET next_due_at = %s WHERE id = ANY (%s)",
            [self.at + timedelta(hours=1), [line["desk_id"] for line in lines]],
        )

    def _write(self, lines: list[dict[str, Any]]) -> None:
        with self._connection.cursor() as cursor:
            cursor.executemany(
                """INSERT INTO observations (id, probe, desk_id, family, departement, observed_at, outcome,
                    rule, purpose, requests, parser, worker, host)
                VALUES (%(id)s, %(id)s, %(desk_id)s, %(family)s, %(departement)s, %(observed_at)s,
                    %(outcome)s, %(rule)s, 'baseline', 3, 'readers@1', %(worker)s, %(host)s)""",
                lines,
            )

    def _disk(self, _: Path) -> _Usage:
        free = 40 if self.at >= DISK else 500
        return _Usage(1000, 1000 - free, free)


def _line(desk: Desk, at: datetime, outcome: str, node: str) -> dict[str, Any]:
    begun = int((at - timedelta(seconds=30)).timestamp() * 1000)
    number = (begun << 80) | (7 << 76) | (hash((desk.id, at.isoformat())) & (2**74 - 1)) | (2 << 62)
    return {
        "id": UUID(int=number & (2**128 - 1)),
        "desk_id": desk.id,
        "family": desk.family,
        "departement": desk.departement,
        "observed_at": at,
        "outcome": outcome,
        "rule": f"{desk.family}.{outcome}",
        "worker": f"{node}-4242",
        "host": desk.host,
    }


def _build(connection: psycopg.Connection[Any]) -> None:
    ensure_roles(connection)
    connection.execute(
        """CREATE SCHEMA simulated;
        CREATE TABLE simulated.clock (at timestamptz NOT NULL);
        GRANT USAGE ON SCHEMA simulated TO PUBLIC;
        GRANT SELECT ON simulated.clock TO PUBLIC;
        CREATE FUNCTION simulated.now() RETURNS timestamptz LANGUAGE sql STABLE
        AS 'SELECT at FROM simulated.clock'"""
    )
    connection.execute("INSERT INTO simulated.clock VALUES (%s)", [BEGINS])
    connection.execute(_on_our_clock(files("guichets.database").joinpath("schema.sql").read_text("utf-8")))
    connection.execute("SELECT ensure_partitions(%s, 2)", [BEGINS - timedelta(days=9)])
    for departement in DEPARTEMENTS:
        connection.execute(
            "INSERT INTO departements VALUES (%s, %s, 'r', 'c', 'Europe/Paris')", [departement, departement]
        )
        connection.execute("INSERT INTO offices (departement, name) VALUES (%s, 'Préfecture')", [departement])
    for desk in DESKS:
        connection.execute("INSERT INTO hosts (host) VALUES (%s) ON CONFLICT DO NOTHING", [desk.host])
        connection.execute(
            """INSERT INTO desks (id, family, departement, office_id, procedure, label, url, host, opened_at,
                next_due_at)
            SELECT %s, %s, %s, id, 'autre', 'Guichet', 'https://' || %s, %s, %s, %s
            FROM offices WHERE departement = %s""",
            [
                *(desk.id, desk.family, desk.departement, desk.host, desk.host),
                *(BEGINS - timedelta(days=30), BEGINS + timedelta(minutes=desk.minute), desk.departement),
            ],
        )


def _on_our_clock(text: str) -> str:
    return text.replace("clock_timestamp()", "now()").replace("now()", "simulated.now()")


@contextmanager
def lived_day(
    database: Database, monkeypatch: pytest.MonkeyPatch, home: Path
) -> Iterator[tuple[Day, Timeline]]:
    day = Day(database, monkeypatch, home)
    try:
        yield day, day.live()
    finally:
        day.close()
