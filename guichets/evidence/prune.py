"""What retention takes out of the archive: decided first, as plain facts, then carried out.

A record stays while its day is within retention, while an observation that must be proved longer points at
it, or while a record that stays needs it (a revisit needs its page; a page needs its request). Only sealed
days are pruned: their lists of digests remain, so that the seals still verify.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from guichets.evidence.archive import INDEX_NAME, REFER_BACK
from guichets.evidence.errors import BrokenRecord
from guichets.evidence.exchange import EvidenceRef
from guichets.evidence.heads import REPEATS, REPEATS_SEPARATOR
from guichets.evidence.layout import (
    PRUNED_MARK,
    archive_folder,
    archived_days,
    beside,
    files_of_day,
    relative_name,
)
from guichets.evidence.members import read_members
from guichets.evidence.payload_index import PayloadIndex
from guichets.evidence.record_list import read_list, write_whole
from guichets.evidence.seal import only_one_keeper, read_seals, sealed_files
from guichets.evidence.tombstone import Tombstone, kept_file, present_file, read_tombstone
from guichets.evidence.verify import compare_file, kept_entries
from guichets.evidence.warc import WarcRecord, parse_record

logger = logging.getLogger(__name__)

RETENTION_DAYS = 400  # a year, and the month in which the same quarter is compared


@dataclass(frozen=True, slots=True)
class FilePlan:
    """What becomes of one archive file."""

    file: str  # relative to the home folder
    keep: frozenset[int]  # sealed offsets of the records that stay; empty: the file goes
    drop: int  # number of records that go
    freed_bytes: int


@dataclass(frozen=True, slots=True)
class PrunePlan:
    """All files that lose records, in order; nothing has happened yet."""

    cutoff: date  # days before this one are past retention
    files: tuple[FilePlan, ...]

    @property
    def freed_bytes(self) -> int:
        return sum(plan.freed_bytes for plan in self.files)


@dataclass(frozen=True, slots=True)
class _Record:
    """One record still present, by its sealed offset, with what ties it to others."""

    offset: int
    length: int
    type: str
    record_id: str
    belongs_to: tuple[str, ...]  # ids of the records it accompanies
    original: tuple[str, int] | None  # the page it repeats: file name and sealed offset


def plan_prune(
    home: Path,
    *,
    now: datetime,
    keep: Iterable[EvidenceRef] = (),
    keep_ids: Collection[str] = (),
    retention_days: int = RETENTION_DAYS,
) -> PrunePlan:
    """Decide what goes. Raises ArchiveError when a file that would lose records is not sound.

    ``keep``: references that must stay readable whatever their age; ``keep_ids``: record ids likewise.
    """
    # a crawl under way may repeat a page of the last month: however short retention is, that stays
    kept_for = max(timedelta(days=retention_days), REFER_BACK + timedelta(days=1))
    cutoff = now.astimezone(UTC).date() - kept_for
    days = [seal.day for seal in read_seals(home)]
    old = {path.name: path for day in days if day < cutoff for path in sealed_files(home, day)}
    records = {name: list(_present_records(path)) for name, path in old.items()}
    wanted = {(ref.file.rpartition("/")[2], ref.offset) for ref in keep}
    wanted |= {
        (name, record.offset)
        for name, ones in records.items()
        for record in ones
        if record.record_id in keep_ids
    }
    wanted |= _needed_by_recent(home, cutoff)
    kept = _with_needs(wanted, records)
    plans = []
    for name, path in old.items():
        keeping = {record.offset for record in records[name] if (name, record.offset) in kept}
        if keeping:  # the warcinfo at the head of a file stays with the first record that does
            keeping |= {record.offset for record in records[name] if record.type == "warcinfo"}
        gone = [record for record in records[name] if record.offset not in keeping]
        if gone:
            freed = sum(record.length for record in gone)
            plans.append(FilePlan(relative_name(home, path), frozenset(keeping), len(gone), freed))
    return PrunePlan(cutoff, tuple(plans))


def carry_out(home: Path, plan: PrunePlan, *, now: datetime) -> None:
    """Rewrite or delete the planned files, each at one instant: a crash leaves it old or new.

    Raises BrokenRecord, before anything is touched, when one of them does not verify: pruning must not bury
    a break.
    """
    with only_one_keeper(home):
        _carry_out(home, plan, now)


def _carry_out(home: Path, plan: PrunePlan, now: datetime) -> None:
    for file in plan.files:
        path = home / file.file
        stone = read_tombstone(path)
        present = present_file(path)
        sealed = read_list(path)
        entries = sealed if stone is None else kept_entries(sealed, stone)
        for broken in compare_file(present, file.file, entries) if present is not None else ():
            raise BrokenRecord(f"nothing was pruned, because the archive does not verify: {broken}")
    for file in plan.files:
        _prune_file(home, file, plan.cutoff, now)
    if (place := archive_folder(home) / INDEX_NAME).exists():
        index = PayloadIndex(place)  # what nothing refers to any more, requests with their cookies among it
        index.forget_before((now - REFER_BACK).date())
        index.close()


def _prune_file(home: Path, plan: FilePlan, cutoff: date, now: datetime) -> None:
    path = home / plan.file
    before = read_tombstone(path)
    old = present_file(path)
    if old is None:
        return
    present = {entry.offset for entry in read_list(path)} if before is None else set(before.kept)
    keep = plan.keep & present
    if before is not None and len(keep) == len(present):
        return  # another pruning did it between plan and lock
    number = 1 if before is None else before.number + 1
    kept: dict[int, int] = {}
    if keep:
        with kept_file(path, number).open("wb") as target, old.open("rb") as source:
            for entry in read_list(path):
                if entry.offset in keep:
                    source.seek(entry.offset if before is None else before.kept[entry.offset])
                    kept[entry.offset] = target.tell()
                    target.write(source.read(entry.length))
            target.flush()
            os.fsync(target.fileno())
    stone = Tombstone(now, f"retention, records before {cutoff.isoformat()}", number, kept)
    write_whole(beside(path, PRUNED_MARK), stone.to_json().encode())
    old.unlink()
    logger.info(
        "archive file pruned",
        extra={"action": "archive_pruned", "file": plan.file, "dropped": plan.drop, "kept": len(kept)},
    )


def _present_records(path: Path) -> Iterator[_Record]:
    """The records a sealed file still holds; ArchiveError where it is not sound."""
    present = present_file(path)
    if present is None or not present.exists():
        return
    stone = read_tombstone(path)
    sealed_offset = {} if stone is None else {there: sealed for sealed, there in stone.kept.items()}
    for offset, length, data in read_members(present):
        record = parse_record(data, f"{present.name}@{offset}")
        yield _Record(
            offset=sealed_offset.get(offset, offset),
            length=length,
            type=record.type,
            record_id=record.record_id,
            belongs_to=tuple(other.strip("<>") for other in record.fields.get("warc-concurrent-to", ())),
            original=_original(record),
        )


def _original(record: WarcRecord) -> tuple[str, int] | None:
    """File name and sealed offset of the page a revisit refers to."""
    name, _, offset = (record.field(REPEATS.lower()) or "").partition(REPEATS_SEPARATOR)[0].rpartition("@")
    return (name, int(offset)) if offset.isascii() and offset.isdigit() else None


def _needed_by_recent(home: Path, cutoff: date) -> set[tuple[str, int]]:
    """The old pages that younger revisits refer to; none refers further back than the writer does."""
    needed = set()
    for path in _files_between(home, cutoff, cutoff + REFER_BACK + timedelta(days=1)):
        needed |= {record.original for record in _present_records(path) if record.original is not None}
    return needed


def _files_between(home: Path, first: date, last: date) -> Iterator[Path]:
    """The archive files of the days from ``first`` to ``last``, pruned ones by their original name."""
    for day in archived_days(home):
        if first <= day <= last:
            yield from sorted({*files_of_day(home, day), *sealed_files(home, day)})


def _with_needs(wanted: set[tuple[str, int]], records: Mapping[str, list[_Record]]) -> set[tuple[str, int]]:
    """The wanted records, with all that belongs to them (requests, metadata) and all they refer to."""
    at = {(name, one.offset): one for name, ones in records.items() for one in ones}
    attached: dict[str, list[tuple[str, int]]] = {}
    for place, record in at.items():
        for other in record.belongs_to:
            attached.setdefault(other, []).append(place)
    kept: set[tuple[str, int]] = set()
    waiting = list(wanted)
    while waiting:
        place = waiting.pop()
        found = at.get(place)
        if place in kept or found is None:
            continue
        kept.add(place)
        waiting += attached.get(found.record_id, [])
        if found.original is not None:
            waiting.append(found.original)
    return kept
