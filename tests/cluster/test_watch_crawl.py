"""Watch probes end to end: crawls, a real PostgreSQL, and the sandbox's ledger as the truth."""

from __future__ import annotations

import signal
import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from psycopg import conninfo

from guichets import catalogue
from guichets.database import sync_catalogue
from tests.cluster.proxy import DatabaseProxy
from tests.crawl_fixtures import Crawler, Workshop, read_rows, wait_until
from tests.database_fixtures import Database
from tests.sandbox_fixtures import RunningSandbox
from tests.watch_history import seed_history

pytestmark = [pytest.mark.xdist_group("cluster"), pytest.mark.timeout(300)]

SETTINGS = {"GUICHETS_HOST_DELAY": 0.2, "GUICHETS_FORM_INTERVAL": 900, "GUICHETS_WATCH_EVERY": 30}


class Place:
    """A sandbox whose desks are known to a database, were visited an hour ago, and are due in two hours."""

    def __init__(self, workshop: Workshop, *, desks: int = 2) -> None:
        self.box: RunningSandbox = workshop.sandbox(desks=desks, departements=desks, mixture="none-redirect")
        self.database: Database = workshop.database()
        self.crawler: Crawler = workshop.crawler(self.box.catalogue, self.database)
        with self.database.connect() as connection:
            sync_catalogue(connection, catalogue.load(self.box.catalogue), now=datetime.now(UTC))
            connection.execute(
                "UPDATE desks SET last_probed_at = now() - interval '1 hour',"
                " next_due_at = now() + interval '2 hours'"
            )
        self.desks = [desk["id"] for desk in self.box.desks()]

    def plan(self, desk: str, *, seconds: float) -> datetime:
        with self.database.connect() as connection:
            row = connection.execute(
                "INSERT INTO watch_queue"
                " (desk_id, planned_at, expires_at, host, family, reason, weight, is_dense)"
                " SELECT id, now() + %(after)s, now() + %(after)s + interval '75 s', host, family, 'cycle',"
                " 3, false FROM desks WHERE id = %(desk)s RETURNING planned_at",
                {"after": timedelta(seconds=seconds), "desk": desk},
            ).fetchone()
        assert row is not None
        return row[0]  # type: ignore[no-any-return]

    def visits(self, desk: str) -> list[datetime]:
        """When each visit of a desk began, by the ledger."""
        return sorted(
            datetime.fromisoformat(entry["started_at"])
            for entry in self.box.ledger(desk=desk)
            if entry["method"] == "GET" and entry["path"].endswith("/0")
        )

    def rows(self, query: str) -> list[dict[str, Any]]:
        return read_rows(self.database, query)


def test_planned_probe_is_made_at_its_instant_and_the_baseline_knows_nothing_of_it(
    workshop: Workshop,
) -> None:
    place = Place(workshop)
    watched, other = place.desks
    due_before = place.rows("SELECT id, next_due_at FROM desks ORDER BY id")
    process, out = place.crawler.start(settings=SETTINGS, minutes=3)
    wait_until(lambda: place.rows("SELECT FROM crawls WHERE finished_at IS NULL"), "the crawl to begin")
    (told,) = place.rows("SELECT arguments FROM crawls")
    assert (told["arguments"]["minutes"], told["arguments"]["watches"]) == (3, True)
    planned_at = place.plan(watched, seconds=8)
    wait_until(lambda: place.rows("SELECT FROM observations WHERE purpose = 'watch'"), "the watch probe")
    process.send_signal(signal.SIGTERM)
    result = place.crawler.finish(process, out)
    assert "Traceback" not in result.log
    (visit,) = place.visits(watched)
    assert planned_at <= visit <= planned_at + timedelta(seconds=75)
    assert place.visits(other) == []
    assert {line["purpose"] for line in result.lines} == {"watch"}
    (kept,) = place.rows(
        "SELECT desk_id, reason, weight, watch_probes.planned_at FROM watch_probes"
        " JOIN observations USING (probe, desk_id) WHERE counter_key IS NULL"
    )
    assert kept == {"desk_id": watched, "reason": "cycle", "weight": 3.0, "planned_at": planned_at}
    assert place.rows("SELECT FROM baseline_visits") == []
    assert place.rows("SELECT FROM baseline_observations") == []
    assert place.rows("SELECT id, next_due_at FROM desks ORDER BY id") == due_before


def test_without_a_budget_there_is_no_watch(workshop: Workshop) -> None:
    place = Place(workshop)
    place.plan(place.desks[0], seconds=-1)
    result = place.crawler.run(settings={**SETTINGS, "GUICHETS_WATCH_EVERY": 0}, minutes=0.15)
    assert result.status == 0
    assert place.box.ledger() == []
    assert place.rows("SELECT owner, token FROM watch_planner") == [{"owner": None, "token": 0}]
    assert place.rows("SELECT arguments ->> 'watches' AS watches FROM crawls") == [{"watches": "false"}]


def test_host_that_refuses_a_watch_probe_gets_no_more_of_them(workshop: Workshop) -> None:
    place = Place(workshop, desks=1)
    (desk,) = place.desks
    place.box.set_host(status=403)
    place.plan(desk, seconds=-1)
    process, out = place.crawler.start(settings=SETTINGS, minutes=3)
    wait_until(lambda: place.rows("SELECT FROM hosts WHERE last_refusal_at IS NOT NULL"), "the refusal")
    process.send_signal(signal.SIGTERM)
    place.crawler.finish(process, out)
    assert place.rows("SELECT why FROM watch_rests") == [{"why": "paused"}]
    with place.database.connect() as connection:
        connection.execute("UPDATE hosts SET paused_until = NULL")
        connection.execute("UPDATE desks SET last_probed_at = now() - interval '1 hour'")
    place.box.set_host(status=None)
    seen = len(place.box.ledger())
    place.plan(desk, seconds=-1)
    result = place.crawler.run(settings=SETTINGS, minutes=0.15)
    assert result.status == 0
    assert len(place.box.ledger()) == seen
    assert place.rows("SELECT why FROM watch_rests") == [{"why": "refused"}]


