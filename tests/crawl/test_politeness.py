"""The pace of a host, read from the ledger of those who were visited."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from guichets import __version__
from tests.crawl_fixtures import Crawler, CrawlResult, Workshop, read_rows
from tests.database_fixtures import Database
from tests.sandbox_fixtures import RunningSandbox

PARIS = ZoneInfo("Europe/Paris")
DELAY_SECONDS = 0.3
CRAWL_DELAY_SECONDS = 1.0
# The server stamps a request when it has read it; the gap it sees may be shorter than the one between
# two sends by what the first one waited to be read.
SLACK_SECONDS = 0.1


def by_host(ledger: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    hosts = defaultdict(list)
    for entry in sorted(ledger, key=lambda entry: entry["started_monotonic"]):
        hosts[entry["host"]].append(entry)
    return hosts


def gaps(entries: list[dict[str, Any]]) -> list[float]:
    """Seconds between the starts of two requests that follow each other."""
    return [later["started_monotonic"] - one["started_monotonic"] for one, later in pairwise(entries)]


def overlaps(entries: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Requests that were asked before the one before was answered."""
    return [
        (one["path"], later["path"])
        for one, later in pairwise(entries)
        if later["started_monotonic"] < one["ended_monotonic"] - 0.02  # the last bytes travel meanwhile
    ]


@dataclass
class Visits:
    box: RunningSandbox
    crawler: Crawler
    database: Database
    result: CrawlResult
    hosts: dict[str, list[dict[str, Any]]]
    quick: list[str]  # hosts without wishes of their own
    slow: str  # asks for a Crawl-delay
    closed: str  # robots.txt forbids everything
    asks_time: str  # answers 503 with Retry-After once

    def desks_of(self, host: str) -> list[str]:
        return sorted(desk["id"] for desk in self.box.desks() if desk["host"] == host)


@pytest.fixture(scope="module")
def visits(module_workshop: Workshop) -> Visits:
    """One crawl of a few hosts with a small delay, each host with its own wishes."""
    box = module_workshop.sandbox(desks=10, departements=5, mixture="none-redirect")
    box.set_scene("*", "none-redirect", {"plannings": 1, "lists_one_planning": False, "radios_change": False})
    quick, slow, closed, asks_time = [*box.hosts[:2]], box.hosts[2], box.hosts[3], box.hosts[4]
    box.set_host(slow, crawl_delay=CRAWL_DELAY_SECONDS)
    box.set_host(
        closed, robots="User-agent: Guichets\nDisallow: /booking/\nDisallow: /index.php\nDisallow: /layout"
    )
    first = min(desk["id"] for desk in box.desks() if desk["host"] == asks_time)
    box.set_scene(first, "status-503-retry-after")
    box.set_host(asks_time, retry_after=None)
    database = module_workshop.database()
    crawler = module_workshop.crawler(box.catalogue, database)
    settings = {
        "GUICHETS_HOST_DELAY": DELAY_SECONDS,
        "GUICHETS_FORM_INTERVAL": 900,
        "GUICHETS_CONTACT": "https://observatoire.example/robot",
    }
    desks = ",".join(desk["id"] for desk in box.desks() if desk["host"] != asks_time or desk["id"] == first)
    result = crawler.run(settings=settings, desks=desks)
    return Visits(box, crawler, database, result, by_host(box.ledger()), quick, slow, closed, asks_time)


def test_requests_to_a_host_are_never_closer_than_the_delay(visits: Visits) -> None:
    for host in visits.quick:
        assert len(visits.hosts[host]) >= 7  # robots.txt and two funnels
        assert min(gaps(visits.hosts[host])) >= DELAY_SECONDS - SLACK_SECONDS


def test_a_crawl_delay_is_honoured_from_the_second_request_on(visits: Visits) -> None:
    assert len(visits.hosts[visits.slow]) >= 7
    assert min(gaps(visits.hosts[visits.slow])[1:]) >= CRAWL_DELAY_SECONDS - SLACK_SECONDS
    (row,) = read_rows(
        visits.database, "SELECT crawl_delay_seconds AS delay FROM hosts WHERE host = %s", visits.slow
    )
    assert row["delay"] == CRAWL_DELAY_SECONDS


