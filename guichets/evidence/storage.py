"""The archive file a process writes: its own, locked, marked open, whole up to the last record.

Bytes reach the operating system before ``append`` returns, so that a killed process loses no record; a power
cut may, which is what ``sync`` is for.
"""

from __future__ import annotations

import fcntl
import os
from datetime import UTC, datetime
from pathlib import Path

from guichets.evidence.errors import EvidenceError
from guichets.evidence.layout import OPEN_MARK, beside, day_folder, file_name, relative_name


class ArchiveFile:
    """One new file, never one that exists: two processes cannot share it."""

    def __init__(self, home: Path, worker: str, instant: datetime) -> None:
        self.hour = instant.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        self.size = 0
        folder = day_folder(home, self.hour.date())
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.path, self._descriptor = _create(folder, worker, self.hour)
        except OSError as problem:
            raise EvidenceError(f"{folder}: no archive file can be made here ({problem.strerror})") from None
        self.name = self.path.name
        self.relative = relative_name(home, self.path)

    def append(self, packed: bytes) -> int:
        """Write whole members and return the offset of the first; on a full disk nothing of them stays."""
        offset = self.size
        view = memoryview(packed)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError as problem:
            os.ftruncate(self._descriptor, offset)
            raise EvidenceError(f"{self.path}: cannot be written ({problem.strerror})") from None
        self.size += len(packed)
        return offset

    def sync(self) -> None:
        """Return when the bytes are on the disk."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        self.sync()
        beside(self.path, OPEN_MARK).unlink(missing_ok=True)
        os.close(self._descriptor)  # releases the lock


def _create(folder: Path, worker: str, hour: datetime) -> tuple[Path, int]:
    number = 1
    while True:
        path = folder / file_name(worker, hour, number)
        number += 1
        if path.exists():
            continue
        # The mark comes first: a file without it is taken for complete and never repaired.
        beside(path, OPEN_MARK).touch()
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o640)
        except FileExistsError:
            continue  # another process of this name was quicker; the mark is its own
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # tells repair and seal that the writer lives
        beside(path, OPEN_MARK).touch()  # a repair may have come between the creation and the lock
        return path, descriptor
