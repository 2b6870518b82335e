"""Reads what a constat tells of, from one snapshot of the database. Judges nothing."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

from guichets.constat.attempts import Days, DeskFacts
from guichets.constat.criterion import WeekSeen
from guichets.database.queries import load_queries
from guichets.errors import ArgumentError
from guichets.french import PARIS, day_in_words

QUERIES = load_queries("guichets.constat", "constat.sql")
LONGEST_DAYS = 366 * 2
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Correction:
    """An observation that was read again: what it said, and what stands in its place."""

    id: UUID
    at: datetime
    said: str
    newer_id: UUID
    says: str
    parser_from: str
    parser_to: str


@dataclass(frozen=True, slots=True)
class Erratum:
    """A dated correction that names the desk."""

    at: datetime
    parser_from: str
    parser_to: str
    note: str | None


@dataclass(frozen=True, slots=True)
class Gathered:
    """All that was read."""

    desk: DeskFacts
    days: Days
    first_seen: datetime  # of the desk or counter, ever
    rows: Sequence[Row]  # in the order of time
    corrections: Sequence[Correction]
    errata: Sequence[Erratum]
    offers_beside: Sequence[datetime]  # dates seen out of the period, in the calendar weeks it cuts


def last_day_told(now: datetime, delay: timedelta) -> date:
    """The last day, by the clock of Paris, that has been over for the publication delay."""
    return (now - delay).astimezone(PARIS).date() - timedelta(days=1)


def whole_weeks(days: Days, latest: date) -> Days:
    """The calendar weeks the days lie in, from Monday to Sunday, up to the last day that may be told."""
    first = days.first - timedelta(days=days.first.weekday())
    last = days.last + timedelta(days=6 - days.last.weekday())
    return Days(first, max(days.last, min(last, latest)))


def read_days(first: str | None, last: str | None, *, now: datetime, delay: timedelta) -> Days:
    """The period asked for. Raises ArgumentError for one that is none, or too fresh to be told."""
    days = Days(_day("--from", first), _day("--to", last))
    if days.last < days.first:
        raise ArgumentError(f"--to {days.last} : la période finirait avant de commencer ({days.first})")
    today = now.astimezone(PARIS).date()
    latest = last_day_told(now, delay)
    if days.last > today:
        raise ArgumentError(
            f"--to {days.last} : ce jour est à venir ; un constat ne dit que le passé, jusqu'au {latest}"
        )
    if days.last > latest:
        hours = round(delay.total_seconds() / 3600)
        raise ArgumentError(
            f"--to {days.last} : trop récent ; un jour n'est montré que {hours} heures après sa fin : "
            f"au plus tard --to {latest}"
        )
    if days.count > LONGEST_DAYS:
        raise ArgumentError(f"--from {days.first} : au plus {LONGEST_DAYS} jours, en voici {days.count}")
    return days


def gather(
    connection: psycopg.Connection[Any], desk_id: str, counter: str | None, days: Days, latest: date
) -> Gathered:
    """Raises ArgumentError for an unknown desk or counter, and for a period in which nothing was observed.

    ``latest``: the last day that may be told.
    """
    with connection.cursor(row_factory=dict_row) as cursor:
        desk = _read_desk(cursor, desk_id, counter)
        wanted = {"desk": desk_id, "counter": counter, "since": days.since, "until": days.until}
        seen = cursor.execute(QUERIES["seen_at_all"], wanted).fetchone()
        if seen is None or seen["first"] is None:
            raise ArgumentError(f"{_named(desk)} n'a encore jamais été observé")
        rows = cursor.execute(QUERIES["attempts"], wanted).fetchall()
        if not rows:
            raise ArgumentError(
                f"{_named(desk)} : aucune observation du {days.first} au {days.last} ; il y en a du "
                f"{_local(seen['first'])} au {_local(seen['last'])}"
            )
        corrections = [
            Correction(
                id=row["id"],
                at=row["observed_at"],
                said=row["outcome"],
                newer_id=row["newer_id"],
                says=row["newer_outcome"],
                parser_from=row["parser"],
                parser_to=row["newer_parser"],
            )
            for row in cursor.execute(QUERIES["corrected"], wanted)
        ]
        parsers = {(one.parser_from, one.parser_to) for one in corrections}
        errata = [
            Erratum(**row)
            for row in cursor.execute(QUERIES["errata"], wanted)
            if any(old in row["parser_from"] and new in row["parser_to"] for old, new in parsers)
        ]
        whole = whole_weeks(days, latest)
        beside = cursor.execute(
            QUERIES["offers_beside"], {**wanted, "week_since": whole.since, "week_until": whole.until}
        )
        offers = [row["observed_at"].astimezone(UTC) for row in beside]
    return Gathered(desk, days, seen["first"], rows, corrections, errata, offers)


def weeks_of_desks(
    connection: psycopg.Connection[Any], days: Days, departements: frozenset[str]
) -> list[tuple[Row, list[WeekSeen]]]:
    """Each desk of the catalogue that was observed, with its weeks; its words stand in the row."""
    parameters = {
        "since": days.since,
        "until": days.until,
        "departements": sorted(departements) or None,
    }
    found: dict[str, tuple[Row, list[WeekSeen]]] = {}
    with connection.cursor(row_factory=dict_row) as cursor:
        for row in cursor.execute(QUERIES["weeks_of_desks"], parameters):
            week = WeekSeen(
                monday=row["monday"],
                without=row["without"],
                offers=row["offers"],
                first_without=row["first_without"],
                last_without=row["last_without"],
            )
            found.setdefault(row["desk_id"], (row, []))[1].append(week)
    return [(row, [week for week in weeks if week.without or week.offers]) for row, weeks in found.values()]


def _read_desk(cursor: psycopg.Cursor[dict[str, Any]], desk_id: str, counter: str | None) -> DeskFacts:
    row = cursor.execute(QUERIES["desk"], {"desk": desk_id}).fetchone()
    if row is None:
        ids = [one["id"] for one in cursor.execute(QUERIES["desk_ids"])]
        near = difflib.get_close_matches(desk_id, ids, n=1, cutoff=0.5)
        hint = f' Vouliez-vous dire "{near[0]}" ?' if near else " `guichets catalogue list` les montre."
        raise ArgumentError(f'--desk : aucun guichet "{desk_id}".{hint}')
    if counter is None:
        return DeskFacts(**row)
    counters = {one["key"]: one["label"] for one in cursor.execute(QUERIES["counters"], {"desk": desk_id})}
    if counter not in counters:
        known = ", ".join(f'"{key}" ({label or "sans nom"})' for key, label in sorted(counters.items()))
        hint = f"ses sous-choix : {known}" if known else "ce guichet n'en a aucun"
        raise ArgumentError(f'--counter : {desk_id} n\'a pas de sous-choix "{counter}" ; {hint}')
    return DeskFacts(**row, counter_key=counter, counter_label=counters[counter])


def _named(desk: DeskFacts) -> str:
    return f"{desk.id}, sous-choix {desk.counter_key}" if desk.counter_key else desk.id


def _day(option: str, text: str | None) -> date:
    if text is None:
        raise ArgumentError(f"{option} : donner un jour, tel que 2026-03-01")
    try:
        day = date.fromisoformat(text.strip())
        if not 2000 <= day.year < 2200:
            raise ValueError(text)
    except ValueError:
        raise ArgumentError(f'{option} : "{text}" n\'est pas un jour ; écrire 2026-03-01') from None
    return day


def _local(instant: datetime) -> str:
    return day_in_words(instant.astimezone(UTC).astimezone(PARIS).date())
