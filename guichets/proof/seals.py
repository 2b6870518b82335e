"""The lines of seals.txt in PostgreSQL: a second keeper, whom who can write to the archive cannot change."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import class_row

from guichets.database.queries import load_queries
from guichets.evidence.errors import SealError
from guichets.evidence.layout import archive_id, known_archive_id
from guichets.evidence.seal import Seal

QUERIES = load_queries("guichets.proof", "proof.sql")


def published_seals(connection: psycopg.Connection[Any], home: Path) -> list[Seal]:
    """The seals of this archive as the database keeps them, oldest first."""
    with connection.cursor(row_factory=class_row(Seal)) as cursor:
        return cursor.execute(QUERIES["seals"], {"archive": known_archive_id(home)}).fetchall()


def record_seals(connection: psycopg.Connection[Any], home: Path, seals: Sequence[Seal]) -> None:
    """Keep the seals the database does not know yet. Raises SealError where it knows a day otherwise."""
    archive = archive_id(home)
    for seal in seals:
        connection.execute(
            QUERIES["record_seal"],
            {
                "archive": archive,
                "day": seal.day,
                "records": seal.records,
                "root": seal.root,
                "seal": seal.seal,
            },
        )
    known = {seal.day: seal for seal in published_seals(connection, home)}
    for seal in seals:
        if known[seal.day] != seal:
            raise SealError(
                f"{seal.day}: the database keeps another seal ({known[seal.day].line()!r}) than seals.txt "
                f"({seal.line()!r}); run `guichets evidence verify`"
            )
