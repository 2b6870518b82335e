"""Writes observations outside a crawl: corrections and contributions, in the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql

from guichets.rows import COLUMNS, Record

SLOT_COLUMNS = ("observation_id", "observed_at", "starts_at", "has_time")
KEEP_TEXT = "INSERT INTO texts (sha256, text) VALUES (%s, %s) ON CONFLICT DO NOTHING"


def insert_observations(connection: psycopg.Connection[Any], records: Sequence[Record]) -> None:
    """Insert rows as ``guichets.rows`` makes them. Raises psycopg's error when one is there already."""
    instants = {datetime.fromisoformat(record["observed_at"]) for record in records}
    for month in {(instant.year, instant.month): instant for instant in instants}.values():
        connection.execute("SELECT ensure_partitions(%s, 0)", (month,))
    with connection.cursor() as cursor:
        # in one order everywhere, so that two writers never wait for each other in a ring
        cursor.executemany(
            KEEP_TEXT, sorted({tuple(text) for one in records for text in one.get("texts", ())})
        )
        with cursor.copy(_copy_into("observations", COLUMNS)) as copy:
            for record in records:
                copy.write_row([record[column] for column in COLUMNS])
        with cursor.copy(_copy_into("slots", SLOT_COLUMNS)) as copy:
            for record in records:
                for starts_at, has_time in record["slots"]:
                    copy.write_row((record["id"], record["observed_at"], starts_at, has_time))


def _copy_into(table: str, columns: tuple[str, ...]) -> sql.Composed:
    return sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
