"""What a query reads: no figure may read a whole month of observations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import psycopg

BIG = ("observations", "slots")


def whole_scans(
    connection: psycopg.Connection[Any], query: str, parameters: Mapping[str, Any] | None = None
) -> list[str]:
    """Partitions of observations that the query would read from end to end; empty ones cost nothing."""
    row = connection.execute(f"EXPLAIN (FORMAT JSON) {query}", parameters).fetchone()
    assert row is not None
    return [
        table
        for table in _scanned(row[0][0]["Plan"])
        if table.startswith(BIG) and _size(connection, table) > 0
    ]


def _scanned(node: Mapping[str, Any]) -> Iterator[str]:
    if node["Node Type"] == "Seq Scan":
        yield node["Relation Name"]
    for child in node.get("Plans", ()):
        yield from _scanned(child)


def _size(connection: psycopg.Connection[Any], table: str) -> int:
    row = connection.execute("SELECT pg_relation_size(%s::regclass)", [table]).fetchone()
    return int(row[0]) if row else 0
