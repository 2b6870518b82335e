"""An observation as a row of PostgreSQL, and the hash by which its archived note recognises that row.

Spool, COPY, archive and verification all go through this one form.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from typing import Any
from uuid import UUID

from guichets import catalogue
from guichets.facts import column_of, texts_of
from guichets.items import Observation
from guichets.note import Note

Record = dict[str, Any]

COLUMNS = (
    *("id", "probe", "crawl", "desk_id", "counter_key", "counter_label", "family", "departement"),
    *("observed_at", "outcome", "rule", "purpose", "step", "first_slot", "second_slot", "slot_has_time"),
    *("slot_count", "horizon_end", "http_status", "latency_ms", "requests", "evidence", "parser", "worker"),
    *("note", "host", "fencing_token", "supersedes", "contributor", "facts"),
)
"""The columns of ``observations`` that are written, in the order of COPY."""

_INSTANTS = ("observed_at", "first_slot", "second_slot")


def record_of(observation: Observation, crawl: UUID | None = None) -> Record:
    """The row as text PostgreSQL reads, by column.

    Besides: ``slots`` holds (instant, has a time), ``texts`` the long texts of facts by their hashes.
    """
    place = catalogue.departements().get(observation.departement)
    zone = place.zone if place is not None else UTC
    plain = observation.plain()
    values: dict[str, Any] = {
        **plain,
        "probe": str(observation.probe),
        "crawl": str(crawl) if crawl is not None else None,
        "desk_id": observation.desk,
        "counter_key": observation.counter,
        "first_slot": _instant(observation.first_slot, zone),
        "second_slot": _instant(observation.second_slot, zone),
        "slot_has_time": isinstance(observation.first_slot, datetime) if observation.first_slot else None,
        "evidence": json.dumps(plain["evidence"], ensure_ascii=False),
        "note": observation.note,
        "host": observation.host,
        "fencing_token": observation.fencing_token,
        "supersedes": str(observation.supersedes) if observation.supersedes else None,
        "contributor": observation.contributor,
        "facts": _json_or_none(column_of(observation.facts)),
    }
    record = {column: values[column] for column in COLUMNS}
    record["slots"] = [
        (_instant(slot.starts, zone), isinstance(slot.starts, datetime)) for slot in observation.slots
    ]
    if observation.facts:
        record["texts"] = texts_of(observation.facts)
    return record


def row_digest(record: Mapping[str, Any]) -> str:
    """SHA-256 over every column and every slot; the same for a record and for its row read back.

    ``record``: columns by name, as text or as psycopg gives them, and ``slots``. Without facts the hash is
    that of the rows made before there were any, so that old archives verify.
    """
    return hashlib.sha256(row_text(record).encode()).hexdigest()


def row_text(record: Mapping[str, Any]) -> str:
    """The row as the one text whose hash its archived note holds."""
    facts: dict[str, Any] = {column: _plain(record[column]) for column in COLUMNS if column != "facts"}
    for name in _INSTANTS:
        facts[name] = _utc(record[name])
    if isinstance(record["evidence"], str):
        facts["evidence"] = json.loads(record["evidence"])
    told = record.get("facts")  # none where a row was spooled before there were any
    if told is not None:
        facts["facts"] = json.loads(told) if isinstance(told, str) else told
    # by instant: the table keeps one row for each
    facts["slots"] = sorted({_utc(starts): has_time for starts, has_time in record["slots"]}.items())
    return json.dumps(facts, sort_keys=True, separators=(",", ":"))


def note_of(record: Mapping[str, Any]) -> Note:
    """What the archive's ``metadata`` record of an observation says: enough to read, and the row's hash."""
    return Note(
        row=row_digest(record),
        desk=record["desk_id"],
        outcome=str(record["outcome"]),
        rule=record["rule"],
        counter=record["counter_key"],
    )


def _json_or_none(value: Mapping[str, Any] | None) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False)


def _instant(starts: datetime | date | None, zone: Any) -> str | None:
    """An instant as text; a day without a time is its midnight in the département's zone."""
    if starts is None:
        return None
    if not isinstance(starts, datetime):
        starts = datetime.combine(starts, time.min, tzinfo=zone)
    return starts.isoformat()


def _utc(instant: str | datetime | None) -> str | None:
    if instant is None:
        return None
    if isinstance(instant, str):
        instant = datetime.fromisoformat(instant)
    return instant.astimezone(UTC).isoformat()


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, UUID | date) else value
