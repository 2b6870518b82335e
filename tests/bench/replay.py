"""The replay of archived visits against parsel alone parsing the same bodies, processor time on one core."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import parsel
from psycopg import Connection

from guichets.cli._families import load_families
from guichets.evidence import ArchiveReader
from guichets.replay import Selection, run
from guichets.replay.run import read_answers
from guichets.replay.visits import read_visits, visit_of
from pipelines.validate import validate
from tests.bench.crawl import pin_to
from tests.crawl_fixtures import ROOT, clean_environment
from tests.sandbox_fixtures import RunningSandbox, start_sandbox

ROUNDS = 5
DESKS = 200
VISITS = 12  # of each desk, an hour apart as the schedule has them
HOUR_SECONDS = 3_600


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="guichets-bench-") as folder:
        home = Path(folder)
        sandbox = start_sandbox(home, desks=DESKS, departements=80, mixture="lives")
        try:
            for _ in range(VISITS):
                _crawl(sandbox, home)
                sandbox.advance(HOUR_SECONDS)
        finally:
            sandbox.stop()
        pin_to(0)
        os.environ["GUICHETS_HOME"] = str(home / "home")
        os.environ.pop("GUICHETS_DATABASE_URL", None)
        from guichets import database

        with database.connect("reader", dsn=database.prepare()) as connection:
            _compare(connection, home / "home")


def _compare(connection: Connection, home: Path) -> None:
    bodies = [
        answer.page.body
        for rows in read_visits(connection, Selection())
        for answer in read_answers(visit_of(rows), ArchiveReader(home))
        if answer.page.body
    ]
    connection.rollback()
    rows = []
    for number in range(ROUNDS):
        rows.append((_seconds(lambda: _parse(bodies)), _seconds(lambda: _replay(connection, home))))
        print(f"  round {number + 1}/{ROUNDS}", file=sys.stderr)
    different = len(set(bodies))
    print(f"Replay of {len(bodies)} pages ({different} different), medians of {ROUNDS} rounds")
    for label, column in (("parsel alone", 0), ("replay", 1)):
        print(f"  {label:<22}{len(bodies) / median(row[column] for row in rows):8.0f} pages per second")
    print(
        f"  replay / parsel       {median(alone / replay for alone, replay in rows):8.2f}   goal 0.80 or more"
    )


def _parse(bodies: list[bytes]) -> None:
    for body in bodies:
        parsel.Selector(text=body.decode("utf-8", "replace"))


def _replay(connection: Connection, home: Path) -> None:
    found = run(connection, ArchiveReader(home), load_families(), Selection(), normalise=validate)
    assert found.visits == DESKS * VISITS, found.visits
    assert not found.changes, found.changes[:3]
    connection.rollback()


def _seconds(work: Callable[[], None]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def _crawl(sandbox: RunningSandbox, home: Path) -> None:
    words = [sys.executable, "-m", "scrapy", "crawl", "ezbooking", "-a", "due=all"]
    for name, value in {
        "GUICHETS_HOST_DELAY": 0,
        "GUICHETS_FORM_INTERVAL": 0,
        "GUICHETS_CONTROL_URLS": "",
        "GUICHETS_MAX_HOSTS": 64,
        "LOG_LEVEL": "WARNING",
    }.items():
        words += ["-s", f"{name}={value}"]
    environment = {
        **clean_environment(),
        "GUICHETS_CATALOGUE": str(sandbox.catalogue),
        "GUICHETS_HOME": str(home / "home"),
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(words, cwd=ROOT, env=environment, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"the crawl failed: {done.stderr[-2000:]}")


if __name__ == "__main__":
    main()
