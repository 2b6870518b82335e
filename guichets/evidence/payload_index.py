"""Where a payload was archived already: a small memory in front of an SQLite file shared by all workers.

It is a cache, never the truth: losing it costs archive space, not evidence. Each entry bears a hash over the
archived bytes and what it says of them, which is checked before anything refers to them. Short crawls start
with an empty memory, hence the file.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import sqlite3
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from guichets.evidence.storage import Place

logger = logging.getLogger(__name__)

REMEMBERED_EXCHANGES = 2048  # heads kept in memory, some 2 kB each
MOST_UNWRITTEN = 64  # exchanges recorded in one go; a killed process forgets as many, and stores them again
BUSY_TIMEOUT_SECONDS = 0.2  # waiting longer for another worker costs more than storing a page again

_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS exchange (
        id INTEGER PRIMARY KEY,
        day TEXT NOT NULL,
        file TEXT NOT NULL,
        offset INTEGER NOT NULL,
        length INTEGER NOT NULL,
        request_length INTEGER NOT NULL,
        facts BLOB NOT NULL,
        digest BLOB NOT NULL
    )""",
    "CREATE TABLE IF NOT EXISTS known (key BLOB PRIMARY KEY, exchange INTEGER NOT NULL) WITHOUT ROWID",
)
_FIND = """SELECT file, offset, length, request_length, facts, digest
FROM known JOIN exchange ON exchange.id = known.exchange WHERE key = ?"""
_RECORD = """INSERT INTO exchange (day, file, offset, length, request_length, facts, digest)
VALUES (?, ?, ?, ?, ?, ?, ?)"""


@dataclass(frozen=True, slots=True)
class Archived:
    """An exchange archived in full, with what a repetition of it needs."""

    name: str  # of the file, without folders
    offset: int  # of the response record
    date: str  # its WARC-Date
    url: str
    ip: str | None  # of the server
    sha256: str  # of the decoded body, hexadecimal
    request_head: bytes
    response_head: bytes
    request_body: bytes

    def facts(self) -> bytes:
        """What is kept beside the place. Nothing but the request's body may hold a zero byte."""
        texts = "\0".join((self.date, self.url, self.ip or "", self.sha256))
        return b"\0".join((texts.encode(), self.request_head, self.response_head, self.request_body))


def _archived(name: str, offset: int, facts: bytes) -> Archived:
    *texts, request_head, response_head, request_body = facts.split(b"\0", 6)
    date, url, ip, sha256 = (text.decode() for text in texts)
    return Archived(name, offset, date, url, ip or None, sha256, request_head, response_head, request_body)


Hash = Callable[[str, int, int], str]
"""SHA-256 of bytes of an archive file, by its name, their offset and length; raises where they are gone."""


def _digest(facts: bytes, response: str, request: str) -> bytes:
    """What ties the facts to the records, whose hashes are given."""
    return hashlib.sha256(facts + response.encode() + request.encode()).digest()


class PayloadIndex:
    """Finds an archived exchange by key; survives a missing, locked or broken index file."""

    def __init__(self, path: Path, *, remembered: int = REMEMBERED_EXCHANGES) -> None:
        self._path = path
        self._remembered = remembered
        self._memory: OrderedDict[bytes, Archived] = OrderedDict()
        self._unwritten: list[tuple[tuple[bytes, ...], Archived, Place, Place]] = []
        self._connection: sqlite3.Connection | None = None
        self._connection = self._connect()

    def recall(self, key: bytes) -> Archived | None:
        """The exchange if this process met it lately."""
        archived = self._memory.get(key)
        if archived is not None:
            self._memory.move_to_end(key)
        return archived

    def find(self, key: bytes, hash_of: Hash) -> Archived | None:
        """The exchange as a worker recorded it, if the archive still holds it. Raises like ``hash_of``."""
        row = self._execute(_FIND, (key,))
        if row is None:
            return None
        name, offset, length, request_length, facts, digest = row
        response = hash_of(name, offset, length)
        request = hash_of(name, offset + length, request_length)
        if _digest(facts, response, request) != digest:
            self.forget(key)
            return None
        archived = _archived(name, offset, facts)
        self._remember(key, archived)
        return archived

    def forget(self, key: bytes) -> None:
        """Drop an entry that no longer holds."""
        self._memory.pop(key, None)
        self._execute("DELETE FROM known WHERE key = ?", (key,))

    def record(self, keys: tuple[bytes, ...], archived: Archived, response: Place, request: Place) -> None:
        """Remember an exchange just archived, and the records it was archived in."""
        for key in keys:
            self._remember(key, archived)
        self._unwritten.append((keys, archived, response, request))
        if len(self._unwritten) >= MOST_UNWRITTEN:
            self.flush()

    def flush(self) -> None:
        """Let other workers know what was recorded."""
        unwritten, self._unwritten = self._unwritten, []
        if not unwritten or self._connection is None:
            return
        try:
            with contextlib.closing(self._connection.cursor()) as cursor:
                cursor.execute("BEGIN IMMEDIATE")
                for keys, archived, response, request in unwritten:
                    facts = archived.facts()
                    digest = _digest(facts, response.digest, request.digest)
                    place = (archived.name, archived.offset, response.length, request.length)
                    cursor.execute(_RECORD, (archived.date[:10], *place, facts, digest))
                    number = cursor.lastrowid
                    cursor.executemany(
                        "INSERT OR IGNORE INTO known VALUES (?, ?)", [(key, number) for key in keys]
                    )
                cursor.execute("COMMIT")
        except sqlite3.OperationalError:
            with contextlib.suppress(sqlite3.Error):
                self._connection.rollback()  # locked by another worker: the pages are stored once more
        except sqlite3.DatabaseError as problem:
            self._give_up(problem)

    def forget_before(self, day: date) -> None:
        """Drop what was archived before a day, heads of requests included."""
        self._execute("PRAGMA secure_delete=ON", ())
        self._execute("DELETE FROM exchange WHERE day < ?", (day.isoformat(),))
        self._execute("DELETE FROM known WHERE exchange NOT IN (SELECT id FROM exchange)", ())

    def close(self) -> None:
        self.flush()
        self._disconnect()

    def _remember(self, key: bytes, archived: Archived) -> None:
        self._memory[key] = archived
        self._memory.move_to_end(key)
        while len(self._memory) > self._remembered:
            self._memory.popitem(last=False)

    def _execute(self, sql: str, values: tuple[object, ...]) -> tuple[Any, ...] | None:
        if self._connection is None:
            return None
        try:
            row: tuple[Any, ...] | None = self._connection.execute(sql, values).fetchone()
            return row
        except sqlite3.OperationalError:
            return None  # locked by another worker: the page is stored once more
        except sqlite3.DatabaseError as problem:
            self._give_up(problem)
            return None

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _give_up(self, problem: sqlite3.DatabaseError) -> None:
        """Drop a broken index file; the next process starts a new one."""
        logger.warning(
            "payload index is unreadable, pages are stored again",
            extra={"action": "payload_index_lost", "path": str(self._path), "problem": str(problem)},
        )
        self._disconnect()
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
            for table in _SCHEMA:
                connection.execute(table)
        except sqlite3.OperationalError:
            connection.close()  # locked for longer than we wait
            return None
        except sqlite3.DatabaseError as problem:
            connection.close()
            self._give_up(problem)
            return None
        return connection
