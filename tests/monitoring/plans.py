"""What a query reads: no figure may read a whole month of observations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import psycopg

BIG = ("observations", "slots")
BEGUN = 0.2  # of a table's bytes: a partition with less has only just begun


def whole_scans(
    connection: psycopg.Connection[Any], query: str, parameters: Mapping[str, Any] | None = None
) -> list[str]:
    """Partitions of observations that the query would read from end to end.

    A few pages cost less to read than their index does: a month in its first hours is not judged,
    the month before it stands for it.
    """
    row = connection.execute(f"EXPLAIN (FORMAT JSON) {query}", parameters).fetchone()
    assert row is not None
    return [
        table
        for table in _scanned(row[0][0]["Plan"])
        if table.startswith(BIG) and _share(connection, table) > BEGUN
    ]


def _scanned(node: Mapping[str, Any]) -> Iterator[str]:
    if node["Node Type"] == "Seq Scan":
        yield node["Relation Name"]
    for child in node.get("Plans", ()):
        yield from _scanned(child)


def _share(connection: psycopg.Connection[Any], table: str) -> float:
    """What part of its partitioned table's bytes a partition holds."""
    row = connection.execute(
        """
        SELECT pg_relation_size(%(table)s::regclass)::float8
             / greatest(1, sum(pg_relation_size(inhrelid)))
        FROM pg_inherits
        WHERE inhparent = (SELECT inhparent FROM pg_inherits WHERE inhrelid = %(table)s::regclass)
        """,
        {"table": table},
    ).fetchone()
    assert row is not None
    return float(row[0] or 0)
