"""What a database is and holds, for `guichets db status`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg.rows import class_row

from guichets.database.queries import load_queries
from guichets.database.schema import SchemaState, schema_state

QUERIES = load_queries("guichets.database", "status.sql")


@dataclass(frozen=True, slots=True)
class Partitions:
    """The monthly partitions of one table."""

    parent: str
    partitions: int
    first_month: str  # as in the partitions' names: 2026_01
    last_month: str
    estimated_rows: int


@dataclass(frozen=True, slots=True)
class RoleState:
    """One of the two group roles."""

    name: str
    exists: bool
    is_usable: bool  # by the user of the DSN


@dataclass(frozen=True, slots=True)
class LatestCrawl:
    """The crawl that started last."""

    family: str
    worker: str
    started_at: datetime
    finished_at: datetime | None
    finish_reason: str | None


@dataclass(frozen=True, slots=True)
class DatabaseStatus:
    """Everything the command shows."""

    version: str  # of PostgreSQL
    database: str
    size_bytes: int
    schema: SchemaState
    partitions: list[Partitions]
    roles: list[RoleState]
    latest_crawl: LatestCrawl | None
    open_desks: int
    hosts: int


def read_status(connection: psycopg.Connection) -> DatabaseStatus:
    """Read it all; of a database without our schema, what there is."""
    server = connection.execute(QUERIES["server"]).fetchone()
    assert server is not None  # a SELECT without FROM yields one row
    schema = schema_state(connection)
    crawl, desks = None, None
    if schema.current is not None:
        crawl = (
            connection.cursor(row_factory=class_row(LatestCrawl)).execute(QUERIES["latest_crawl"]).fetchone()
        )
        desks = connection.execute(QUERIES["desks"]).fetchone()
    return DatabaseStatus(
        version=server[0],
        database=server[1],
        size_bytes=server[2],
        schema=schema,
        partitions=connection.cursor(row_factory=class_row(Partitions))
        .execute(QUERIES["partitions"])
        .fetchall(),
        roles=connection.cursor(row_factory=class_row(RoleState)).execute(QUERIES["roles"]).fetchall(),
        latest_crawl=crawl,
        open_desks=desks[0] if desks else 0,
        hosts=desks[1] if desks else 0,
    )
