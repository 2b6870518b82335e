"""All that may be published, read once from the views of ``public_data``.

The site and the open data have no other source.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import psycopg
from psycopg.rows import dict_row

from guichets import configuration
from guichets.database import rollups
from guichets.database.queries import load_queries
from guichets.errors import DatabaseError
from guichets.statistics.facts import Counts, DeskDay
from guichets.statistics.figures import Floor
from guichets.statistics.periods import Quarter, quarters_between

QUERIES = load_queries("guichets.statistics", "observatory.sql")
DAYS_PER_BATCH = 2_000
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The thresholds figures are made with; each is a setting."""

    floor: Floor = field(default_factory=Floor)
    delay_limit_days: int = 60
    false_alarms: float = 0.05


@dataclass(frozen=True, slots=True)
class Place:
    """A département."""

    code: str
    name: str
    region: str
    published_until: date


@dataclass(frozen=True, slots=True)
class DeskFacts:
    """A desk, with all that was counted of it."""

    id: str
    departement: str
    office: str
    procedure: str
    family: str
    label: str
    url: str
    valid_from: date | None
    valid_to: date | None
    moved_to: str | None
    source: str | None
    observed_since: date
    observed_until: date | None
    days: list[DeskDay] = field(default_factory=list)
    first_delays: dict[date, dict[int, int]] = field(default_factory=dict)  # by month, then by days
    second_delays: dict[date, dict[int, int]] = field(default_factory=dict)
    openings: dict[date, list[tuple[int, int]]] = field(default_factory=dict)  # by first day of the quarter


@dataclass(frozen=True, slots=True)
class Observatory:
    """What is known and may be told."""

    places: Mapping[str, Place]
    desks: Mapping[str, DeskFacts]
    channels: Sequence[Row]
    releases: Sequence[Row]
    errata: Sequence[Row]

    @property
    def published_until(self) -> date | None:
        """The last day with a probe; None while nothing was observed."""
        return max((desk.days[-1].day for desk in self.desks.values() if desk.days), default=None)

    def quarters(self) -> list[Quarter]:
        """Those of which at least one day is known."""
        days = [desk.days for desk in self.desks.values() if desk.days]
        if not days:
            return []
        first, last = min(known[0].day for known in days), max(known[-1].day for known in days)
        return list(quarters_between(first, last))


def rules_in_force() -> Rules:
    """The thresholds of the settings. Raises ConfigurationError."""
    return Rules(
        floor=Floor(
            coverage=configuration.read("GUICHETS_COVERAGE_FLOOR"),
            probes=configuration.read("GUICHETS_PROBES_FLOOR"),
        ),
        delay_limit_days=configuration.read("GUICHETS_DELAY_LIMIT"),
        false_alarms=configuration.read("GUICHETS_FALSE_ALARMS"),
    )


def bring_up_to_date(connection: psycopg.Connection[Any]) -> None:
    """Count what was observed since last time, and set the delay; ``connection``: a writer's."""
    rollups.refresh(connection, patiently=True)
    while True:
        with connection.transaction():
            row = connection.execute("SELECT refresh_sequences(%s)", [DAYS_PER_BATCH]).fetchone()
        if not row or row[0] < DAYS_PER_BATCH:
            break
    with connection.transaction():
        connection.execute(
            "UPDATE publication SET delay = %(delay)s WHERE delay <> %(delay)s",
            {"delay": configuration.read("GUICHETS_PUBLICATION_DELAY")},
        )


def read_observatory(connection: psycopg.Connection[Any]) -> Observatory:
    """All of it, from one snapshot; ``connection``: the public role's."""
    with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        role = cursor.execute("SELECT current_user AS name").fetchone()
        if role is None or role["name"] != "guichets_public":
            raise DatabaseError(
                "what is published is read under the role guichets_public, and under no other"
            )
        places = {
            row["code"]: Place(row["code"], row["name"], row["region"], row["published_until"])
            for row in cursor.execute(QUERIES["departements"])
        }
        desks = {row["id"]: DeskFacts(**row) for row in cursor.execute(QUERIES["desks"]).fetchall()}
        _read_days(connection, desks)
        for row in cursor.execute(QUERIES["desk_delays"]):
            desk, month, days = desks[row["desk_id"]], row["month"], row["days"]
            if row["firsts"]:
                desk.first_delays.setdefault(month, {})[days] = row["firsts"]
            if row["seconds"]:
                desk.second_delays.setdefault(month, {})[days] = row["seconds"]
        for row in cursor.execute(QUERIES["openings"]):
            bounds = (row["at_least_minutes"], row["at_most_minutes"])
            desks[row["desk_id"]].openings.setdefault(row["quarter"], []).append(bounds)
        return Observatory(
            places,
            desks,
            cursor.execute(QUERIES["channels"]).fetchall(),
            cursor.execute(QUERIES["releases"]).fetchall(),
            cursor.execute(QUERIES["errata"]).fetchall(),
        )


def read_days_between(
    connection: psycopg.Connection[Any], first: date, last: date
) -> dict[str, list[DeskDay]]:
    """What was counted of each desk on its local days of a period; ``connection``: the public role's."""
    found: dict[str, list[DeskDay]] = {}
    with connection.cursor(binary=True) as cursor:
        cursor.execute(QUERIES["desk_days_between"], {"first": first, "last": last})
        for desk_id, entry in _desk_days(cursor):
            found.setdefault(desk_id, []).append(entry)
    return found


def _read_days(connection: psycopg.Connection[Any], desks: Mapping[str, DeskFacts]) -> None:
    with connection.cursor(binary=True) as cursor:
        cursor.execute(QUERIES["desk_days"])
        for desk_id, entry in _desk_days(cursor):
            desks[desk_id].days.append(entry)


def _desk_days(cursor: psycopg.Cursor[Any]) -> Iterator[tuple[str, DeskDay]]:
    """Hundreds of thousands of rows: in binary, and without a dictionary each."""
    for desk_id, day, *numbers, gaps in cursor:
        counts = Counts(*numbers)
        counts.gap_minutes = tuple(gaps or ())
        yield desk_id, DeskDay(day, counts)


def months_of(quarter: Quarter) -> tuple[date, date, date]:
    first = quarter.first
    return first, first.replace(month=first.month + 1), first.replace(month=first.month + 2)
