"""A scrape and every panel's SQL over ten million observations: wall and processor time.

`BENCH_OBSERVATIONS=500000` measures over fewer; `BENCH_HOME` keeps the database for the next run.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from tests.monitoring.panels import queries
from tests.monitoring.scrapes import Scrape
from tests.monitoring.seeding import (
    DESKS,
    FAMILIES,
    PROCEDURES,
    VISITS_A_DAY,
    seed_catalogue,
    seed_observations,
)

OBSERVATIONS = 10_000_000
SCRAPE_MS = 50.0
PANEL_MS = 300.0
SCRAPE_MEGABYTES = 100
ROUNDS = 5
BATCH = 500
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def main() -> None:
    kept = os.environ.get("BENCH_HOME")
    home = Path(kept) if kept else Path(tempfile.mkdtemp(prefix="guichets-bench-monitoring-"))
    home.mkdir(parents=True, exist_ok=True)
    os.environ["GUICHETS_HOME"] = str(home)
    os.environ.pop("GUICHETS_DATABASE_URL", None)
    from guichets import database
    from guichets.database import embedded

    try:
        dsn = database.prepare()
        with database.connect("owner", dsn=dsn, autocommit=True) as connection:
            rows = _seed(connection)
            print(f"\nmonitoring: {DESKS} desks, {rows:,} observations", flush=True)
            _measure_writes(connection)
        _measure_scrapes(dsn)
        with database.connect("reader", dsn=dsn, autocommit=True) as connection:
            _measure_panels(connection)
    finally:
        embedded.stop(home)
        if not kept:
            shutil.rmtree(home, ignore_errors=True)


def _seed(connection: psycopg.Connection[Any]) -> int:
    wanted = int(os.environ.get("BENCH_OBSERVATIONS", OBSERVATIONS))
    days = wanted // (DESKS * VISITS_A_DAY)
    found = connection.execute(
        "SELECT sum(reltuples)::bigint FROM pg_class WHERE relname LIKE 'observations_20%' AND relkind = 'r'"
    ).fetchone()
    if found and (found[0] or 0) > 0.9 * wanted:
        return int(found[0])
    connection.execute("SET synchronous_commit = off")
    seed_catalogue(connection, days=days)
    written = seed_observations(connection, days=days)
    connection.execute("VACUUM ANALYZE")
    return written


def _measure_writes(connection: psycopg.Connection[Any]) -> None:
    """What the queue costs whoever writes, and what a refresh takes."""
    from guichets.database import rollups
    from guichets.items import new_probe_id

    insert = """INSERT INTO observations (id, probe, desk_id, family, departement, observed_at, outcome, rule,
        purpose, requests, parser, worker, host)
    SELECT p::uuid, p::uuid, 'desk-' || mod(n, 1500), 'ezbooking', '75', now(), 'none', 'r',
        'watch', 1, 'p', 'bench-1', 'h'
    FROM unnest(%s::text[]) WITH ORDINALITY AS probes (p, n)"""
    spent = {True: 0.0, False: 0.0}
    for number in range(2 * ROUNDS):
        queued = number % 2 == 0
        connection.execute(
            f"ALTER TABLE observations {'ENABLE' if queued else 'DISABLE'} TRIGGER observations_queue_rollups"
        )
        batches = [[str(new_probe_id()) for _ in range(BATCH)] for _ in range(ROUNDS)]
        spent[queued] += _timed(connection, partial(_insert, connection, insert, batches))[1]
    connection.execute("ALTER TABLE observations ENABLE TRIGGER observations_queue_rollups")
    wall, processor = _timed(connection, lambda: rollups.refresh(connection, patiently=True))
    rows = BATCH * ROUNDS * ROUNDS
    with_queue, without = (spent[queued] / ROUNDS**2 for queued in (True, False))
    print(f"  a batch of {BATCH} written: {with_queue:.1f} ms of PostgreSQL, without queue {without:.1f}")
    print(f"  {rows:,} observations taken into the rollups: {wall:.0f} ms, {processor:.0f} of PostgreSQL")


def _insert(connection: psycopg.Connection[Any], insert: str, batches: list[list[str]]) -> None:
    for batch in batches:
        connection.execute(insert, [batch])


def _measure_scrapes(dsn: str) -> None:
    from monitoring.exporter import build

    made, figures = build("all", dsn=dsn)
    assert figures is not None
    began = time.perf_counter()
    figures.update()
    print(f"  figures by département, once a minute: {(time.perf_counter() - began) * 1000:.0f} ms")
    walls, ours = [], []
    for _ in range(2 * ROUNDS):
        began, processor = time.perf_counter(), time.process_time()
        page = made.page()
        walls.append((time.perf_counter() - began) * 1000)
        ours.append((time.process_time() - processor) * 1000)
    assert made._connection is not None
    _, theirs = _timed(made._connection, made.page)
    print(
        f"  scrape: {min(walls):.1f} ms ({_verdict(min(walls), SCRAPE_MS)}); "
        f"processor time {min(ours):.1f} ms ours, {theirs:.0f} PostgreSQL's; "
        f"{len(Scrape(page).samples):,} series, {len(page) / 1e6:.2f} MB"
    )
    status = Path("/proc/self/status").read_text()
    peak = int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024
    print(f"  memory: {peak:.0f} MB at most, bench included ({_verdict(peak, SCRAPE_MEGABYTES)})")
    made.close()
    figures.close()


def _measure_panels(connection: psycopg.Connection[Any]) -> None:
    now = datetime.now(UTC)
    departements = [row[0] for row in connection.execute("SELECT code FROM departements")]
    choices = {"departement": departements, "procedure": list(PROCEDURES), "desk": ["desk-1"]}
    found = []
    for query in (query for query in queries() if query.is_sql):
        family = ["ezbooking"] if "= ${family" in query.text else list(FAMILIES)
        since = (now - timedelta(days=7)).isoformat()
        text = query.sql({**choices, "family": family}, since=since, until=now.isoformat())
        measured = [
            _timed(connection, lambda text=text: connection.execute(text).fetchall()) for _ in range(3)
        ]
        found.append((min(wall for wall, _ in measured), min(cpu for _, cpu in measured), query.name))
    found.sort(reverse=True)
    print(f"  {len(found)} queries of panels, variables and markers, seven days, every choice; the slowest:")
    for wall, processor, name in found[:6]:
        print(f"    {wall:7.1f} ms, {processor:5.0f} of PostgreSQL  {name} ({_verdict(wall, PANEL_MS)})")


def _read(connection: psycopg.Connection[Any], text: str) -> None:
    connection.execute(text).fetchall()  # type: ignore[arg-type, call-overload]


def _timed(connection: psycopg.Connection[Any], work: Callable[[], object]) -> tuple[float, float]:
    """Milliseconds on the wall, and of PostgreSQL's processor time for this connection."""
    pid = connection.info.backend_pid
    before, began = _processor_ms(pid), time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000, _processor_ms(pid) - before


def _processor_ms(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / TICKS_PER_SECOND


def _verdict(value: float, most: float) -> str:
    return f"at most {most:.0f} wanted" + ("" if value <= most else ", MISSED")


if __name__ == "__main__":
    main()
