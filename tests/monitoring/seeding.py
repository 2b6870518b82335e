"""A country's desks and as many observations as asked for, written by PostgreSQL itself.

The same seed serves tests (some days) and bench (10 million rows): what is measured is what is tested.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from guichets.catalogue import departements
from guichets.database.queries import parse_queries

DESKS = 1_500
VISITS_A_DAY = 18  # of each desk
FAMILIES = (
    *("ezbooking", "rdv_prefecture", "eappointment", "rdv_service_public", "troov"),
    *("demarche_numerique", "lutece", "orion"),
)
PROCEDURES = (
    *("premiere_demande", "renouvellement", "aes", "naturalisation", "remise_titre"),
    *("changement_adresse", "duplicata", "visa_long_sejour", "asile", "autre"),
)

_QUERIES = parse_queries(Path(__file__).with_name("seeding.sql").read_text("utf-8"), "seeding.sql")


def seed_catalogue(connection: psycopg.Connection[Any], *, desks: int = DESKS, days: int = 3) -> None:
    """A catalogue of so many desks over every département, known since before the first day."""
    places = list(departements().values())
    hosts = max(1, desks // 4)
    connection.execute(
        _QUERIES["departements"],
        {
            "codes": [place.code for place in places],
            "names": [place.name for place in places],
            "regions": [place.region for place in places],
            "towns": [place.chef_lieu for place in places],
            "zones": [place.timezone for place in places],
        },
    )
    connection.execute(_QUERIES["offices"])
    connection.execute(_QUERIES["hosts"].replace("{hosts}", str(hosts)))
    connection.execute(
        _QUERIES["desks"],
        {
            "desks": desks,
            "hosts": hosts,
            "families": list(FAMILIES),
            "procedures": list(PROCEDURES),
            "opened": datetime.now(UTC) - timedelta(days=days + 2),
        },
    )


def seed_observations(connection: psycopg.Connection[Any], *, days: int) -> int:
    """The last ``days`` days and today so far, counted in rollups; how many rows. Needs the owner."""
    first = datetime.now(UTC) - timedelta(days=days)
    connection.execute("SELECT ensure_partitions(%s, %s)", (first, days // 28 + 2))
    connection.execute("ALTER TABLE observations DISABLE TRIGGER observations_queue_rollups")
    rows = 0
    for number in range(days + 1):
        day = {"day": (first + timedelta(days=number)).date()}
        connection.execute(_QUERIES["visits"], day)
        rows += connection.execute(_QUERIES["observations"], day).rowcount
    connection.execute("ALTER TABLE observations ENABLE TRIGGER observations_queue_rollups")
    connection.execute("ANALYZE observations, baseline_visits, desks")
    for number in range(0, days + 2, 2):
        connection.execute(_QUERIES["count_days"], {"day": (first + timedelta(days=number)).date()})
    for name in ("totals", "nodes", "parsers"):
        connection.execute(_QUERIES[name])
    connection.execute("ANALYZE daily_outcomes")
    return rows
