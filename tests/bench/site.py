"""The public site of the whole country with two years of data: time from nothing, and when little changed.

Observations are not read by `guichets report`: a few desks are simulated, and what was counted of them stands
for all the others. Counting goes on while observing, day by day; the bench begins when it is up to date.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

import psycopg

from guichets import database
from guichets.catalogue import departements
from guichets.database import embedded
from guichets.sandbox.year import STORIES, simulate_year

SIMULATED = 12
DESKS_EACH = 4  # in each of 101 départements
DAYS = 730
LAST = date(2025, 12, 31)
GOAL_SECONDS = 60


def main() -> None:
    print("site")
    home = Path(tempfile.mkdtemp(prefix="guichets-bench-"))
    try:
        dsn = embedded.join(home)
        database.upgrade(dsn)
        with database.connect("owner", dsn=dsn, autocommit=True) as connection:
            began = time.monotonic()
            simulate_year(connection, last=LAST, days=DAYS, desks=SIMULATED, stories=STORIES[::2])
            print(f"  {SIMULATED} desks simulated over two years in {time.monotonic() - began:.0f} s")
            desks = _multiply(connection)
        first = _report(home, dsn)
        again = _report(home, dsn)
        size = sum((home / "site" / name).stat().st_size for name in ("index.html", "style.css"))
        print(
            f"  {desks} desks, {DAYS} days: {first:.1f} s from nothing, {again:.1f} s when nothing changed; "
            f"goal {GOAL_SECONDS} s; first page {size / 1000:.0f} kB"
        )
    finally:
        embedded.stop(home)
        shutil.rmtree(home, ignore_errors=True)


def _multiply(connection: psycopg.Connection[Any]) -> int:
    """Every département gets desks that were counted like the simulated ones."""
    originals = [row[0] for row in connection.execute("SELECT id FROM desks ORDER BY id").fetchall()]
    number = 0
    for code in departements():
        if code == "99":
            continue
        for rank in range(DESKS_EACH):
            original = originals[number % len(originals)]
            number += 1
            copy = {"id": f"{code.lower()}-copie-{rank}", "code": code, "original": original}
            connection.execute(
                """INSERT INTO offices (departement, name) VALUES (%(code)s, 'Préfecture')
                ON CONFLICT DO NOTHING""",
                copy,
            )
            connection.execute(
                """INSERT INTO desks
                    (id, family, departement, office_id, procedure, label, url, host, opened_at)
                SELECT %(id)s, family, %(code)s, offices.id, procedure, label, url, host, opened_at
                FROM desks JOIN offices ON offices.departement = %(code)s AND offices.name = 'Préfecture'
                WHERE desks.id = %(original)s""",
                copy,
            )
            for table in ("daily_outcomes", "daily_sequences", "daily_changes", "daily_delays"):
                columns = connection.execute(
                    """SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute
                    WHERE attrelid = %s::regclass AND attnum > 1 AND NOT attisdropped""",
                    [table],
                ).fetchone()
                assert columns is not None
                connection.execute(
                    f"""INSERT INTO {table} (desk_id, {columns[0]})
                    SELECT %(id)s, {columns[0]} FROM {table} WHERE desk_id = %(original)s""",
                    copy,
                )
    connection.execute("TRUNCATE sequence_queue")
    connection.execute("ANALYZE")
    return number + len(originals)


def _report(home: Path, dsn: str) -> float:
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "guichets", "report", "--out", str(home / "site")],
        env={**os.environ, "GUICHETS_DATABASE_URL": dsn, "GUICHETS_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    print(f"  {done.stdout.strip().partition(': ')[2]}")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"    peak memory {peak:.0f} MB")
    return time.monotonic() - began


if __name__ == "__main__":
    main()
