"""The planner of watch probes in the database: relearning a country, and planning a minute."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from statistics import median

from guichets import database
from guichets.database import embedded
from guichets.schedule import planner as planner_module
from guichets.schedule.planner import Planner
from tests.bench.schedule import fill

HOSTS, DESKS = 120, 1500
DAYS = 28  # of history, a visit an hour
VISITS_A_MINUTE = 50  # 1,500 desks every 30 minutes
MINUTES = 5

HISTORY = """
INSERT INTO observations (
    id, probe, desk_id, family, departement, observed_at, outcome, rule, purpose, requests, parser, worker,
    host
)
SELECT
    gen_random_uuid(), gen_random_uuid(), id, family, departement, hour + random() * interval '50 minutes',
    (CASE WHEN extract(hour FROM hour) = 8 AND random() < 0.3 THEN 'offered' ELSE 'none' END)::outcome,
    'r', 'baseline', 4, 'x@1', 'w', host
FROM desks
CROSS JOIN generate_series(
    now() - %s * interval '1 day', now() - interval '1 hour', interval '1 hour'
) AS hour
"""
VISITS = """
INSERT INTO observations (
    id, probe, desk_id, family, departement, observed_at, outcome, rule, purpose, requests, parser, worker,
    host
)
SELECT
    gen_random_uuid(), gen_random_uuid(), id, family, departement, now(), 'none', 'r', 'watch', 4, 'x@1', 'w',
    host
FROM desks
ORDER BY random()
LIMIT %s
"""


def main() -> None:
    home = Path(tempfile.mkdtemp(prefix="guichets-bench-"))
    try:
        dsn = embedded.join(home)
        database.upgrade(dsn)
        _seed(dsn)
        print(f"Watch in the database: {DESKS} desks on {HOSTS} hosts, {DAYS} days of a visit an hour")
        _relearn(dsn)
        _plan(dsn)
    finally:
        embedded.stop(home)
        shutil.rmtree(home, ignore_errors=True)


def _seed(dsn: str) -> None:
    fill(dsn, hosts=HOSTS, desks=DESKS)
    with database.connect("owner", dsn=dsn, autocommit=True) as connection:
        connection.execute("UPDATE desks SET next_due_at = now() + random() * interval '1 hour'")
        connection.execute("SELECT ensure_partitions(now() - %s * interval '1 day', 2)", [DAYS + 2])
        connection.execute("ALTER TABLE observations DISABLE TRIGGER USER")
        connection.execute(HISTORY, [DAYS])
        connection.execute("VACUUM ANALYZE")


def _new_planner(dsn: str) -> Planner:
    return Planner(dsn, owner="bench", every_minutes=30, delay_seconds=10, form_interval_seconds=900)


def _relearn(dsn: str) -> None:
    planner = _new_planner(dsn)
    began = time.perf_counter()
    desks = sum(1 for _ in planner.relearn_all())
    took = time.perf_counter() - began
    planner.close()
    print(f"  relearnt from observations: {took:.0f} s, {1000 * took / desks:.0f} ms per desk")


def _plan(dsn: str) -> None:
    """As a worker does that takes over; each minute is one minute later, whatever the clock says."""
    planner = _new_planner(dsn)
    clock, processor = [], []
    for number in range(MINUTES + 1):
        planner_module.LEAD_SECONDS = 60.0 * (number + 1)
        with database.connect("owner", dsn=dsn, autocommit=True) as connection:
            connection.execute(VISITS, [VISITS_A_MINUTE])
            connection.execute("UPDATE watch_planner SET planned_until = NULL")
        began, spent = time.perf_counter(), time.process_time()
        planner.work()
        clock.append(1000 * (time.perf_counter() - began))
        processor.append(1000 * (time.process_time() - spent))
    planner.close()
    with database.connect("reader", dsn=dsn) as connection:
        row = connection.execute("SELECT avg(length(state)) FROM watch_states").fetchone()
    assert row is not None
    print(
        f"  taking over and planning the first minute: {clock[0] / 1000:.1f} s, {processor[0] / 1000:.1f} s "
        f"of processor; each minute after it, {VISITS_A_MINUTE} visits learnt and kept: "
        f"{median(clock[1:]):.0f} ms, {median(processor[1:]):.0f} ms of processor; "
        f"a state has {row[0]:.0f} bytes"
    )


if __name__ == "__main__":
    main()
