"""What this machine's own disk tells: the spool, the archive, the space left, the backup's mark."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from guichets.evidence.layout import archive_folder

Reading = tuple[str, float]  # name of the metric, value

ARCHIVE_SECONDS = 300.0  # between two walks through the archive's folders
SPOOL_READ_BYTES = 64 * 1024 * 1024  # of one segment; beyond, its lines are estimated


class Machine:
    """Reads GUICHETS_HOME. What cannot be read is left out, never told as zero."""

    def __init__(self, home: Path, backup_mark: Path | None) -> None:
        self._home = home
        self._backup_mark = backup_mark
        self._archive: tuple[float, int] | None = None  # when it was walked, bytes

    def read(self) -> Iterator[Reading]:
        yield from self._disk()
        yield from self._spool()
        if (size := self._archive_size()) is not None:
            yield "guichets_archive_bytes", size
        if self._backup_mark is not None:
            try:
                yield "guichets_backup_last_success_timestamp_seconds", self._backup_mark.stat().st_mtime
            except FileNotFoundError:
                yield "guichets_backup_last_success_timestamp_seconds", 0.0  # there was never one
            except OSError:
                return

    def _disk(self) -> Iterator[Reading]:
        place = self._home
        while not place.exists() and place != place.parent:
            place = place.parent
        try:
            usage = shutil.disk_usage(place)
        except OSError:
            return
        yield "guichets_disk_free_bytes", usage.free
        yield "guichets_disk_size_bytes", usage.total

    def _spool(self) -> Iterator[Reading]:
        folder = self._home / "spool"
        try:
            size = observations = 0
            for path in folder.glob("*.jsonl") if folder.is_dir() else ():
                found, lines = _size_and_lines(path)
                size, observations = size + found, observations + lines
            refused = folder / "refused.log"
            yield "guichets_refused_observations", _size_and_lines(refused)[1] if refused.exists() else 0
        except OSError:
            return
        yield "guichets_spool_bytes", size
        yield "guichets_spool_observations", observations

    def _archive_size(self) -> int | None:
        now = time.monotonic()
        if self._archive is None or now - self._archive[0] > ARCHIVE_SECONDS:
            try:
                self._archive = now, _tree_size(archive_folder(self._home))
            except OSError:
                return None
        return self._archive[1]


def _size_and_lines(path: Path) -> tuple[int, int]:
    try:
        with path.open("rb") as stream:
            head = stream.read(SPOOL_READ_BYTES)
            size = os.fstat(stream.fileno()).st_size
    except FileNotFoundError:  # drained meanwhile
        return 0, 0
    lines = head.count(b"\n")
    return size, lines if size <= len(head) else round(lines * size / len(head))


def _tree_size(folder: Path) -> int:
    total = 0
    waiting = [folder]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(Path(entry.path))
                    elif entry.is_file(follow_symlinks=False):
                        total += entry.stat(follow_symlinks=False).st_size
        except FileNotFoundError:
            continue
    return total
