"""The replay of archived visits against parsel alone parsing the same bodies, processor time on one core."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import parsel
from psycopg import Connection
from psycopg.types.json import Jsonb

from guichets.cli._families import load_families
from guichets.evidence import ArchivedPage, ArchiveReader, ArchiveWriter, Exchange
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
FRAME = (  # what stands around the form on a préfecture's site; the sandbox leaves it out
    b"<div class='menu'>"
    + b"".join(
        b"<div><a href='/Actions-de-l-Etat/Rubrique-%d' title='Rubrique'><span>Rubrique %d</span></a></div>\n"
        % (number, number)
        for number in range(300)
    )
    + b"</div>"
)


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

        with database.connect("owner", dsn=database.prepare()) as connection:
            _compare(connection, home / "home", "the form alone, as the sandbox sends it")
            _frame_pages(connection, home / "home", home / "framed")
            _compare(connection, home / "framed", "inside the menus of a whole site")


def _compare(connection: Connection, home: Path, what: str) -> None:
    bodies = [
        answer.page.body
        for rows in read_visits(connection, Selection())
        for answer in read_answers(visit_of(rows), ArchiveReader(home))
        if answer.page.body
    ]
    connection.rollback()
    times = []
    for number in range(ROUNDS):
        times.append((_seconds(lambda: _parse(bodies)), _seconds(lambda: _replay(connection, home))))
        print(f"  round {number + 1}/{ROUNDS}", file=sys.stderr)
    size = median(len(body) for body in bodies) / 1000
    different = len(set(bodies))
    print(f"Replay of {len(bodies)} pages ({different} different, median {size:.1f} kB): {what}")
    for label, column in (("parsel alone", 0), ("replay", 1)):
        print(f"  {label:<22}{len(bodies) / median(row[column] for row in times):8.0f} pages per second")
    print(f"  replay / parsel       {median(one / other for one, other in times):8.2f}   goal 0.80 or more")


def _frame_pages(connection: Connection, home: Path, framed: Path) -> None:
    """Archive the same visits again, each page inside the frame of a whole site, and point the rows there."""
    reader = ArchiveReader(home)
    moved: dict[str, dict[str, object]] = {}
    with ArchiveWriter(framed, "bench", now=lambda: datetime.now(UTC)) as writer:
        for rows in read_visits(connection, Selection()):
            visit = visit_of(rows)
            for part, ref in zip(visit.desk_line.evidence, visit.refs, strict=True):
                page = reader.read_page(ref)
                body = page.body().replace(b"</h1>", b"</h1>" + FRAME, 1)
                if FRAME not in body:
                    body = body.replace(b"<div", FRAME + b"<div", 1)
                new = writer.write_exchange(_exchange(page, body))
                moved[ref.record_id] = {**asdict(part), **asdict(new), "size": len(body)}
    connection.rollback()
    rows = connection.execute("SELECT id, evidence FROM observations").fetchall()
    with connection.cursor() as cursor:
        cursor.executemany(
            "UPDATE observations SET evidence = %s WHERE id = %s",
            [(Jsonb([moved[part["record_id"]] for part in evidence]), key) for key, evidence in rows],
        )
    connection.commit()


def _exchange(page: ArchivedPage, body: bytes) -> Exchange:
    left_out = (b"content-encoding", b"content-length", b"transfer-encoding")
    return Exchange(
        method=page.method,
        url=page.url,
        request_headers=page.request_headers,
        request_body=page.request_body,
        status=page.status,
        reason=page.reason,
        response_headers=tuple(pair for pair in page.headers if pair[0].lower() not in left_out),
        raw_body=body,
        started_at=page.started_at,
        finished_at=page.finished_at,
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
