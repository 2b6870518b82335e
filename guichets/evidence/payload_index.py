"""Where a payload was archived already: a small memory in front of an SQLite file shared by all workers.

It is a cache, never the truth: losing it costs archive space, not evidence. What it says is checked against
the archived record before anything refers to it. Short crawls start with an empty memory, hence the file.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

logger = logging.getLogger(__name__)

REMEMBERED_EXCHANGES = 2048  # heads kept in memory, some 2 kB each
BUSY_TIMEOUT_SECONDS = 0.2  # waiting longer for another worker costs more than storing a page again

_SCHEMA = """
CREATE TABLE IF NOT EXISTS payload (
    key BLOB PRIMARY KEY,
    file TEXT NOT NULL,
    offset INTEGER NOT NULL,
    length INTEGER NOT NULL
) WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True)
class Archived:
    """An exchange archived in full, with what a repetition of it needs."""

    name: str  # of the file, without folders
    offset: int  # of the response record
    date: str  # its WARC-Date
    url: str
    ip: str | None  # of the server
    request_head: bytes
    request_body: bytes
    response_head: bytes


class PayloadIndex:
    """Finds an archived payload by key; survives a missing, locked or broken index file."""

    def __init__(self, path: Path, *, remembered: int = REMEMBERED_EXCHANGES) -> None:
        self._path = path
        self._remembered = remembered
        self._memory: OrderedDict[bytes, Archived] = OrderedDict()
        self._connection: sqlite3.Connection | None = None
        self._connection = self._connect()

    def recall(self, key: bytes) -> Archived | None:
        """The exchange if this process saw it lately."""
        archived = self._memory.get(key)
        if archived is not None:
            self._memory.move_to_end(key)
        return archived

    def remember(self, key: bytes, archived: Archived) -> None:
        self._memory[key] = archived
        self._memory.move_to_end(key)
        while len(self._memory) > self._remembered:
            self._memory.popitem(last=False)

    def forget(self, key: bytes) -> None:
        """Drop an entry that no longer holds."""
        self._memory.pop(key, None)
        self._execute("DELETE FROM payload WHERE key = ?", (key,))

    def place(self, key: bytes) -> tuple[str, int, int] | None:
        """File name, offset and length as any worker recorded them; to be checked before use."""
        return self._execute("SELECT file, offset, length FROM payload WHERE key = ?", (key,))

    def record(self, keys: tuple[bytes, ...], name: str, offset: int, length: int) -> None:
        for key in keys:
            self._execute("INSERT OR IGNORE INTO payload VALUES (?, ?, ?, ?)", (key, name, offset, length))

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _execute(self, sql: str, values: tuple[object, ...]) -> tuple[str, int, int] | None:
        if self._connection is None:
            return None
        try:
            row: tuple[str, int, int] | None = self._connection.execute(sql, values).fetchone()
            return row
        except sqlite3.OperationalError:
            return None  # locked by another worker: the page is stored once more
        except sqlite3.DatabaseError as problem:
            self._give_up(problem)
            return None

    def _give_up(self, problem: sqlite3.DatabaseError) -> None:
        """Drop a broken index file; the next process starts a new one."""
        logger.warning(
            "payload index is unreadable, pages are stored again",
            extra={"action": "payload_index_lost", "path": str(self._path), "problem": str(problem)},
        )
        self.close()
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(OSError):
                Path(f"{self._path}{suffix}").unlink(missing_ok=True)

    def _connect(self) -> sqlite3.Connection | None:
        try:
            connection = sqlite3.connect(
                self._path, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error:
            return None
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=OFF")  # a cache may be lost with the power
            connection.execute(_SCHEMA)
        except sqlite3.OperationalError:
            connection.close()  # locked for longer than we wait
            return None
        except sqlite3.DatabaseError as problem:
            connection.close()
            self._give_up(problem)
            return None
        return connection
