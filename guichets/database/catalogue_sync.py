"""Copies a checked catalogue into PostgreSQL; what leaves the files is closed with a date, never deleted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from guichets import __version__
from guichets.catalogue.model import Catalogue, Channel, Desk, HostRule
from guichets.database.queries import load_queries

QUERIES = load_queries("guichets.database", "catalogue_sync.sql")
ATTEMPTS = 3  # a crawl may hold rows of desks or hosts in another order than ours

_CHANNEL_KEY = ("office_id", "procedure", "channel", "valid_from")
_OfficeIds = dict[tuple[str, str], int]  # by département and name


@dataclass(frozen=True, slots=True)
class SyncReport:
    """How many desks were what; channels, offices and hosts follow and are not counted."""

    added: int = 0
    changed: int = 0
    closed: int = 0  # left the files
    reopened: int = 0  # came back
    unchanged: int = 0
    # Folder and instant of the version replaced, if ours had been in force before it and comes back now.
    taken_back: tuple[str, datetime] | None = field(default=None, compare=False)


def sync_catalogue(connection: psycopg.Connection, catalogue: Catalogue, now: datetime) -> SyncReport:
    """Bring the database's copy in line with ``catalogue``, in one transaction, one caller at a time.

    Nothing is written when this version of this program synced this very version last. ``connection`` needs
    the role writer or owner; ``now`` (aware) dates what is opened and closed.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with connection.transaction():
                if _is_last_synced(connection, catalogue):
                    return SyncReport(unchanged=len(catalogue.desks))
                connection.execute(QUERIES["lock"])
                if _is_last_synced(connection, catalogue):  # by whoever held the lock
                    return SyncReport(unchanged=len(catalogue.desks))
                return _sync(connection, catalogue, now)
        except psycopg.errors.DeadlockDetected:
            if attempt == ATTEMPTS or connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                raise
    raise AssertionError("unreachable: the last attempt returns or raises")


def _is_last_synced(connection: psycopg.Connection, catalogue: Catalogue) -> bool:
    row = connection.execute(QUERIES["last_version"]).fetchone()
    return bool(catalogue.version) and row == (catalogue.version, __version__, len(catalogue.desks))


def _sync(connection: psycopg.Connection, catalogue: Catalogue, now: datetime) -> SyncReport:
    taken_back = connection.execute(QUERIES["taken_back"], {"version": catalogue.version}).fetchone()
    _sync_departements(connection, catalogue)
    office_ids = _sync_offices(connection, (*catalogue.desks, *catalogue.channels))
    _sync_hosts(connection, catalogue)
    report = _sync_desks(connection, catalogue.desks, office_ids, now)
    _sync_channels(connection, catalogue.channels, office_ids, now)
    connection.execute(
        QUERIES["add_version"],
        {
            "version": catalogue.version,
            "program": __version__,
            "folder": catalogue.folder,
            "now": now,
            "desks": len(catalogue.desks),
        },
    )
    return replace(report, taken_back=(taken_back[0], taken_back[1]) if taken_back else None)


def _sync_departements(connection: psycopg.Connection, catalogue: Catalogue) -> None:
    _execute_each(
        connection,
        "upsert_departement",
        [
            {
                "code": departement.code,
                "name": departement.name,
                "region": departement.region,
                "chef_lieu": departement.chef_lieu,
                "timezone": departement.timezone,
            }
            for _, departement in sorted(catalogue.departements.items())
        ],
    )


def _sync_offices(connection: psycopg.Connection, places: Iterable[Desk | Channel]) -> _OfficeIds:
    known = {(row["departement"], row["name"]) for row in _rows(connection, "offices")}
    wanted = {(place.departement, place.office) for place in places}
    _execute_each(
        connection,
        "add_office",
        [{"departement": departement, "name": name} for departement, name in sorted(wanted - known)],
    )
    return {(row["departement"], row["name"]): row["id"] for row in _rows(connection, "offices")}