def test_a_host_has_one_request_and_one_connection_at_a_time(visits: Visits) -> None:
    for entries in visits.hosts.values():
        assert overlaps(entries) == []
        spans: dict[int, list[float]] = defaultdict(list)
        for entry in entries:
            spans[entry["connection"]] += [entry["started_monotonic"], entry["ended_monotonic"]]
        assert all(max(one) <= min(later) for one, later in pairwise(spans.values()))


def test_robots_txt_is_asked_first_and_once(visits: Visits) -> None:
    for host, entries in visits.hosts.items():
        assert [entry["path"] for entry in entries].count("/robots.txt") == 1, host
        assert entries[0]["path"] == "/robots.txt", host


def test_robots_txt_is_obeyed(visits: Visits) -> None:
    lines = [visits.result.desks[desk] for desk in visits.desks_of(visits.closed)]
    assert [(line["outcome"], line["rule"]) for line in lines] == [("blocked", "robots")] * len(lines)
    assert [entry["path"] for entry in visits.hosts[visits.closed]] == ["/robots.txt"]
    assert visits.box.tripwires() == []


def test_retry_after_is_kept_for_whoever_comes_next(visits: Visits) -> None:
    (row,) = read_rows(
        visits.database,
        "SELECT greatest(next_request_at, paused_until) - now() AS wait FROM hosts WHERE host = %s",
        visits.asks_time,
    )
    assert timedelta(seconds=30) < row["wait"] <= timedelta(seconds=121)


def test_the_user_agent_names_project_version_and_contact(visits: Visits) -> None:
    agents = {entry["user_agent"] for entries in visits.hosts.values() for entry in entries}
    assert agents == {f"Guichets/{__version__} (+https://observatoire.example/robot)"}


def test_a_second_crawl_within_the_form_interval_visits_nothing(visits: Visits) -> None:
    before = visits.box.ledger()[-1]["n"]
    again = visits.crawler.run(
        settings={"GUICHETS_FORM_INTERVAL": 900, "GUICHETS_LEASE": 1},
        due="all",
        desks=",".join(visits.result.desks),
    )
    assert (again.status, again.lines, visits.box.ledger(since=before)) == (0, [], [])


@pytest.mark.parametrize(
    ("family", "scene"),
    [
        ("ezbooking", "status-403"),
        ("ezbooking", "status-429"),
        ("rdv_prefecture", "imperva-block"),  # 200, and a wall all the same
    ],
)
def test_a_refusal_pauses_the_host_for_forty_minutes(workshop: Workshop, family: str, scene: str) -> None:
    box = workshop.sandbox(desks=4, departements=1, mixture="lives", family=family)
    first, *others = sorted(desk["id"] for desk in box.desks())
    box.set_scene(first, scene)
    database = workshop.database()
    crawler = workshop.crawler(box.catalogue, database)
    result = crawler.run(family)
    assert [entry["desk"] for entry in box.ledger() if entry["path"] != "/robots.txt"] == [first]
    assert result.desks[first]["outcome"] == "blocked"
    assert {(result.desks[desk]["outcome"], result.desks[desk]["rule"]) for desk in others} == {
        ("blocked", "host.paused")
    }
    assert {result.desks[desk]["requests"] for desk in others} == {0}
    (host,) = read_rows(database, "SELECT paused_until - now() AS pause, strikes, lease_owner FROM hosts")
    assert timedelta(minutes=35) < host["pause"] <= timedelta(minutes=41)
    assert (host["strikes"], host["lease_owner"]) == (1, None)
    before = box.ledger()[-1]["n"]
    again = crawler.run(family, settings={"GUICHETS_LEASE": 1}, due="all")
    assert (again.status, again.lines, box.ledger(since=before)) == (0, [], [])


