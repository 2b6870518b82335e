"""Which visits are read again, as the database recorded them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import psycopg
from psycopg.rows import dict_row

from guichets.catalogue import departements
from guichets.catalogue.model import Desk
from guichets.database.queries import load_queries
from guichets.errors import ArgumentError
from guichets.evidence import EvidenceRef
from guichets.facts import facts_of
from guichets.items import Evidence, Observation, Slot
from guichets.outcomes import Outcome

QUERIES = load_queries("guichets.replay", "replay.sql")
ROWS_PER_FETCH = 2_000
Row = Mapping[str, Any]
LONGEST_VISIT = timedelta(hours=6)  # 40 counters, three pages each, the slowest pace, a pause


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What to read again; an empty set means all."""

    since: datetime | None = None  # aware, included
    until: datetime | None = None  # aware, left out
    desks: frozenset[str] = frozenset()
    families: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.since and self.until and self.since >= self.until:
            raise ArgumentError(f"--since {self.since} does not come before --until {self.until}")

    def holds(self, instant: datetime) -> bool:
        return (self.since is None or instant >= self.since) and (self.until is None or instant < self.until)


@dataclass(frozen=True, slots=True)
class RecordedVisit:
    """One visit: the observations in force that share its probe, and the archived responses they rest on."""

    probe: UUID
    crawl: UUID | None
    desk: Desk
    zone: ZoneInfo
    desk_line: Observation
    counters: tuple[Observation, ...]
    refs: tuple[EvidenceRef, ...]  # of the whole visit, in order
    is_archived: bool  # every response it rests on has its place in the archive


def count_visits(connection: psycopg.Connection[Any], selection: Selection) -> int:
    row = connection.execute(QUERIES["count_visits"], _parameters(selection)).fetchone()
    return int(row[0]) if row else 0


def read_visits(connection: psycopg.Connection[Any], selection: Selection) -> Iterator[Sequence[Row]]:
    """The rows of each visit, the desk's last; needs an open transaction, and holds one batch at a time.

    Left out: visits whose desk's line lies beyond the bounds, or was never written.
    """
    with connection.cursor(name="guichets_replay", row_factory=dict_row) as cursor:
        cursor.itersize = ROWS_PER_FETCH
        cursor.execute(QUERIES["visits"], _parameters(selection), binary=True)
        for _, rows in groupby(cursor, key=itemgetter("probe")):
            visit = list(rows)
            if visit[-1]["counter_key"] is None and selection.holds(visit[-1]["observed_at"]):
                yield visit


def signature(rows: Sequence[Row]) -> tuple[object, ...]:
    """Equal for visits of a desk that met the same pages on one day and established the same.

    Pages are the same when their hashes are. The day counts, because dates are judged by that of the visit.
    """
    last = rows[-1]
    pages = json.loads(last["evidence"])
    return (
        last["desk_id"],
        last["purpose"],
        last["observed_at"].date(),
        *[tuple(str(row[name]) for name in _ESTABLISHED) for row in rows],
        *[(part["url"], part["status"], part["sha256"], part.get("file") is None) for part in pages],
    )


_ESTABLISHED = (
    "counter_key",
    "outcome",
    "rule",
    "step",
    "slot_count",
    "horizon_end",
    "slot_has_time",
    "slots",
    "facts",
)


def _parameters(selection: Selection) -> dict[str, Any]:
    return {
        "since": selection.since,
        "until": selection.until,
        "desks": sorted(selection.desks) or None,
        "families": sorted(selection.families) or None,
        "longest_visit": LONGEST_VISIT,
    }


def visit_of(rows: Sequence[Row]) -> RecordedVisit:
    """A visit from its rows."""
    last = rows[-1]
    place = departements()[last["departement"]]
    lines = [_observation(row, place.zone) for row in rows]
    refs = [_ref(part) for part in json.loads(last["evidence"])]
    desk = Desk(
        id=last["desk_id"],
        family=last["family"],
        departement=last["departement"],
        office="",
        procedure=last["procedure"],
        label=last["label"],
        url=last["url"],
        params=last["params"],
    )
    known = tuple(ref for ref in refs if ref is not None)
    return RecordedVisit(
        probe=last["probe"],
        crawl=last["crawl"],
        desk=desk,
        zone=place.zone,
        desk_line=lines[-1],
        counters=tuple(lines[:-1]),
        refs=known,
        is_archived=len(known) == len(refs),
    )


def _ref(part: Mapping[str, Any]) -> EvidenceRef | None:
    """Where a response is archived; None for one seen before there was an archive."""
    if not part.get("file") or not part.get("digest"):
        return None
    return EvidenceRef(
        file=part["file"],
        offset=part["offset"],
        length=part["length"],
        sha256=part["sha256"],
        record_id=part["record_id"],
        digest=part["digest"],
    )


def _observation(row: Row, zone: ZoneInfo) -> Observation:
    has_time = row["slot_has_time"] is not False
    slots = [Slot(_starts(instant, zone, has_time=has_time)) for instant in sorted(row["slots"])]
    return Observation(
        id=row["id"],
        probe=row["probe"],
        desk=row["desk_id"],
        counter=row["counter_key"],
        counter_label=row["counter_label"],
        family=row["family"],
        departement=row["departement"],
        observed_at=row["observed_at"].astimezone(UTC),
        outcome=Outcome(row["outcome"]),
        rule=row["rule"],
        purpose=row["purpose"],
        step=row["step"],
        first_slot=slots[0].starts if slots else None,
        second_slot=slots[1].starts if len(slots) > 1 else None,
        slot_count=row["slot_count"],
        horizon_end=row["horizon_end"],
        http_status=row["http_status"],
        latency_ms=row["latency_ms"],
        requests=row["requests"],
        evidence=tuple(Evidence(**part) for part in json.loads(row["evidence"])),
        parser=row["parser"],
        worker=row["worker"],
        slots=tuple(slots),
        note=row["note"],
        host=row["host"],
        fencing_token=row["fencing_token"],
        contributor=row["contributor"],
        facts=facts_of(row["facts"], row["texts"] or {}),
    )


def _starts(instant: datetime, zone: ZoneInfo, *, has_time: bool) -> datetime | date:
    local = instant.astimezone(zone)
    return local if has_time else local.date()
