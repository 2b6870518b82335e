"""Compares rows with the archive, both ways: each row with its pages and its note, each note with its row.

The note (a ``metadata`` record) holds the hash of the row as it was written, so an edited row is found; a
note without a row tells that a row was deleted. Rows are read from one snapshot taken before the archive is
looked at: the archive is always written first, so a crawl under way is no break.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

from guichets.database.queries import load_queries
from guichets.evidence.errors import ArchiveError, BrokenRecord, EvidenceError, RecordPruned
from guichets.evidence.layout import (
    PRUNED_MARK,
    archived_days,
    beside,
    files_of_day,
    known_archive_id,
    name_parts,
    relative_name,
    safe_worker,
)
from guichets.evidence.reader import ArchiveReader
from guichets.evidence.seal import sealed_files
from guichets.evidence.tombstone import present_file
from guichets.evidence.verify import Break, BreakKind
from guichets.evidence.warc import WarcRecord
from guichets.note import COMMITTED, parse_note
from guichets.proof.holds import refs_of
from guichets.rows import row_digest

QUERIES = load_queries("guichets.proof", "proof.sql")
ROWS_PER_FETCH = 1_000
NEVER_ARCHIVED_RULE = "observer.archive"  # of guichets.crawl.faults, which the core may not import
REPLAY_WORKER, IMPORT_WORKER = (
    "replay",
    "import",
)  # they write their notes, then all rows at once, then say so
LAST_NOTES = 16  # of a killed worker's file: observations on their way from the archive to the spool
"""A kill between the two leaves a note that claims nothing. Observations go through four at a time."""


class Standing(StrEnum):
    """How a row stands with the archive, for the summary."""

    PROVED = "proved"
    PRUNED = "past retention"
    UNARCHIVED = "never archived"
    ELSEWHERE = "in another archive"


@dataclass
class Check:
    """What a check counted; breaks are yielded as they are found."""

    rows: Counter[Standing] = field(default_factory=Counter)
    pages: int = 0
    orphans: int = 0  # notes whose writer was killed before it could write the row


@dataclass(frozen=True, slots=True)
class _Noted:
    digests: tuple[str, ...]
    place: str
    desk: str
    may_be_orphan: bool  # the worker may have been killed right after it


def check_rows(
    connection: psycopg.Connection[Any],
    home: Path,
    found: Check,
    *,
    since: date | None = None,
    desks: frozenset[str] = frozenset(),
    spooled: Callable[[], frozenset[str]] = frozenset,
    progress: Callable[[], None] = lambda: None,
) -> Iterator[Break]:
    """Every break between rows and archive; ``found`` is counted up on the way.

    ``connection``: REPEATABLE READ, in a transaction begun before anything of the archive was read.
    ``spooled``: tells the ids of observations that wait on disk. ``progress``: called once per row.
    """
    killed = {safe_worker(worker) for (worker,) in connection.execute(QUERIES["killed_workers"])}
    notes = _read_notes(home, since, desks, killed)
    reader = ArchiveReader(home)
    ours = known_archive_id(home)
    pruned_days = _PrunedDays(home)
    with connection.cursor(name="guichets_check", row_factory=dict_row) as cursor:
        cursor.itersize = ROWS_PER_FETCH
        cursor.execute(QUERIES["rows"], _parameters(since, desks))
        for row in cursor:
            progress()
            note = notes.pop(str(row["id"]), None)
            yield from _check_row(row, note, ours, reader, pruned_days, found)
    yield from _without_rows(connection, notes, spooled, found)


def count_rows(connection: psycopg.Connection[Any], since: date | None, desks: frozenset[str]) -> int:
    """How many rows ``check_rows`` will read."""
    row = connection.execute(QUERIES["count_rows"], _parameters(since, desks)).fetchone()
    return int(row[0]) if row else 0


def _parameters(since: date | None, desks: frozenset[str]) -> dict[str, Any]:
    instant = datetime.combine(since, time.min, tzinfo=UTC) if since else None
    return {"since": instant, "desks": sorted(desks) or None}


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _check_row(
    row: Mapping[str, Any],
    note: _Noted | None,
    ours: UUID | None,
    reader: ArchiveReader,
    pruned_days: _PrunedDays,
    found: Check,
) -> Iterator[Break]:
    place = f"observation {row['id']}"
    if note is not None and row_digest({**row, "slots": _slots(row)}) not in note.digests:
        yield Break(BreakKind.ROW_EDITED, place, f"the row is not the one archived at {note.place}")
    elif note is None and row["rule"] != NEVER_ARCHIVED_RULE:
        if row["crawl_known"] and (row["archive"] is None or row["archive"] != ours):
            found.rows[Standing.UNARCHIVED if row["archive"] is None else Standing.ELSEWHERE] += 1
            return
        if row["observed_at"].astimezone(UTC).date() in pruned_days:
            found.rows[Standing.PRUNED] += 1
            return
        yield Break(BreakKind.NO_PROOF, place, "the archive holds no note of it")
    try:
        refs = refs_of(row["evidence"])
    except BrokenRecord as problem:
        yield Break(BreakKind.ROW_EDITED, place, str(problem))
        return
    was_pruned = False
    for ref in refs:
        try:
            reader.read_page(ref)
            found.pages += 1
        except RecordPruned:
            was_pruned = True
        except (EvidenceError, OSError) as problem:
            yield Break(BreakKind.PAGE_BROKEN, place, str(problem))
    found.rows[Standing.PRUNED if was_pruned else Standing.PROVED] += 1


def _without_rows(
    connection: psycopg.Connection[Any],
    notes: Mapping[str, _Noted],
    spooled: Callable[[], frozenset[str]],
    found: Check,
) -> Iterator[Break]:
    """Notes no row of the snapshot answers to; some rows may have come since, or wait in the spool."""
    waiting = spooled()  # before the new snapshot: what leaves the spool meanwhile is in it
    left = [name for name in notes if name not in waiting and _is_uuid(name)]
    connection.rollback()
    rows = connection.execute(QUERIES["known_observations"], {"ids": left})
    came = {str(name) for (name,) in rows}
    for name in left:
        note = notes[name]
        if name in came:
            continue
        if note.may_be_orphan:
            found.orphans += 1
        else:
            yield Break(BreakKind.ROW_MISSING, f"observation {name}", f"noted at {note.place}, no row")


def _slots(row: Mapping[str, Any]) -> list[tuple[str, bool]]:
    return [(starts, has_time == "true") for starts, has_time in row["slots"]]


def _read_notes(home: Path, since: date | None, desks: frozenset[str], killed: set[str]) -> dict[str, _Noted]:
    """The notes of the archive by observation id. What cannot be read is told by `verify` of the files."""
    notes: dict[str, _Noted] = {}
    reader = ArchiveReader(home)
    for day in archived_days(home):
        if since is not None and day < since:
            continue
        for path in sorted({*files_of_day(home, day), *sealed_files(home, day)}):
            worker = name_parts(path.name)[0]
            is_at_once = worker in (REPLAY_WORKER, IMPORT_WORKER)
            last: deque[str] = deque(maxlen=None if is_at_once else LAST_NOTES)
            for offset, record in _sound_records(reader, path):
                if is_at_once and record.block == COMMITTED:
                    last.clear()
                name = record.record_id.removeprefix("urn:uuid:")
                if since is not None and record.date.date() < since:
                    continue
                note = parse_note(record.block)
                if note is None or (desks and note.desk not in desks):
                    continue
                digests = notes[name].digests if name in notes else ()
                place = f"{relative_name(home, path)}@{offset}"
                notes[name] = _Noted((*digests, note.row), place, note.desk, False)
                last.append(name)
            if is_at_once or worker in killed:
                for name in last:
                    known = notes[name]
                    notes[name] = _Noted(known.digests, known.place, known.desk, True)
    return notes


def _sound_records(reader: ArchiveReader, path: Path) -> Iterator[tuple[int, WarcRecord]]:
    try:
        present = present_file(path)
        if present is None or not present.exists():
            return
        for offset, _, record in reader.records(present):
            if record.type == "metadata":
                yield offset, record
    except (ArchiveError, OSError):
        return


class _PrunedDays:
    """Whether retention took records of a day: the note of an observation lies in its day or the next."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._known: dict[date, bool] = {}

    def __contains__(self, day: date) -> bool:
        if day not in self._known:
            self._known[day] = any(
                beside(path, PRUNED_MARK).exists()
                for near in (day, day + timedelta(days=1))
                for path in sealed_files(self._home, near)
            )
        return self._known[day]
