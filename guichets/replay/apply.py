"""Writes what a replay found: superseding observations and a dated erratum, in the caller's transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from guichets.catalogue import departements
from guichets.database.observations import insert_observations
from guichets.evidence import ArchiveWriter
from guichets.items import new_probe_id
from guichets.replay.reread import Change
from guichets.replay.visits import QUERIES
from guichets.rows import note_of, record_of

Figures = dict[tuple[str, str, date], dict[str, int]]


@dataclass(frozen=True, slots=True)
class Erratum:
    """One applied replay, as its row says it."""

    id: UUID
    parser_from: str
    parser_to: str
    changes: Mapping[str, Any]  # observations, outcomes, desks, days
    figures: Sequence[Mapping[str, Any]]  # daily availability before and after, where it moved
    note: str | None


def apply(
    connection: psycopg.Connection[Any],
    archive: ArchiveWriter,
    changes: Sequence[Change],
    *,
    note: str | None,
) -> Erratum:
    """Supersede each changed observation and record the erratum. Nothing is overwritten.

    The archive gets the note of each new observation first: should the transaction fail, notes without rows
    stay there, which claim nothing; a row without its note would have no proof.
    """
    records = [record_of(change.new, change.crawl) for change in changes]
    for change, record in zip(changes, records, strict=True):
        rests_on = [part.record_id for part in change.new.evidence if part.record_id is not None]
        archive.write_note(
            note_of(record), record_id=change.new.id.urn, at=change.new.observed_at, rests_on=rests_on
        )
    archive.sync()
    before = _figures(connection, changes)
    insert_observations(connection, records)
    erratum = Erratum(
        id=new_probe_id(),
        parser_from=", ".join(sorted({change.old.parser for change in changes})),
        parser_to=", ".join(sorted({change.new.parser for change in changes})),
        changes=summary(changes),
        figures=list(_moved(before, _figures(connection, changes))),
        note=note,
    )
    connection.execute(
        QUERIES["record_erratum"],
        {
            "id": erratum.id,
            "parser_from": erratum.parser_from,
            "parser_to": erratum.parser_to,
            "changes": Jsonb(erratum.changes),
            "figures": Jsonb(erratum.figures),
            "note": note,
        },
    )
    return erratum


def summary(changes: Sequence[Change]) -> dict[str, Any]:
    """How many observations changed from what to what, and on which desks and days (their own zone)."""
    known = departements()
    moves = Counter((change.old.outcome, change.new.outcome) for change in changes)
    days = {
        change.old.observed_at.astimezone(known[change.old.departement].zone).date() for change in changes
    }
    return {
        "observations": len(changes),
        "outcomes": [
            {"from": str(old), "to": str(new), "count": count} for (old, new), count in moves.most_common()
        ],
        "desks": sorted({change.old.desk for change in changes}),
        "days": [day.isoformat() for day in sorted(days)],
    }


def _figures(connection: psycopg.Connection[Any], changes: Sequence[Change]) -> Figures:
    """Daily availability where a change touches it; counters and other purposes enter no rate."""
    rated = [
        change.old
        for change in changes
        if change.old.counter is None
        and change.old.purpose == "baseline"
        and change.old.outcome is not change.new.outcome
    ]
    parameters = {
        "desks": [line.desk for line in rated],
        "departements": [line.departement for line in rated],
        "instants": [line.observed_at for line in rated],
    }
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(QUERIES["figures"], parameters).fetchall()
    return {
        (row["scope"], row["name"], row["day"]): {"offered": row["offered"], "rated": row["rated"]}
        for row in rows
    }


def _moved(before: Figures, after: Figures) -> Iterator[dict[str, Any]]:
    for key, was in sorted(before.items()):
        if was != after[key]:
            scope, name, day = key
            yield {
                "figure": "daily availability",
                scope: name,
                "day": day.isoformat(),
                "before": was,
                "after": after[key],
            }
