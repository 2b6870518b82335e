"""What watch probes see never enters a rate, nor anything that is published."""

from __future__ import annotations

from typing import Any

import psycopg

from guichets import database as guichets_database
from guichets.database import rollups
from tests.database_fixtures import Database
from tests.monitoring.seeding import seed_catalogue, seed_observations

FIGURES = {
    "rates": "SELECT * FROM availability_between(current_date - 30, current_date + 1)",
    "days": "SELECT * FROM desk_days",
    "coverage": "SELECT * FROM coverage",
    "baseline": "SELECT * FROM baseline_observations",
    "counted": "SELECT * FROM daily_outcomes WHERE counted",
    "sequences": "SELECT * FROM daily_sequences",
    "changes": "SELECT * FROM daily_changes",
    "delays": "SELECT * FROM daily_delays",
    "delay_totals": "SELECT * FROM delay_totals",
}
PUBLIC = ("departements", "desks", "desk_days", "desk_delays", "openings", "releases", "errata")

WATCHED = """
INSERT INTO observations (
    id, probe, desk_id, family, departement, observed_at, outcome, rule, purpose, first_slot, slot_has_time,
    requests, parser, worker, host
)
SELECT
    gen_random_uuid(), gen_random_uuid(), desks.id, desks.family, desks.departement, visit.at, 'offered', 'r',
    'watch', visit.at + interval '2 days', true, 4, 'x@1', 'node-0-1', desks.host
FROM desks
CROSS JOIN generate_series(now() - interval '9 days', now() - interval '1 minute', interval '37 minutes')
    AS visit (at)
"""


def _figures(database: Database, connection: psycopg.Connection[Any]) -> dict[str, list[str]]:
    rollups.refresh(connection, patiently=True)
    while connection.execute("SELECT refresh_sequences(1000)").fetchone() != (0,):
        pass
    found = {name: sorted(map(repr, connection.execute(query))) for name, query in FIGURES.items()}
    with guichets_database.connect("public", dsn=database.dsn) as public:
        for view in PUBLIC:
            found[f"public {view}"] = sorted(map(repr, public.execute(f"SELECT * FROM {view}")))
    return found


def test_no_rate_and_nothing_published_changes_with_what_the_watch_saw(database: Database) -> None:
    with database.connect() as connection:
        seed_catalogue(connection, desks=40, days=9)
        seed_observations(connection, days=9)
        connection.execute("SELECT ensure_partitions(now() - interval '9 days', 1)")
        connection.execute("INSERT INTO rollup_queue (desk_id, at) SELECT id, now() FROM desks")
        before = _figures(database, connection)
        added = connection.execute(WATCHED).rowcount
        after = _figures(database, connection)
        seen = connection.execute(
            "SELECT sum(probes) FROM daily_outcomes WHERE purpose = 'watch' AND outcome = 'offered'"
        ).fetchone()
    assert added > 10_000
    assert seen == (added,), "told apart, for operators"
    assert before["rates"]
    assert before["public desk_days"]
    assert before["public openings"]
    for name, rows in before.items():
        assert after[name] == rows, name
