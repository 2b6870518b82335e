"""Compares the archive with its seals and names every break: where, and what it means."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from guichets.evidence.errors import ArchiveError, BrokenRecord, SealError
from guichets.evidence.layout import (
    RECORDS_MARK,
    archived_days,
    beside,
    day_folder,
    files_of_day,
    relative_name,
)
from guichets.evidence.members import next_sound_member, read_members, scan_members
from guichets.evidence.record_list import Entry, read_list
from guichets.evidence.repair import is_open
from guichets.evidence.seal import (
    FIRST_PREVIOUS,
    HEADER,
    SEALS_NAME,
    Seal,
    chained,
    parse_line,
    root_of_lists,
    sealed_files,
)
from guichets.evidence.tombstone import Tombstone, kept_file, read_tombstone
from guichets.evidence.warc import parse_record


class BreakKind(StrEnum):
    """What happened to a sealed thing."""

    CHANGED = "changed"  # other bytes stand where a record stood
    DROPPED = "dropped"  # a record is gone
    INSERTED = "inserted"  # a record or file that was not there when the day was sealed
    REORDERED = "reordered"  # a record stands elsewhere in its file
    TRUNCATED = "truncated"  # the file ends before its last records
    MISSING_FILE = "missing file"
    LIST_EDITED = "list edited"  # the day's lists of records are not what was sealed
    SEAL_EDITED = "seal edited"  # a line of seals.txt does not follow from the one before, or differs
    SEAL_MISSING = "seal missing"  # a day was sealed once, and its line is gone
    PRUNED_EARLY = "pruned early"  # a tombstone younger than retention allows
    UNSOUND = "unsound"  # a record not sealed yet that cannot be read
    ROW_EDITED = "row edited"  # a row of the database is not the one that was archived
    ROW_MISSING = "row missing"  # an archived observation has no row
    NO_PROOF = "no proof"  # a row has no note in the archive
    PAGE_BROKEN = "page broken"  # a page a row rests on is not the one that was read


@dataclass(frozen=True, slots=True)
class Break:
    """One thing that does not hold."""

    kind: BreakKind
    place: str
    meaning: str

    def __str__(self) -> str:
        return f"{self.place}: {self.kind}: {self.meaning}"


def verify(
    home: Path,
    *,
    since: date | None = None,
    published: Sequence[Seal] = (),
    retention: timedelta | None = None,
) -> Iterator[Break]:
    """Every break of the archive, day by day.

    ``since``: check the records of that day and later; all seal lines are checked in any case.
    ``published``: seals kept elsewhere (the database, a published copy), which seals.txt must repeat.
    ``retention``: no tombstone may be younger than its day plus this.
    """
    seals, breaks = _read_lines(home)
    yield from breaks
    yield from _compare_published(seals, published)
    sealed = {seal.day: seal for seal in seals}
    for seal in published:
        sealed.setdefault(seal.day, seal)
    for day in sorted(sealed.keys() | set(archived_days(home))):
        if since is not None and day < since:
            continue
        if day in sealed:
            yield from _verify_day(home, sealed[day], retention)
        elif sealed_files(home, day):
            # Also the state between writing a day's lists and its line: sealing again settles that one.
            yield Break(BreakKind.SEAL_MISSING, str(day), "the day has lists of records, and no seal")
        else:
            yield from _check_unsealed(home, day)


def _read_lines(home: Path) -> tuple[list[Seal], list[Break]]:
    """The seals that can be read, and what is wrong with the others."""
    try:
        text = (home / SEALS_NAME).read_bytes().decode("latin-1")
    except OSError:
        return [], []
    seals: list[Seal] = []
    breaks: list[Break] = []
    if not text.startswith(HEADER):
        breaks.append(Break(BreakKind.SEAL_EDITED, SEALS_NAME, "its opening lines are not ours"))
    previous = FIRST_PREVIOUS
    for number, line in enumerate(text.split("\n"), start=1):
        if line.startswith("#") or (not line and number > text.count("\n")):
            continue
        seal = parse_line(line)
        place = f"{SEALS_NAME}:{number}"
        if seal is None:
            breaks.append(Break(BreakKind.SEAL_EDITED, place, f"{line[:80]!r} is not a seal"))
            continue
        if seal.seal != chained(previous, seal.day, seal.records, seal.root):
            meaning = f"the seal of {seal.day} does not follow from the line before it"
            breaks.append(Break(BreakKind.SEAL_EDITED, place, meaning))
        if seals and seal.day <= seals[-1].day:
            breaks.append(
                Break(BreakKind.SEAL_EDITED, place, f"{seal.day} does not come after {seals[-1].day}")
            )
        previous = seal.seal
        seals.append(seal)
    expected = HEADER + "".join(f"{seal.line()}\n" for seal in seals)
    if not breaks and text != expected:
        breaks.append(Break(BreakKind.SEAL_EDITED, SEALS_NAME, "its lines are not written as we write them"))
    return seals, breaks


def _compare_published(seals: Sequence[Seal], published: Sequence[Seal]) -> Iterator[Break]:
    ours = {seal.day: seal for seal in seals}
    for seal in published:
        found = ours.get(seal.day)
        if found is None:
            yield Break(
                BreakKind.SEAL_MISSING, str(seal.day), f"{SEALS_NAME} lacks a seal that was published"
            )
        elif found != seal:
            yield Break(BreakKind.SEAL_EDITED, str(seal.day), f"published as {seal.line()!r}")


def _verify_day(home: Path, seal: Seal, retention: timedelta | None) -> Iterator[Break]:
    files = sealed_files(home, seal.day)
    try:
        records, root = root_of_lists(home, files)
        if (records, root) != (seal.records, seal.root):
            yield Break(
                BreakKind.LIST_EDITED,
                relative_name(home, day_folder(home, seal.day)),
                f"the lists hold {records} records under root {root[:16]}…, "
                f"the seal has {seal.records} under {seal.root[:16]}…",
            )
    except SealError:
        pass  # named with its file below
    for path in files:
        yield from _verify_file(home, path, seal.day, retention)
    for path in files_of_day(home, seal.day):
        if path not in files:
            place = relative_name(home, path)
            yield Break(BreakKind.INSERTED, place, f"this file was not there when {seal.day} was sealed")


def _verify_file(home: Path, path: Path, day: date, retention: timedelta | None) -> Iterator[Break]:
    place = relative_name(home, path)
    try:
        entries = read_list(path)
    except SealError as problem:
        yield Break(BreakKind.LIST_EDITED, relative_name(home, beside(path, RECORDS_MARK)), str(problem))
        return
    try:
        stone = read_tombstone(path)
    except BrokenRecord as problem:
        yield Break(BreakKind.CHANGED, place, str(problem))
        return
    if stone is not None:
        if retention is not None and stone.pruned_at < _end_of(day) + retention:
            meaning = f"pruned on {stone.pruned_at:%Y-%m-%d}, before its {retention.days} days were over"
            yield Break(BreakKind.PRUNED_EARLY, place, meaning)
        if path.exists():
            yield Break(BreakKind.INSERTED, place, "the file still stands beside its tombstone")
        entries = kept_entries(entries, stone)
        path = kept_file(path, stone.number)
        if not entries and not path.exists():
            return
    if not path.exists():
        yield Break(BreakKind.MISSING_FILE, place, f"its {len(entries)} sealed records are gone")
        return
    yield from compare_file(path, relative_name(home, path), entries)


def kept_entries(entries: Sequence[Entry], stone: Tombstone) -> list[Entry]:
    """The sealed records a pruned file must still hold, at their places of today."""
    kept = [
        Entry(stone.kept[entry.offset], entry.length, entry.digest)
        for entry in entries
        if entry.offset in stone.kept
    ]
    return sorted(kept, key=lambda entry: entry.offset)


def compare_file(path: Path, place: str, entries: Sequence[Entry]) -> Iterator[Break]:
    """The differences between a file and the records it must hold."""
    if _is_exactly(path, entries):
        return
    found = _salvage(path)
    moved = {entry.digest for entry in found}
    known = {entry.digest for entry in entries}
    end = path.stat().st_size
    matcher = difflib.SequenceMatcher(
        None, [entry.digest for entry in entries], [entry.digest for entry in found], autojunk=False
    )
    for _, i1, i2, j1, j2 in (code for code in matcher.get_opcodes() if code[0] != "equal"):
        for wanted, actual in _pairs(entries[i1:i2], found[j1:j2]):
            if wanted is not None:
                yield _lost(wanted, actual, place, moved=moved, file_end=end)
            elif actual is not None and actual.digest not in known:
                yield Break(
                    BreakKind.INSERTED, f"{place}@{actual.offset}", f"{actual.length} bytes no seal knows of"
                )
            elif actual is not None and sum(one.digest == actual.digest for one in entries) < sum(
                one.digest == actual.digest for one in found
            ):
                yield Break(
                    BreakKind.INSERTED, f"{place}@{actual.offset}", "a sealed record stands here once more"
                )


def _lost(wanted: Entry, actual: Entry | None, place: str, *, moved: set[str], file_end: int) -> Break:
    where = f"{place}@{wanted.offset}"
    if wanted.digest in moved:
        return Break(BreakKind.REORDERED, where, "this record stands elsewhere in the file")
    if wanted.end > file_end and (actual is None or actual.end == file_end):
        return Break(BreakKind.TRUNCATED, where, f"the file ends at byte {file_end}, before this record does")
    if actual is not None:
        return Break(BreakKind.CHANGED, where, f"its SHA-256 was {wanted.digest}")
    return Break(BreakKind.DROPPED, where, f"the record with SHA-256 {wanted.digest} is gone")


def _pairs(wanted: Sequence[Entry], found: Sequence[Entry]) -> Iterator[tuple[Entry | None, Entry | None]]:
    for number in range(max(len(wanted), len(found))):
        yield (
            wanted[number] if number < len(wanted) else None,
            found[number] if number < len(found) else None,
        )


def _is_exactly(path: Path, entries: Sequence[Entry]) -> bool:
    with path.open("rb") as file:
        expected_offset = 0
        for entry in entries:
            if entry.offset != expected_offset:
                return False
            data = file.read(entry.length)
            if hashlib.sha256(data).hexdigest() != entry.digest:
                return False
            expected_offset = entry.end
        return not file.read(1)


def _salvage(path: Path) -> list[Entry]:
    """What stands in a damaged file: its sound members, and the stretches between them as single entries."""
    found: list[Entry] = []
    offset = 0
    size = path.stat().st_size
    while offset < size:
        try:
            for member in scan_members(path, start=offset):
                found.append(Entry(member.offset, member.length, member.digest))
                offset = member.offset + member.length
        except BrokenRecord:
            following = next_sound_member(path, offset) or size
            found.append(Entry(offset, following - offset, f"unsound at {offset}"))
            offset = following
    return found


def _check_unsealed(home: Path, day: date) -> Iterator[Break]:
    for path in files_of_day(home, day):
        live = is_open(path)
        try:
            for offset, _, data in read_members(path):
                parse_record(data, f"{path.name}@{offset}")
        except ArchiveError as problem:
            if not live:  # a living writer may be in the middle of a record
                yield Break(BreakKind.UNSOUND, relative_name(home, path), str(problem))


def _end_of(day: date) -> datetime:
    return datetime.fromisoformat(f"{day.isoformat()}T00:00:00+00:00") + timedelta(days=1)