def test_another_crawl_plans_when_the_one_that_did_is_killed(workshop: Workshop) -> None:
    place = Place(workshop)
    crawlers = {name: workshop.crawler(place.box.catalogue, place.database) for name in ("red", "green")}
    running = {
        name: crawler.start(settings={**SETTINGS, "GUICHETS_WORKER": name}, minutes=4)
        for name, crawler in crawlers.items()
    }

    def owner() -> str | None:
        (row,) = place.rows("SELECT owner FROM watch_planner WHERE expires_at > now() OR owner IS NULL") or [
            {"owner": None}
        ]
        return row["owner"]  # type: ignore[no-any-return]

    first = wait_until(owner, "a planner")
    crawlers[first].kill(running[first][0])
    second = wait_until(lambda: (found := owner()) != first and found, "another planner", seconds=90)
    assert {first, second} == {"red", "green"}
    wait_until(
        lambda: place.rows("SELECT FROM watch_planner WHERE planned_until > now()"), "a minute", seconds=90
    )
    process, out = running[second]
    process.send_signal(signal.SIGTERM)
    assert "Traceback" not in crawlers[second].finish(process, out).log
    assert place.rows("SELECT owner FROM watch_planner") == [{"owner": None}], "it lets go at its end"


def test_crawl_goes_on_while_the_planner_cannot_reach_postgresql(workshop: Workshop) -> None:
    place = Place(workshop)
    proxy = DatabaseProxy(str(conninfo.conninfo_to_dict(place.database.dsn)["host"]))
    own = Database(conninfo.make_conninfo(place.database.dsn, host=str(proxy.folder), connect_timeout=2))
    crawler = workshop.crawler(place.box.catalogue, own)
    try:
        process, out = crawler.start(settings=SETTINGS, minutes=4)
        wait_until(lambda: place.rows("SELECT FROM watch_planner WHERE owner IS NOT NULL"), "a planner")
        proxy.cut()
        time.sleep(8)  # longer than a pass of the planner
        proxy.mend()
        ((mended_at,),) = (row.values() for row in place.rows("SELECT now()"))
        wait_until(
            lambda: read_rows(
                place.database,
                "SELECT FROM watch_planner WHERE expires_at > %s::timestamptz + interval '60 s'",
                mended_at,
            ),
            "the planner to come back",
        )
        place.plan(place.desks[0], seconds=0)
        wait_until(lambda: place.rows("SELECT FROM observations WHERE purpose = 'watch'"), "a watch probe")
        process.send_signal(signal.SIGTERM)
        result = crawler.finish(process, out)
    finally:
        proxy.close()
    assert result.log.count("no watch probes are planned meanwhile") == 1
    assert "Traceback" not in result.log


def test_crawl_watches_for_a_release_it_learnt_and_leaves_the_host_that_refused_us(
    workshop: Workshop,
) -> None:
    """Two desks open every day in a minute or two; one of their hosts refused us two days ago."""
    place = Place(workshop, desks=12)  # so many that their common budget leaves room for some probes at once
    watched, refused, *_ = place.desks
    with place.database.connect() as connection:
        (now,) = connection.execute("SELECT now()").fetchone() or (None,)
        assert now is not None
        opens_at = now + timedelta(seconds=75)
        for desk in (watched, refused):
            seed_history(connection, desk, days=42, every=timedelta(hours=1), opens_at=opens_at)
            seed_history(
                connection, desk, days=42, every=timedelta(minutes=6), opens_at=opens_at, only_near=True
            )
        connection.execute(
            "UPDATE hosts SET last_refusal_at = now() - interval '2 days'"
            " WHERE host = (SELECT host FROM desks WHERE id = %s)",
            [refused],
        )
    due_before = place.rows("SELECT id, next_due_at FROM desks ORDER BY id")
    process, out = place.crawler.start(settings=SETTINGS, minutes=6)
    wait_until(
        lambda: place.rows("SELECT FROM observations JOIN watch_probes USING (probe) WHERE is_dense"),
        "a watch probe in the learnt period",
        seconds=240,
    )
    process.send_signal(signal.SIGTERM)
    result = place.crawler.finish(process, out)
    assert "Traceback" not in result.log
    probes = place.rows("SELECT * FROM watch_probes ORDER BY begun_at")
    assert refused not in {row["desk_id"] for row in probes}
    dense = [row for row in probes if row["is_dense"]]
    assert {(row["desk_id"], row["reason"]) for row in dense} <= {(watched, "release"), (watched, "cycle")}
    assert place.visits(refused) == []
    starts = place.visits(watched)
    assert all(later - one >= timedelta(minutes=1) for one, later in pairwise(starts))
    own = [row for row in probes if row["desk_id"] == watched]
    for row, start in zip(own, starts, strict=False):
        assert row["planned_at"] <= start <= row["planned_at"] + timedelta(seconds=80)
    assert place.rows("SELECT FROM baseline_visits") == []
    assert place.rows("SELECT id, next_due_at FROM desks ORDER BY id") == due_before
    (state,) = place.rows(f"SELECT releases FROM watch_states WHERE desk_id = '{watched}'")
    assert state["releases"]
