"""SIGTERM, as an init system, a container engine or Kubernetes sends it to a worker."""

from __future__ import annotations

import signal
import time

import pytest

from tests.crawl_fixtures import Workshop, read_rows, wait_until
from tests.deploy.test_manifests import LONGEST_STOP_SECONDS

HELD = "SELECT FROM hosts WHERE lease_owner IS NOT NULL"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_worker_that_is_stopped_gives_its_hosts_back(workshop: Workshop, number: signal.Signals) -> None:
    box = workshop.sandbox(desks=12, departements=4)
    database = workshop.database()
    crawler = workshop.crawler(box.catalogue, database)
    process, out = crawler.start(settings={"GUICHETS_HOST_DELAY": 600}, minutes=5)
    wait_until(lambda: len(read_rows(database, HELD)) == 4, "the crawl to hold four hosts")
    # each host's first request is robots.txt; the visit's own waits for its turn, ten minutes later
    wait_until(lambda: len(box.ledger()) >= 4, "a request to each host")
    process.send_signal(number)
    stopped_at = time.monotonic()
    result = crawler.finish(process, out)
    assert time.monotonic() - stopped_at < LONGEST_STOP_SECONDS
    assert result.status == 130, result.mistakes
    assert not read_rows(database, HELD)
    assert read_rows(database, "SELECT finish_reason FROM crawls") == [{"finish_reason": "shutdown"}]
    probes = read_rows(database, "SELECT outcome::text, rule FROM observations WHERE counter_key IS NULL")
    assert {(row["outcome"], row["rule"]) for row in probes} == {("observer_fault", "observer.interrupted")}
    assert not list((crawler.home / "spool").glob("*.jsonl"))
    visits = "SELECT last_probed_at > begun_at AS later FROM desks JOIN baseline_visits ON desk_id = desks.id"
    assert {row["later"] for row in read_rows(database, visits)} == {True}, "a form's interval begins here"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_worker_that_is_stopped_while_it_gets_ready_says_so_in_one_line(
    workshop: Workshop, number: signal.Signals
) -> None:
    box = workshop.sandbox(desks=1, departements=1)
    database = workshop.database()
    crawler = workshop.crawler(box.catalogue, database)
    with database.connect() as connection, connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('guichets.sync_catalogue', 0))")
        process, out = crawler.start()
        wait_until(
            lambda: read_rows(database, "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"),
            "the crawl to wait for the catalogue",
        )
        process.send_signal(number)
        result = crawler.finish(process, out)
    assert result.status == 130
    assert result.log.splitlines()[-1] == "interrupted before the crawl began"
    assert "Traceback" not in result.log
    assert box.ledger() == []