def _sync_hosts(connection: psycopg.Connection, catalogue: Catalogue) -> None:
    rules = {rule.host: rule for rule in catalogue.hosts}
    wanted = {desk.host for desk in catalogue.desks} | rules.keys()
    known = {row["host"] for row in _rows(connection, "hosts")}
    _execute_each(connection, "add_host", [{"host": host} for host in sorted(wanted - known)])
    changed = []
    for row in sorted(_rows(connection, "hosts"), key=lambda row: str(row["host"])):
        ruled = _ruled(row, rules.get(row["host"]))
        if ruled != row:
            changed.append(ruled)
    _execute_each(connection, "rule_host", changed)


def _ruled(row: dict[str, Any], rule: HostRule | None) -> dict[str, Any]:
    """The row as the rule wants it. What an operator forbade stays forbidden whatever the files say."""
    wanted = dict(row, min_delay_seconds=rule.delay_seconds if rule else None)
    if row["forbidden_by"] != "operator":
        forbidden = rule is not None and rule.forbidden
        wanted["forbidden"] = forbidden
        wanted["forbidden_why"] = rule.note if rule and forbidden else None
        wanted["forbidden_by"] = "catalogue" if forbidden else None
    return wanted


def _sync_desks(
    connection: psycopg.Connection, desks: Iterable[Desk], office_ids: _OfficeIds, now: datetime
) -> SyncReport:
    stored = {row.pop("id"): row for row in _rows(connection, "desks")}
    added, updated, report = [], [], SyncReport()
    for desk in sorted(desks, key=lambda desk: desk.id):
        values = _desk_values(desk, office_ids)
        row = stored.pop(desk.id, None)
        parameters = {**values, "id": desk.id, "params": Jsonb(values["params"]), "now": now}
        if row is None:
            added.append(parameters)
            report = replace(report, added=report.added + 1)
        elif row.pop("is_closed"):
            updated.append(parameters)
            report = replace(report, reopened=report.reopened + 1)
        elif row != values:
            updated.append(parameters)
            report = replace(report, changed=report.changed + 1)
        else:
            report = replace(report, unchanged=report.unchanged + 1)
    gone = [{"id": desk_id, "now": now} for desk_id, row in sorted(stored.items()) if not row["is_closed"]]
    _execute_each(connection, "add_desk", added)
    _execute_each(connection, "change_desk", updated)
    _execute_each(connection, "close_desk", gone)
    return replace(report, closed=len(gone))


def _desk_values(desk: Desk, office_ids: _OfficeIds) -> dict[str, Any]:
    return {
        "family": desk.family,
        "departement": desk.departement,
        "office_id": office_ids[desk.departement, desk.office],
        "procedure": desk.procedure,
        "label": desk.label,
        "url": desk.url,
        "params": dict(desk.params),
        "host": desk.host,
        "valid_from": desk.valid_from,
        "valid_to": desk.valid_to,
        "moved_to": desk.moved_to,
        "source": desk.source,
        "note": desk.note,
    }


def _sync_channels(
    connection: psycopg.Connection, channels: Iterable[Channel], office_ids: _OfficeIds, now: datetime
) -> None:
    stored = {tuple(row[name] for name in _CHANNEL_KEY): row for row in _rows(connection, "channels")}
    added, updated = [], []
    for channel in channels:
        values = {
            "office_id": office_ids[channel.departement, channel.office],
            "departement": channel.departement,
            "procedure": channel.procedure,
            "channel": channel.channel,
            "exclusive": channel.exclusive,
            "valid_from": channel.valid_from,
            "valid_to": channel.valid_to,
            "source": channel.source,
            "note": channel.note,
        }
        row = stored.pop(tuple(values[name] for name in _CHANNEL_KEY), None)
        if row is None:
            added.append(values)
        elif row != {**values, "id": row["id"], "is_closed": False}:
            updated.append({**values, "id": row["id"]})
    gone = [{"id": row["id"], "now": now} for row in stored.values() if not row["is_closed"]]
    _execute_each(connection, "add_channel", added)
    _execute_each(connection, "change_channel", updated)
    _execute_each(connection, "close_channel", gone)


def _rows(connection: psycopg.Connection, query: str) -> list[dict[str, Any]]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(QUERIES[query]).fetchall()


def _execute_each(connection: psycopg.Connection, query: str, parameters: list[dict[str, Any]]) -> None:
    if parameters:
        with connection.cursor() as cursor:
            cursor.executemany(QUERIES[query], parameters)
