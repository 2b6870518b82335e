"""What one worker leaves for the others: pauses, delays, schemas."""

from __future__ import annotations

import shutil
import time
from datetime import timedelta

import pytest
from psycopg import conninfo

from tests.cluster.proxy import DatabaseProxy
from tests.crawl_fixtures import Workshop, read_rows, wait_until
from tests.database_fixtures import Database

pytestmark = pytest.mark.xdist_group("cluster")


def test_a_pause_outlives_a_worker_killed_right_after_the_refusal(workshop: Workshop) -> None:
    box = workshop.sandbox(desks=2, departements=1, mixture="none")
    box.set_host(status=403)
    database = workshop.database()
    crawler = workshop.crawler(box.catalogue, database)
    process, _ = crawler.start(settings={"GUICHETS_LEASE": 60}, minutes=10)
    wait_until(
        lambda: read_rows(database, "SELECT host FROM hosts WHERE paused_until > now()"),
        "the pause to be saved",
    )
    crawler.kill(process)
    (host,) = read_rows(database, "SELECT paused_until - now() AS pause, strikes, last_refusal_at FROM hosts")
    assert host["pause"] > timedelta(minutes=39)
    assert host["strikes"] == 1
    assert host["last_refusal_at"] is not None
    (event,) = read_rows(database, "SELECT what, why FROM host_events")
    assert event == {"what": "refused", "why": "HTTP 403"}


def test_an_operators_pause_stops_a_worker_that_holds_the_host(workshop: Workshop) -> None:
    box = workshop.sandbox(desks=8, departements=1, mixture="none-redirect")
    database = workshop.database()
    crawler = workshop.crawler(box.catalogue, database)
    process, out = crawler.start(settings={"GUICHETS_HOST_DELAY": 0.3, "GUICHETS_LEASE": 3})
    wait_until(lambda: len(box.ledger()) >= 4, "some requests")
    with database.connect() as connection:
        connection.execute("UPDATE hosts SET paused_until = now() + interval '1 hour'")
    result = crawler.finish(process, out)
    assert result.status == 0
    assert len({line["desk"] for line in result.lines}) < 8
    (host,) = read_rows(database, "SELECT paused_until - now() AS pause, lease_owner FROM hosts")
    assert host["pause"] > timedelta(minutes=50)
    assert host["lease_owner"] is None


def test_a_worker_with_yesterdays_schema_stops_with_one_line(workshop: Workshop) -> None:
    box = workshop.sandbox(desks=1, departements=1, mixture="none")
    database = workshop.database()
    with database.connect() as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0002'")
    result = workshop.crawler(box.catalogue, database).run()
    assert result.status == 2
    (mistake,) = [line for line in result.log.splitlines() if "schema" in line]
    assert "has schema 0002" in mistake
    assert mistake.endswith("run: guichets db upgrade")
    assert "Traceback" not in result.log
    assert box.ledger() == []


def test_after_a_death_the_next_worker_waits_a_whole_delay(workshop: Workshop) -> None:
    box = workshop.sandbox(desks=2, departements=1, mixture="none-redirect")
    database = workshop.database()
    crawler = workshop.crawler(box.catalogue, database)
    settings = {"GUICHETS_HOST_DELAY": 4, "GUICHETS_LEASE": 3}
    process, _ = crawler.start(settings=settings)
    wait_until(lambda: len(box.ledger()) >= 2, "a request of the desk")
    crawler.kill(process)
    seen = len(box.ledger())
    process, _ = crawler.start(settings=settings, minutes=5)
    wait_until(lambda: len(box.ledger()) > seen, "the next worker's first request")
    crawler.kill(process)
    assert box.ledger()[seen]["started_monotonic"] - box.ledger()[seen - 1]["started_monotonic"] >= 4


