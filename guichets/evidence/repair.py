"""Trims what a crash left half-written at the end of archive files.

Only files whose ``.open`` mark is still there are looked at, and of those only the ones no living process
holds. The torn bytes are kept beside the file; nothing is thrown away.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from guichets.evidence.errors import BrokenRecord
from guichets.evidence.layout import OPEN_MARK, SUFFIX, TORN_MARK, archive_folder, beside, relative_name
from guichets.evidence.members import next_sound_member, scan_members

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Repair:
    """What was done to one file that a process left open."""

    file: str  # relative to the home folder
    records: int  # whole records it holds
    torn_bytes: int  # bytes moved beside it; 0 when it ended on a record
    damage: str | None = None  # set when the break is not at the end: nothing was moved, verify tells more


def repair(home: Path) -> list[Repair]:
    """Make every file left open by a dead process whole up to its last record; safe beside live writers."""
    repairs = []
    for mark in sorted(archive_folder(home).glob(f"*/*/*/*{SUFFIX}{OPEN_MARK}")):
        path = mark.with_name(mark.name.removesuffix(OPEN_MARK))
        if not path.exists():
            continue  # a writer is about to make it, or died before it could: an orphan mark harms nothing
        with _exclusive(path) as descriptor:
            if descriptor is None:
                continue  # its writer lives
            if not mark.exists():
                continue  # closed while we were coming
            done = _repair_file(home, path, descriptor)
            mark.unlink(missing_ok=True)
        repairs.append(done)
        if done.torn_bytes or done.damage:
            logger.warning(
                "archive file was left half-written and is repaired",
                extra={"action": "archive_repaired", "file": done.file, "torn_bytes": done.torn_bytes},
            )
    return repairs


def is_open(path: Path) -> bool:
    """Whether a living process is writing this archive file."""
    if not beside(path, OPEN_MARK).exists():
        return False
    with _exclusive(path) as descriptor:
        return descriptor is None


@contextmanager
def _exclusive(path: Path) -> Iterator[int | None]:
    """The file opened and locked, or None when another process has the lock."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        yield descriptor
    finally:
        os.close(descriptor)


def _repair_file(home: Path, path: Path, descriptor: int) -> Repair:
    file = relative_name(home, path)
    end = records = 0
    try:
        for member in scan_members(path):
            end = member.offset + member.length
            records += 1
    except BrokenRecord as problem:
        if next_sound_member(path, end) is not None:
            return Repair(file, records, 0, str(problem))
        torn_bytes = path.stat().st_size - end
        with path.open("rb") as source, beside(path, TORN_MARK).open("ab") as torn:
            source.seek(end)
            shutil.copyfileobj(source, torn)
            torn.flush()
            os.fsync(torn.fileno())
        os.ftruncate(descriptor, end)
        os.fsync(descriptor)
        return Repair(file, records, torn_bytes)
    return Repair(file, records, 0)
