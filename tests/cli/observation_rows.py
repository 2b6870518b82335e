"""Observations put straight into a test's database, for the commands that read them."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg

COLUMNS = (
    "id",
    "probe",
    "desk_id",
    "counter_key",
    "counter_label",
    "family",
    "departement",
    "observed_at",
    "outcome",
    "rule",
    "purpose",
    "first_slot",
    "second_slot",
    "slot_has_time",
    "slot_count",
    "horizon_end",
    "http_status",
    "requests",
    "evidence",
    "parser",
    "worker",
    "host",
)

EVIDENCE = [{"url": "https://a.example/é", "status": 200, "sha256": "ab", "size": 3}]


def add_desk(connection: psycopg.Connection[Any], desk_id: str, departement: str) -> None:
    """A desk of the catalogue with all it refers to."""
    from guichets.catalogue import departements

    known = departements()[departement]
    connection.execute(
        "INSERT INTO departements VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
        (known.code, known.name, known.region, known.chef_lieu, known.timezone),
    )
    connection.execute("INSERT INTO hosts (host) VALUES ('a.example') ON CONFLICT DO NOTHING")
    connection.execute(
        "INSERT INTO offices (departement, name) VALUES (%s, 'Préfecture') ON CONFLICT DO NOTHING",
        (departement,),
    )
    connection.execute(
        """INSERT INTO desks (id, family, departement, office_id, procedure, label, url, host, opened_at)
        SELECT %s, 'ezbooking', %s, id, 'autre', 'Guichet', 'https://a.example/', 'a.example', now()
        FROM offices WHERE departement = %s""",
        (desk_id, departement, departement),
    )


def add_observation(
    connection: psycopg.Connection[Any], desk_id: str, departement: str, observed_at: datetime, **values: Any
) -> UUID:
    """One observation; ``values`` replace what is usual."""
    observation = uuid4()
    row = {
        "id": observation,
        "probe": uuid4(),
        "desk_id": desk_id,
        "family": "ezbooking",
        "departement": departement,
        "observed_at": observed_at,
        "outcome": "none",
        "rule": "ezbooking.none.step2-sentence",
        "purpose": "baseline",
        "requests": 3,
        "evidence": json.dumps(EVIDENCE),
        "parser": "ezbooking/1",
        "worker": "test",
        "host": "a.example",
    } | values
    connection.execute("SELECT ensure_partitions(%s, 0)", (observed_at,))
    names = [name for name in COLUMNS if name in row]
    connection.execute(
        f"INSERT INTO observations ({', '.join(names)}) VALUES ({', '.join(['%s'] * len(names))})",
        [row[name] for name in names],
    )
    return observation