def test_a_network_that_swallows_everything_is_noticed_and_nothing_is_lost(workshop: Workshop) -> None:
    """No end of connection, no error: what was sent to PostgreSQL is simply never answered."""
    box = workshop.sandbox(desks=12, departements=4, mixture="none", latency=100)
    database = workshop.database()
    proxy = DatabaseProxy(str(conninfo.conninfo_to_dict(database.dsn)["host"]))
    own = Database(conninfo.make_conninfo(database.dsn, host=str(proxy.folder), connect_timeout=2))
    try:
        crawler = workshop.crawler(box.catalogue, own)
        process, out = crawler.start(settings={"GUICHETS_LEASE": 6})
        wait_until(lambda: read_rows(database, "SELECT FROM observations"), "the first rows")
        proxy.swallow()
        wait_until(lambda: list((crawler.home / "spool").glob("*.jsonl")), "observations in the spool")
        time.sleep(7)  # longer than it waits for a batch, and than the leases last
        proxy.mend()
        result = crawler.finish(process, out)
    finally:
        proxy.close()
    assert result.status == 0, result.log[-3000:]
    assert "no answer within 5 seconds" in result.log
    assert "Traceback" not in result.log
    rows = read_rows(database, "SELECT id::text FROM observations")
    assert sorted(row["id"] for row in rows) == sorted(line["id"] for line in result.lines)
    assert set(result.desks) == set(box.truth())
    assert list((crawler.home / "spool").glob("*.jsonl")) == []


def test_a_postgresql_that_restarts_while_a_worker_gets_ready_is_one_line(workshop: Workshop) -> None:
    box = workshop.sandbox(desks=1, departements=1)
    database = workshop.database()
    crawler = workshop.crawler(box.catalogue, database)
    waiting = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    with database.connect() as connection, connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('guichets.sync_catalogue', 0))")
        process, out = crawler.start()
        (row,) = wait_until(lambda: read_rows(database, waiting), "the crawl to wait for the catalogue")
        read_rows(database, "SELECT pg_terminate_backend(%s)", row["pid"])
        result = crawler.finish(process, out)
    assert result.status == 2
    assert "terminating connection due to administrator command" in result.log.splitlines()[-1]
    assert "Traceback" not in result.log


def test_what_postgresql_refuses_midway_ends_the_crawl_in_one_line(workshop: Workshop) -> None:
    """An administrator took a right away: nothing is tried for ever, and what was seen is kept."""
    box = workshop.sandbox(desks=12, departements=12, mixture="none", latency=200)
    database = workshop.database()
    crawler = workshop.crawler(box.catalogue, database)
    process, out = crawler.start(settings={"GUICHETS_MAX_HOSTS": 1})
    wait_until(lambda: read_rows(database, "SELECT FROM observations"), "the first rows")
    with database.connect() as administrator:
        administrator.execute("REVOKE UPDATE ON hosts FROM guichets_writer")
    result = crawler.finish(process, out)
    assert result.status == 1
    assert "permission denied for table hosts" in result.log
    assert "Traceback" not in result.log
    rows = read_rows(database, "SELECT id::text FROM observations")
    assert sorted(row["id"] for row in rows) == sorted(line["id"] for line in result.lines)


def test_two_machines_with_different_catalogues_are_told_of_it(workshop: Workshop) -> None:
    """The last one to start wins; who comes back to what was replaced says so in one line."""
    box = workshop.sandbox(desks=2, departements=2, mixture="none")
    database = workshop.database()
    whole = workshop.crawler(box.catalogue, database)
    less = workshop.folder("less")
    for file in sorted(box.catalogue.glob("*.toml"))[1:]:
        shutil.copy(file, less)
    half = workshop.crawler(less, database)
    assert "different catalogues" not in whole.run().log
    assert "different catalogues" not in half.run().log  # a change, as when files are corrected
    result = whole.run()
    assert result.status == 0
    (line,) = [line for line in result.log.splitlines() if "different catalogues" in line]
    assert f"replaces that of {less}" in line
    assert "0 desks closed, 1 opened, 0 changed" in line