def test_the_third_refusal_of_a_day_ends_the_day(workshop: Workshop) -> None:
    box = workshop.sandbox(desks=1, departements=1, mixture="status-403")
    database = workshop.database()
    crawler = workshop.crawler(box.catalogue, database)
    pauses: dict[int, timedelta] = {}
    ends = datetime.now(UTC)
    for _ in range(2 * 3):  # should midnight pass in Paris meanwhile, the count begins again, once
        assert len(crawler.run(due="all").lines) == 1
        (host,) = read_rows(database, "SELECT paused_until, strikes, now() AS now FROM hosts")
        pauses[host["strikes"]], ends = host["paused_until"] - host["now"], host["paused_until"]
        if host["strikes"] == 3:
            break
        with database.connect() as connection:  # the pause is over, the day is not
            connection.execute("UPDATE hosts SET paused_until = NULL, next_request_at = NULL")
    assert timedelta(minutes=35) < pauses[1] <= timedelta(minutes=41)
    assert timedelta(minutes=75) < pauses[2] <= timedelta(minutes=81)
    struck_on = (ends - pauses[3]).astimezone(PARIS).date()
    midnight = datetime.combine(struck_on + timedelta(days=1), time.min, tzinfo=PARIS).astimezone(UTC)
    assert ends >= midnight - timedelta(minutes=1)


def test_two_crawls_at_once_share_the_hosts_and_double_nothing(workshop: Workshop) -> None:
    box = workshop.sandbox(desks=60, departements=12, mixture="lives", latency=20)
    database = workshop.database()
    crawlers = [workshop.crawler(box.catalogue, database) for _ in range(2)]
    settings = {"GUICHETS_FORM_INTERVAL": 900, "GUICHETS_MAX_HOSTS": 2, "GUICHETS_HOST_DELAY": 0.02}
    started = [
        crawler.start(settings=settings | {"GUICHETS_WORKER": f"worker-{due}"}, due=due)
        for crawler, due in zip(crawlers, ("all", "due"), strict=True)
    ]
    results = [crawler.finish(*pair) for crawler, pair in zip(crawlers, started, strict=True)]
    assert [result.status for result in results] == [0, 0]
    lines = [(line["desk"], line["counter"]) for result in results for line in result.lines]
    assert len(lines) == len(set(lines))
    assert {desk for desk, counter in lines if counter is None} == set(box.truth())
    rows = read_rows(database, "SELECT id, desk_id, worker FROM observations WHERE counter_key IS NULL")
    assert len(rows) == 60
    for entries in by_host(box.ledger()).values():
        assert overlaps(entries) == []
    assert box.tripwires() == []


def test_a_host_that_somebody_holds_is_left_to_them(workshop: Workshop) -> None:
    """The other holder lives: its lease is renewed while the crawl waits, and no request is sent."""
    box = workshop.sandbox(desks=2, departements=2, mixture="none")
    database = workshop.database()
    crawler = workshop.crawler(box.catalogue, database)
    held = box.hosts[0]
    (their_desk,) = (desk["id"] for desk in box.desks() if desk["host"] == held)
    crawler.run(desks=",".join(desk["id"] for desk in box.desks() if desk["host"] != held))
    with database.connect() as connection:
        connection.execute(
            "UPDATE hosts SET lease_owner = 'another', lease_expires_at = now() + interval '1 hour'"
            " WHERE host = %s",
            [held],
        )
        before = box.ledger()[-1]["n"]
        result = crawler.run(settings={"GUICHETS_LEASE": 1}, desks=their_desk)
        assert (result.status, result.lines, box.ledger(since=before)) == (0, [], [])
        # a dead one's lease runs out, and the host is taken over
        connection.execute(
            "UPDATE hosts SET lease_expires_at = now() + interval '2 seconds' WHERE host = %s", [held]
        )
        taken = crawler.run(settings={"GUICHETS_LEASE": 3}, desks=their_desk)
    assert set(taken.desks) == {their_desk}
