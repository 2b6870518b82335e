"""The append-only local spool: observations on disk before they are in PostgreSQL.

Each process writes segments of its own under ``GUICHETS_HOME/spool``, one JSON object per line. It holds a
lock on a segment while it lives; the kernel drops the lock at its death, however it died, and whoever
crawls next drains what is left. Writing an observation twice changes nothing, so a segment may be drained
again after a crash.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from guichets.errors import GuichetsError

logger = logging.getLogger(__name__)

Record = dict[str, Any]
SUFFIX = ".jsonl"


class SpoolError(GuichetsError):
    """The spool cannot be written: full disk, no right to write."""


class Segment:
    """One file of the spool, locked by the process that writes or drains it."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self.count = 0

    def append(self, record: Record) -> None:
        """Add one line; it has left this process when this returns. Raises SpoolError."""
        line = (
            json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"
        )
        start = os.lseek(self._descriptor, 0, os.SEEK_END)
        try:
            written = os.write(self._descriptor, line)
            if written != len(line):
                raise OSError(28, "No space left on device")
        except OSError as error:
            os.ftruncate(self._descriptor, start)
            raise SpoolError(f"{self.path}: {error.strerror}. Make room; nothing written is lost.") from error
        self.count += 1

    def flush_to_disk(self) -> None:
        """Make it survive a power cut too."""
        os.fsync(self._descriptor)

    def records(self) -> Iterator[Record]:
        """The lines, without the torn one a cut may have left at the end."""
        with open(self._descriptor, "rb", closefd=False) as stream:
            stream.seek(0)
            for number, line in enumerate(stream, start=1):
                try:
                    record = json.loads(line)
                except ValueError:
                    logger.warning(
                        "%s:%d: a torn line is left out: it was never complete",
                        self.path,
                        number,
                        extra={"action": "spool_torn"},
                    )
                    continue
                yield record

    def remove(self) -> None:
        """All of it is in PostgreSQL."""
        self.path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Let go of it; it stays on disk for the next to drain."""
        os.close(self._descriptor)


class Spool:
    """A folder of segments."""

    def __init__(self, folder: Path, owner: str) -> None:
        self._folder = folder
        self._owner = "".join(c if c.isalnum() or c in "-." else "-" for c in owner)
        self._number = 0

    def new_segment(self) -> Segment:
        """A fresh segment of ours. Raises SpoolError when the folder cannot be written."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            while True:
                self._number += 1
                path = self._folder / f"{self._owner}-{os.getpid()}-{self._number}{SUFFIX}"
                try:
                    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o640)
                except FileExistsError:
                    continue
                # Between its creation and its lock, another worker may drain and remove it.
                if _lock(descriptor) and os.fstat(descriptor).st_nlink:
                    return Segment(path, descriptor)
                os.close(descriptor)
        except OSError as error:
            raise SpoolError(f"{self._folder}: {error.strerror}: the spool cannot be written") from error

    def set_aside(self, record: Record) -> Path:
        """Keep a record that PostgreSQL refuses for good, where nobody drains it; returns the file.

        Raises SpoolError when that cannot be written.
        """
        path = self._folder / "refused.log"
        line = json.dumps(record, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with path.open("ab") as stream:
                stream.write(line)
        except OSError as error:
            raise SpoolError(f"{path}: {error.strerror}. Make room; nothing written is lost.") from error
        return path

    def orphans(self) -> Iterator[Segment]:
        """Segments whose writer is gone, each locked for us."""
        for path in sorted(self._folder.glob(f"*{SUFFIX}")):
            try:
                descriptor = os.open(path, os.O_RDWR)
            except FileNotFoundError:
                continue  # drained by another meanwhile
            except OSError as error:
                logger.warning(
                    "%s: %s: its observations wait for a worker that may read it",
                    path,
                    error.strerror,
                    extra={"action": "spool_unreadable"},
                )
                continue
            if _lock(descriptor) and os.fstat(descriptor).st_nlink:
                yield Segment(path, descriptor)
            else:
                os.close(descriptor)  # its writer lives, or another has just drained it


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def waiting_ids(folder: Path) -> frozenset[str]:
    """Ids of the observations that are on disk and not yet, or never to be, in PostgreSQL; locks nothing."""
    found = set()
    for path in (*folder.glob(f"*{SUFFIX}"), folder / "refused.log"):
        try:
            lines = path.read_bytes().splitlines()
        except FileNotFoundError:  # drained meanwhile
            continue
        for line in lines:
            try:
                found.add(str(json.loads(line)["id"]))
            except (ValueError, KeyError, TypeError):
                continue  # torn
    return frozenset(found)
