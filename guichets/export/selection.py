"""Which observations are exported, read from PostgreSQL without ever holding them all."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
from psycopg.rows import dict_row

from guichets.catalogue import departements
from guichets.database.queries import load_queries
from guichets.errors import ArgumentError
from guichets.evidence.scrub import scrub_url

ROWS_PER_FETCH = 2_000  # what the server sends at a time: a few megabytes at most

_PARIS = ZoneInfo("Europe/Paris")
_YEARS = range(1970, 2200)  # far from what a time zone could push out of the calendar


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What to export; an empty set means all."""

    since: datetime | None = None  # aware, included
    until: datetime | None = None  # aware, left out
    departements: frozenset[str] = frozenset()
    desks: frozenset[str] = frozenset()
    families: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.since and self.until and self.since >= self.until:
            raise ArgumentError(f"--since {self.since} does not come before --until {self.until}")


def read_instant(option: str, text: str | None, *, whole_day: bool = False) -> datetime | None:
    """A date or instant as people write it; without a zone, that of Paris.

    A date stands for its first instant, or for the instant after it with ``whole_day``.
    Raises ArgumentError.
    """
    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text.strip())
        is_day = len(text.strip()) <= len("2026-03-01")
        if instant.year not in _YEARS:
            raise ValueError(text)
        if is_day and whole_day:
            instant = datetime.combine(date.fromisoformat(text.strip()) + timedelta(days=1), time())
    except ValueError:
        raise ArgumentError(
            f'{option}: "{text}" is not a date: write 2026-03-01, or 2026-03-01T08:00 for Paris time'
        ) from None
    return instant if instant.tzinfo else instant.replace(tzinfo=_PARIS)


def unknown_desks(connection: psycopg.Connection[Any], desks: frozenset[str]) -> list[str]:
    """Those of the desks that the database has never heard of."""
    query = load_queries("guichets.export", "export.sql")["unknown_desks"]
    rows = connection.execute(query, {"desks": sorted(desks)}).fetchall()
    return [str(desk_id) for (desk_id,) in rows]


def read_observations(
    connection: psycopg.Connection[Any], selection: Selection
) -> Generator[dict[str, Any], None, None]:
    """The exported fields of each observation, in the order of time, from one snapshot."""
    query = load_queries("guichets.export", "export.sql")["export_observations"]
    with (
        connection.transaction(),
        connection.cursor(name="guichets_export", row_factory=dict_row) as cursor,
    ):
        cursor.itersize = ROWS_PER_FETCH
        cursor.execute(
            query,
            {
                "since": selection.since,
                "until": selection.until,
                "departements": sorted(selection.departements) or None,
                "desks": sorted(selection.desks) or None,
                "families": sorted(selection.families) or None,
            },
        )
        for row in cursor:
            yield _exported(row)


def _exported(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as people get it; the only place where zones are put on."""
    zone = departements()[row["departement"]].zone
    fields = dict(row)
    has_time = fields.pop("slot_has_time")
    return fields | {
        "id": str(row["id"]),
        "observed_at": row["observed_at"].astimezone(UTC),
        "first_slot": _slot(row["first_slot"], zone, has_time=has_time),
        "second_slot": _slot(row["second_slot"], zone, has_time=has_time),
        "evidence": [part | {"url": scrub_url(part["url"], row["family"])} for part in row["evidence"]],
    }


def _slot(instant: datetime | None, zone: ZoneInfo, *, has_time: bool | None) -> datetime | date | None:
    if instant is None:
        return None
    local = instant.astimezone(zone)
    return local.date() if has_time is False else local
