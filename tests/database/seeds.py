"""Rows for tests, told by what matters; the rest is filled in."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg


def add_desk(
    connection: psycopg.Connection, desk: str, departement: str = "92", *, closed_at: str | None = None
) -> None:
    connection.execute(
        "INSERT INTO departements VALUES (%s, %s, 'Région', 'Ville', 'Europe/Paris') ON CONFLICT DO NOTHING",
        [departement, f"Département {departement}"],
    )
    connection.execute(
        "INSERT INTO offices (departement, name) VALUES (%s, 'Préfecture') ON CONFLICT DO NOTHING",
        [departement],
    )
    connection.execute("INSERT INTO hosts (host) VALUES ('host.example') ON CONFLICT DO NOTHING")
    connection.execute(
        """INSERT INTO desks
            (id, family, departement, office_id, procedure, label, url, host, opened_at, closed_at)
        SELECT %s, 'ezbooking', %s, id, 'autre', 'Guichet', 'https://host.example/' || %s, 'host.example',
            '2020-01-01 00:00+00', %s
        FROM offices WHERE departement = %s""",
        [desk, departement, desk, closed_at, departement],
    )


def observe(
    connection: psycopg.Connection, desk: str, observed_at: str, outcome: str, **columns: Any
) -> uuid.UUID:
    """One observation; its month's partition must exist."""
    values: dict[str, Any] = {
        "id": uuid.uuid4(),
        "probe": uuid.uuid4(),
        "desk_id": desk,
        "family": "ezbooking",
        "departement": "92",
        "observed_at": observed_at,
        "outcome": outcome,
        "rule": f"test.{outcome}",
        "purpose": "baseline",
        "requests": 1,
        "parser": "test/1",
        "worker": "test",
        "host": "host.example",
        **columns,
    }
    names = ", ".join(values)
    places = ", ".join(f"%({name})s" for name in values)
    connection.execute(f"INSERT INTO observations ({names}) VALUES ({places})", values)
    return values["id"]
