"""Killed, interrupted, without its database or its disk: a crawl loses nothing and doubles nothing."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import conninfo, sql

from tests.crawl_fixtures import PATIENCE_SECONDS, Crawler, Workshop, read_rows, wait_until
from tests.database_fixtures import Database
from tests.sandbox_fixtures import RunningSandbox

LEASE_SECONDS = 2  # a dead worker's hosts are free again after that


def spooled(crawler: Crawler) -> list[dict[str, Any]]:
    """What waits on disk; a line that a kill cut is none."""
    return [record for file in (crawler.home / "spool").glob("*.jsonl") for record in whole_lines(file)]


def whole_lines(file: Path) -> Iterator[dict[str, Any]]:
    try:
        text = file.read_bytes()
    except FileNotFoundError:  # drained meanwhile
        return
    for line in text.splitlines(keepends=True):
        if line.endswith(b"\n"):
            yield json.loads(line)


def written(database: Database) -> list[str]:
    return [str(row["id"]) for row in read_rows(database, "SELECT id FROM observations")]


def slow_box(workshop: Workshop, **options: object) -> RunningSandbox:
    return workshop.sandbox(**{"desks": 30, "departements": 6, "mixture": "lives", "latency": 25, **options})


@contextmanager
def database_away(database: Database) -> Iterator[None]:
    """Cut every connection to the database and let none in."""
    name = conninfo.conninfo_to_dict(database.dsn)["dbname"]
    identifier = sql.Identifier(str(name))
    server = conninfo.make_conninfo(database.dsn, dbname="postgres")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(identifier))
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
        )
        try:
            yield
        finally:
            connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(identifier))


@pytest.mark.parametrize("moment", ["first spooled", "first written", "half written"])
def test_what_a_killed_crawl_yielded_is_written_once(workshop: Workshop, moment: str) -> None:
    box = slow_box(workshop)
    database = workshop.database()
    crawler = workshop.crawler(box.catalogue, database)
    settings = {"GUICHETS_LEASE": LEASE_SECONDS}
    process, out = crawler.start(settings=settings)
    reached = {
        "first spooled": lambda: spooled(crawler),
        "first written": lambda: written(database),
        "half written": lambda: len(written(database)) >= 30,
    }[moment]
    wait_until(reached, moment)
    crawler.kill(process)
    yielded = {record["id"] for record in spooled(crawler)} | set(written(database))
    yielded |= {line["id"] for line in whole_lines(out)}
    assert yielded
    begun = {
        row["id"] for row in read_rows(database, "SELECT id FROM desks WHERE last_probed_at IS NOT NULL")
    }
    result = crawler.run(settings=settings)
    assert result.status == 0, result.log[-3000:]
    rows = written(database)
    assert len(rows) == len(set(rows))
    assert yielded <= set(rows)
    assert {line["id"] for line in result.lines} <= set(rows), result.log[-3000:]
    assert spooled(crawler) == []
    # a visit that was cut in the middle may wait for the desk's next turn; one per host can be
    desks = Counter(
        row["desk_id"]
        for row in read_rows(database, "SELECT desk_id FROM observations WHERE counter_key IS NULL")
    )
    missing = set(box.truth()) - set(desks)
    assert missing <= begun
    assert len(missing) <= len(box.hosts)
    assert set(desks.values()) <= {1, 2}
    killed, finished = read_rows(database, "SELECT finished_at FROM crawls ORDER BY started_at")
    assert killed["finished_at"] is None
    assert finished["finished_at"] is not None
    assert box.tripwires() == []


def test_a_crawl_goes_on_without_its_database_and_writes_when_it_is_back(workshop: Workshop) -> None:
    box = slow_box(workshop)
    database = workshop.database()
    crawler = workshop.crawler(box.catalogue, database)
    process, out = crawler.start()
    wait_until(lambda: written(database), "the first rows")
    with database_away(database):
        # visits under way end, and what they found waits; none begins that another worker might begin too
        wait_until(lambda: spooled(crawler), "observations in the spool")
    result = crawler.finish(process, out)
    assert result.status == 0, result.log[-3000:]
    rows = written(database)
    assert sorted(rows) == sorted(line["id"] for line in result.lines)
    assert set(result.desks) == set(box.truth())
    assert spooled(crawler) == []
    assert "Traceback" not in result.log


def test_what_waits_in_the_spool_is_written_by_the_next_crawl(workshop: Workshop) -> None:
    box = slow_box(workshop)
    database = workshop.database()
    crawler = workshop.crawler(box.catalogue, database)
    process, out = crawler.start(settings={"GUICHETS_LEASE": LEASE_SECONDS})
    wait_until(lambda: written(database), "the first rows")
    with database_away(database):
        wait_until(lambda: spooled(crawler), "observations in the spool")
        process.send_signal(signal.SIGINT)
        interrupted = crawler.finish(process, out)
        waiting = {record["id"] for record in spooled(crawler)}
    assert interrupted.status == 130, interrupted.log[-3000:]
    assert "observations wait in" in interrupted.log
    yielded = {line["id"] for line in interrupted.lines}
    assert waiting <= yielded
    assert yielded <= waiting | set(written(database))
    result = crawler.run(settings={"GUICHETS_LEASE": LEASE_SECONDS}, due="all")
    assert result.status == 0
    rows = written(database)
    assert len(rows) == len(set(rows))
    assert yielded <= set(rows)
    assert spooled(crawler) == []


@contextmanager
def writes_held_up(database: Database) -> Iterator[psycopg.Connection]:
    """Let every batch wait for a lock, just before its end."""
    with database.connect() as connection, connection.transaction():
        connection.execute("LOCK TABLE counters IN ACCESS EXCLUSIVE MODE")
        yield connection


def wait_for_held_up_batch(database: Database) -> int:
    """The server process of a batch that waits."""
    query = (
        "SELECT pid FROM pg_stat_activity"
        " WHERE wait_event_type = 'Lock' AND datname = current_database() AND pid <> pg_backend_pid()"
    )
    pid: int = wait_until(lambda: read_rows(database, query), "a batch that waits")[0]["pid"]
    return pid


def test_a_batch_under_way_when_the_crawl_ends_is_written(workshop: Workshop) -> None:
    box = workshop.sandbox(desks=6, departements=3, mixture="none")
    database = workshop.database()
    crawler = workshop.crawler(box.catalogue, database)
    with writes_held_up(database):
        process, out = crawler.start()
        wait_until(lambda: {r["desk_id"] for r in spooled(crawler)} == set(box.truth()), "all desks read")
        wait_for_held_up_batch(database)
        time.sleep(2)  # the spider closes meanwhile; later, the batch would be an ordinary one
    result = crawler.finish(process, out)
    assert result.status == 0, result.log[-3000:]
    assert sorted(written(database)) == sorted(line["id"] for line in result.lines)
    assert spooled(crawler) == []


def test_a_batch_that_was_rolled_back_with_its_new_partition_is_written(workshop: Workshop) -> None:
    box = slow_box(workshop)
    database = workshop.database()
    partitions = read_rows(
        database,
        "SELECT inhrelid::regclass::text AS name FROM pg_inherits"
        " WHERE inhparent IN ('observations'::regclass, 'slots'::regclass)",
    )
    with database.connect() as connection:
        for partition in partitions:
            connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(partition["name"])))
    crawler = workshop.crawler(box.catalogue, database)
    with writes_held_up(database):
        process, out = crawler.start()
        pid = wait_for_held_up_batch(database)
        read_rows(database, "SELECT pg_terminate_backend(%s)", pid)
    result = crawler.finish(process, out)
    assert result.status == 0, result.log[-3000:]
    assert sorted(written(database)) == sorted(line["id"] for line in result.lines)
    assert not (crawler.home / "spool" / "refused.log").exists()


def test_without_a_spool_observations_are_written_all_the_same(workshop: Workshop) -> None:
    """A file stands where the folder should be: root could write into a folder without rights."""
    box = workshop.sandbox(desks=6, departements=3, mixture="none")
    database = workshop.database()
    crawler = workshop.crawler(box.catalogue, database)
    crawler.home.mkdir(exist_ok=True)
    (crawler.home / "spool").write_text("no folder")
    result = crawler.run()
    assert set(result.desks) == set(box.truth())
    assert sorted(written(database)) == sorted(line["id"] for line in result.lines)
    assert "the spool cannot be written" in result.log
    assert "Traceback" not in result.log
    assert result.status == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "term"])
def test_an_interrupted_crawl_ends_its_probes_and_frees_its_hosts(
    workshop: Workshop, number: signal.Signals
) -> None:
    box = slow_box(workshop, latency=50)
    never = sorted(desk["id"] for desk in box.desks() if desk["host"] == box.hosts[0])[0]
    box.set_scene(never, "hang")
    database = workshop.database()
    crawler = workshop.crawler(box.catalogue, database)
    process, out = crawler.start(settings={"DOWNLOAD_TIMEOUT": 600})
    wait_until(lambda: len(written(database)) >= 5, "some rows")
    process.send_signal(number)
    told = time.monotonic()
    result = crawler.finish(process, out)
    assert time.monotonic() - told < PATIENCE_SECONDS
    assert result.status == 130, result.log[-3000:]
    assert "Traceback" not in result.log
    line = result.desks[never]
    assert (line["outcome"], line["rule"]) == ("observer_fault", "observer.interrupted")
    rows = read_rows(database, "SELECT id, desk_id FROM observations")
    assert sorted(str(row["id"]) for row in rows) == sorted(line["id"] for line in result.lines)
    visited = {entry["desk"] for entry in box.ledger()} - {None}
    assert visited <= {row["desk_id"] for row in rows} == set(result.desks)
    assert len(result.desks) < 30, "the crawl was over before it was interrupted"
    held = read_rows(database, "SELECT host FROM hosts WHERE lease_owner IS NOT NULL")
    assert held == []
    (crawl,) = read_rows(database, "SELECT finish_reason, stats FROM crawls")
    assert crawl["finish_reason"] == "shutdown"
    assert crawl["stats"]["guichets/probes"] == len(result.desks)
