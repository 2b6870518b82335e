"""Holds: why archived pages stay beyond retention, because a figure or a dispute rests on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import class_row, dict_row

from guichets.database.queries import load_queries
from guichets.evidence.errors import BrokenRecord
from guichets.evidence.exchange import EvidenceRef
from guichets.items import new_probe_id

QUERIES = load_queries("guichets.proof", "proof.sql")
REF_FIELDS = ("file", "offset", "length", "sha256", "record_id", "digest")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """One hold; what is None does not narrow it."""

    id: UUID
    reason: str
    observation: UUID | None = None
    desk_id: str | None = None
    departement: str | None = None
    since: datetime | None = None  # included
    until: datetime | None = None  # left out
    keep_until: date | None = None  # last day it holds, UTC; None: until it is released
    held_at: datetime | None = None
    released_at: datetime | None = None

    def is_in_force(self, today: date) -> bool:
        return self.released_at is None and (self.keep_until is None or self.keep_until >= today)


def read_holds(connection: psycopg.Connection[Any]) -> list[Hold]:
    with connection.cursor(row_factory=class_row(Hold)) as cursor:
        return cursor.execute(QUERIES["holds"]).fetchall()


def add_hold(connection: psycopg.Connection[Any], reason: str, **narrowing: Any) -> Hold:
    """Keep the pages of what the columns name; at least one must narrow it."""
    hold = Hold(id=new_probe_id(), reason=reason, **narrowing)
    connection.execute(QUERIES["add_hold"], asdict(hold))
    return hold


def release_hold(connection: psycopg.Connection[Any], hold: UUID) -> bool:
    """End a hold; False when there is none of that id in force."""
    return connection.execute(QUERIES["release_hold"], {"id": hold}).rowcount == 1


def held(connection: psycopg.Connection[Any], today: date) -> Iterator[tuple[str, list[EvidenceRef]]]:
    """Each held observation: the record id of its note, and the places of its pages."""
    with connection.cursor(name="guichets_held", row_factory=dict_row) as cursor:
        cursor.execute(QUERIES["held_observations"], {"today": today})
        for row in cursor:
            yield row["id"].urn, refs_of(row["evidence"])


def refs_of(evidence: list[dict[str, Any]]) -> list[EvidenceRef]:
    """The archived ones of the responses a row rests on. Raises BrokenRecord for what no crawl wrote."""
    try:
        refs = [
            EvidenceRef(**{name: part[name] for name in REF_FIELDS}) for part in evidence if part.get("file")
        ]
    except (KeyError, TypeError, AttributeError):
        raise BrokenRecord("the row's evidence is not a list of responses") from None
    for ref in refs:
        numbers = (ref.offset, ref.length)
        texts = (ref.file, ref.sha256, ref.record_id, ref.digest)
        if not all(type(one) is int for one in numbers) or not all(type(one) is str for one in texts):
            raise BrokenRecord("the row's evidence does not say where its responses stand")
    return refs
