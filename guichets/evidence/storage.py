"""The archive file a process writes: its own, locked, marked open, whole up to the last record.

Bytes reach the operating system before ``appending`` ends, so that a killed process loses no record; a power
cut may, which is what ``sync`` is for.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from guichets.evidence.errors import EvidenceError
from guichets.evidence.layout import OPEN_MARK, beside, day_folder, file_name, relative_name

PIECE_BYTES = 64 * 1024  # held before they are written: most exchanges take one call to the system


@dataclass(frozen=True, slots=True)
class Place:
    """Where a member was written."""

    offset: int
    length: int
    digest: str  # SHA-256 of its bytes, hexadecimal


class Appending:
    """Members on their way to the end of a file, whatever their size in memory of the same size."""

    def __init__(self, descriptor: int, offset: int) -> None:
        self._descriptor = descriptor
        self._pieces: list[bytes] = []
        self._held = 0
        self._start = self.end = offset
        self._hasher = hashlib.sha256()

    def write(self, data: bytes) -> None:
        """Add bytes to the member under way."""
        self._hasher.update(data)
        self._pieces.append(data)
        self._held += len(data)
        self.end += len(data)
        if self._held >= PIECE_BYTES:
            self.flush()

    def end_member(self) -> Place:
        """Say that the member under way is complete."""
        place = Place(self._start, self.end - self._start, self._hasher.hexdigest())
        self._start = self.end
        self._hasher = hashlib.sha256()
        return place

    def flush(self) -> None:
        """Hand over what is held to the system."""
        view = memoryview(b"".join(self._pieces))
        self._pieces.clear()
        self._held = 0
        while view:
            view = view[os.write(self._descriptor, view) :]


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

    @contextmanager
    def appending(self) -> Iterator[Appending]:
        """Write whole members: they are the system's when this ends. When it fails, nothing of them stays."""
        target = Appending(self._descriptor, self.size)
        try:
            yield target
            target.flush()
        except BaseException as problem:
            os.ftruncate(self._descriptor, self.size)
            if isinstance(problem, OSError):
                raise EvidenceError(f"{self.path}: cannot be written ({problem.strerror})") from None
            raise
        self.size = target.end

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
