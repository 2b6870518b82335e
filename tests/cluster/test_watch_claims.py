"""Planned watch probes in the database: when they may be made, what they cost, and what they leave alone."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from datetime import timedelta
from typing import Any, TypeVar

import pytest

from guichets.clock import AgreedClock
from guichets.items import new_probe_id
from guichets.schedule.baseline import Pattern
from guichets.schedule.lease import DueDesk, HostLease, HostPaused, LeaseLost, Selection
from guichets.schedule.postgres import PostgresSchedule
from tests.bench.schedule import fill
from tests.database_fixtures import Database

FORM_INTERVAL = 900

_Result = TypeVar("_Result")


class Cluster:
    """Desks d1 … on hosts h1 …, none due for two hours, last visited an hour ago; and workers that come."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.loop = asyncio.new_event_loop()
        self.connection = database.connect()
        self.open_schedules: list[PostgresSchedule] = []

    def fill(self, *, hosts: int = 1, desks: int = 1) -> None:
        fill(self.database.dsn, hosts=hosts, desks=desks)
        self.sql("UPDATE desks SET next_due_at = now() + interval '2 hours'")

    def sql(self, statement: str, *parameters: Any) -> list[Any]:
        cursor = self.connection.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else []

    def plan(self, desk: str, *, at: str = "-5 s", late: str = "90 s", is_dense: bool = False) -> None:
        self.sql(
            "INSERT INTO watch_queue"
            " (desk_id, planned_at, expires_at, host, family, reason, weight, is_dense)"
            " SELECT id, now() + %s::interval, now() + %s::interval + %s::interval, host, family,"
            " 'release', 2, %s FROM desks WHERE id = %s",
            at, at, late, is_dense, desk,
        )  # fmt: skip
        self.sql("UPDATE watch_totals SET planned = planned + 1 WHERE reason = 'release'")

    def age(self, desk: str, interval: str) -> None:
        """The desk was last visited that long ago."""
        self.sql("UPDATE desks SET last_probed_at = now() - %s::interval WHERE id = %s", interval, desk)

    def run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        return self.loop.run_until_complete(work)

    def worker(self, *, watches: bool = True, desks: tuple[str, ...] | None = None) -> PostgresSchedule:
        schedule = PostgresSchedule(
            self.database.dsn,
            Selection(family="ezbooking", desks=desks),
            crawl_id=new_probe_id(),
            worker="red",
            clock=AgreedClock(),
            delay_seconds=0,
            form_interval_seconds=FORM_INTERVAL,
            pattern=Pattern(),
            lease_seconds=120,
            watches=watches,
        )
        self.run(schedule.open())
        self.open_schedules.append(schedule)
        return schedule

    def claim(self, schedule: PostgresSchedule, at_most: int = 8) -> list[HostLease]:
        return self.run(schedule.claim(at_most))

    def claimed(self, schedule: PostgresSchedule | None = None) -> list[tuple[str, bool]]:
        """The desks a worker would visit now, in order, and whether each is for a watch probe; given back."""
        schedule = schedule or self.worker()
        leases = self.claim(schedule)
        found = [(due.desk.id, due.watch_at is not None) for lease in leases for due in lease.desks]
        for lease in leases:
            self.run(schedule.release(lease))
        return found

    def begin(self, schedule: PostgresSchedule, lease: HostLease, due: DueDesk) -> str | None:
        return self.run(schedule.begin(lease, due, new_probe_id()))

    def visit(self, desk: str) -> str | None:
        """Claim, begin, finish and give back, as a spider does; what the visit counted for."""
        schedule = self.worker()
        purpose = None
        for lease in self.claim(schedule):
            for due in lease.desks:
                if due.desk.id == desk:
                    purpose = self.begin(schedule, lease, due)
                    if purpose is not None:
                        schedule.finish(lease, due)
            self.run(schedule.release(lease))
        return purpose

    def waiting(self) -> int:
        return int(self.sql("SELECT count(*) FROM watch_queue")[0][0])

    def dropped(self) -> int:
        return int(self.sql("SELECT dropped FROM watch_totals WHERE reason = 'release'")[0][0])

    def close(self) -> None:
        for schedule in self.open_schedules:
            self.run(schedule.close())
        self.connection.close()
        self.loop.close()


@pytest.fixture
def cluster(database: Database) -> Iterator[Cluster]:
    made = Cluster(database)
    made.fill()
    yield made
    made.close()


def test_planned_probe_is_claimed_when_its_instant_has_come(cluster: Cluster) -> None:
    cluster.plan("d1", at="1 hour")
    assert cluster.claimed() == []
    assert 3500 < (cluster.run(cluster.worker().next_due_seconds()) or 0) <= 3600
    cluster.plan("d1")
    assert cluster.claimed() == [("d1", True)]
    assert cluster.run(cluster.worker().next_due_seconds()) == 0


def test_worker_without_a_budget_makes_none(cluster: Cluster) -> None:
    cluster.plan("d1")
    idle = cluster.worker(watches=False)
    assert cluster.claimed(idle) == []
    assert (cluster.run(idle.next_due_seconds()) or 0) > 7000


def test_crawl_of_other_desks_makes_none(cluster: Cluster) -> None:
    cluster.fill(hosts=1, desks=2)
    cluster.plan("d1")
    assert cluster.claimed(cluster.worker(desks=("d2",))) == []
    assert cluster.claimed(cluster.worker(desks=("d1",))) == [("d1", True)]


def test_visit_keeps_why_and_how_likely_it_was_and_leaves_the_baseline_alone(cluster: Cluster) -> None:
    (due_before,) = cluster.sql("SELECT next_due_at FROM desks")
    cluster.plan("d1")
    assert cluster.visit("d1") == "watch"
    ((desk, reason, weight, is_dense, is_close),) = cluster.sql(
        "SELECT desk_id, reason, weight, is_dense, is_close FROM watch_probes"
    )
    assert (desk, reason, weight, is_dense, is_close) == ("d1", "release", 2.0, False, False)
    assert cluster.sql("SELECT next_due_at FROM desks") == [due_before]
    assert cluster.sql("SELECT FROM baseline_visits") == []
    assert (cluster.waiting(), cluster.dropped()) == (0, 0)


def test_late_probe_is_not_made(cluster: Cluster) -> None:
    cluster.plan("d1", at="-91 s")
    assert cluster.claimed() == []


def test_probe_that_became_late_after_the_claim_is_dropped(cluster: Cluster) -> None:
    cluster.plan("d1")
    schedule = cluster.worker()
    (lease,) = cluster.claim(schedule)
    cluster.sql("UPDATE watch_queue SET expires_at = now()")
    assert cluster.begin(schedule, lease, lease.desks[0]) is None
    assert (cluster.waiting(), cluster.dropped()) == (0, 1)
    assert cluster.sql("SELECT FROM watch_probes") == []


@pytest.mark.parametrize(
    ("ago", "is_dense", "is_made"),
    [("14 min", False, False), ("901 s", False, True), ("59 s", True, False), ("61 s", True, True)],
)
def test_visits_of_a_form_keep_their_distance(
    cluster: Cluster, ago: str, is_dense: bool, is_made: bool
) -> None:
    cluster.age("d1", ago)
    cluster.plan("d1", is_dense=is_dense)
    assert (cluster.visit("d1") == "watch") is is_made


def test_distance_holds_for_who_claimed_before_the_other_visit(cluster: Cluster) -> None:
    """As when an operator, or a worker with other settings, visited the form meanwhile."""
    cluster.plan("d1")
    schedule = cluster.worker()
    (lease,) = cluster.claim(schedule)
    cluster.age("d1", "10 min")
    assert cluster.begin(schedule, lease, lease.desks[0]) is None
    assert cluster.dropped() == 1


def test_sixty_close_visits_a_day_and_no_more(cluster: Cluster) -> None:
    """One of them is left for a baseline probe, which keeps its instant amid them."""
    made = 0
    for _ in range(62):
        cluster.age("d1", "61 s")
        cluster.sql("DELETE FROM watch_queue")
        cluster.plan("d1", is_dense=True)
        made += cluster.visit("d1") == "watch"
    assert made == 59
    assert cluster.sql("SELECT count(*) FROM watch_probes WHERE is_close") == [(59,)]
    cluster.age("d1", "61 s")
    cluster.sql("UPDATE desks SET next_due_at = now() - interval '1 s'")
    assert cluster.visit("d1") == "baseline"
    assert cluster.sql("SELECT cardinality(close_visits_at) FROM desks") == [(60,)]
    cluster.sql("UPDATE desks SET next_due_at = now()")
    cluster.age("d1", "61 s")
    assert cluster.visit("d1") is None, "the next baseline probe waits for its quarter of an hour"
    cluster.age("d1", "901 s")
    assert cluster.visit("d1") == "baseline"
    cluster.sql("UPDATE desks SET next_due_at = now() + interval '2 h'")
    cluster.age("d1", "901 s")
    cluster.plan("d1", is_dense=True)
    assert cluster.visit("d1") == "watch", "what is not close goes on"
    assert cluster.sql("SELECT cardinality(close_visits_at) FROM desks") == [(60,)]


@pytest.mark.parametrize(
    ("made", "more"),
    [
        pytest.param({"23 h 50 min": 59}, 0, id="all-before-midnight"),
        pytest.param({"23 h 50 min": 30, "10 min": 29}, 0, id="on-both-sides-of-midnight"),
        pytest.param({"24 h 1 min": 30, "10 min": 29}, 30, id="half-of-them-a-day-ago"),
        pytest.param({"24 h 1 min": 60}, 59, id="all-a-day-ago"),
        pytest.param({"3 min": 58}, 1, id="one-left"),
    ],
)
def test_close_visits_are_counted_over_any_24_hours(
    cluster: Cluster, made: dict[str, int], more: int
) -> None:
    """Whatever the day of UTC: a release about midnight must not be visited twice as often."""
    cluster.sql(
        "UPDATE desks SET close_visits_at = ARRAY("
        "SELECT now() - ago FROM unnest(%s::interval[], %s::int[]) AS made (ago, visits),"
        " generate_series(1, visits) ORDER BY ago)",
        [*made],
        [*made.values()],
    )
    for number in range(more + 1):
        cluster.age("d1", "61 s")
        cluster.sql("DELETE FROM watch_queue")
        cluster.plan("d1", is_dense=True)
        assert cluster.visit("d1") == ("watch" if number < more else None)
    assert cluster.sql("SELECT count(*) FROM watch_probes WHERE is_close") == [(more,)]


def test_baseline_probe_keeps_its_instant_from_watch_probes(cluster: Cluster) -> None:
    cluster.sql("UPDATE desks SET next_due_at = now() + interval '15 min 30 s'")
    cluster.plan("d1")
    assert cluster.claimed() == [], "its visit would end within the form interval of the baseline probe"
    cluster.sql("UPDATE desks SET next_due_at = now() + interval '17 min'")
    assert cluster.claimed() == [("d1", True)]


def test_baseline_probe_comes_soon_after_a_dense_one_and_not_after_another(cluster: Cluster) -> None:
    cluster.plan("d1", is_dense=True)
    assert cluster.visit("d1") == "watch"
    cluster.sql("UPDATE desks SET next_due_at = now()")
    cluster.age("d1", "61 s")
    assert cluster.claimed() == [("d1", False)]
    cluster.sql("UPDATE desks SET is_watched_closely = false")
    assert cluster.claimed() == []


def test_what_is_due_comes_before_what_is_watched(cluster: Cluster) -> None:
    cluster.fill(hosts=1, desks=3)
    cluster.plan("d1", at="-80 s")
    cluster.sql("UPDATE desks SET next_due_at = now() - interval '1 s' WHERE id = 'd3'")
    assert cluster.claimed() == [("d3", False), ("d1", True)]


def test_hosts_with_desks_due_come_before_hosts_that_are_watched(cluster: Cluster) -> None:
    cluster.fill(hosts=2, desks=2)
    cluster.plan("d1", at="-80 s")
    cluster.sql("UPDATE desks SET next_due_at = now() - interval '1 s' WHERE id = 'd2'")
    schedule = cluster.worker()
    (first,) = cluster.claim(schedule, at_most=1)
    (second,) = cluster.claim(schedule, at_most=1)
    assert [first.desks[0].desk.id, second.desks[0].desk.id] == ["d2", "d1"]


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ("last_refusal_at = now() - interval '6 days'", "refused"),
        ("forbidden = true", "forbidden"),
        ("paused_until = now() + interval '1 min'", "paused"),
        ("failures = 1", "failing"),
    ],
)
def test_watch_rests_where_it_is_not_welcome(cluster: Cluster, state: str, why: str) -> None:
    cluster.plan("d1")
    schedule = cluster.worker()
    (lease,) = cluster.claim(schedule)
    cluster.sql(f"UPDATE hosts SET {state}")
    assert cluster.sql("SELECT why FROM watch_rests") == [(why,)]
    try:
        assert cluster.begin(schedule, lease, lease.desks[0]) is None
        assert cluster.dropped() == 1
    except HostPaused:
        assert why in {"paused", "forbidden"}
    assert cluster.sql("SELECT FROM watch_probes") == []
    cluster.sql("UPDATE hosts SET lease_owner = NULL, lease_expires_at = NULL")
    assert cluster.claimed() == []


def test_refusal_of_long_ago_is_forgiven(cluster: Cluster) -> None:
    cluster.plan("d1")
    cluster.sql("UPDATE hosts SET last_refusal_at = now() - interval '8 days', strikes = 1")
    assert cluster.claimed() == [("d1", True)]


def test_stale_token_begins_nothing_and_takes_nothing_from_the_queue(cluster: Cluster) -> None:
    cluster.plan("d1")
    schedule = cluster.worker()
    (lease,) = cluster.claim(schedule)
    cluster.sql("UPDATE hosts SET fencing_token = fencing_token + 1")
    with pytest.raises(LeaseLost):
        cluster.begin(schedule, lease, lease.desks[0])
    assert cluster.waiting() == 1
    assert cluster.sql("SELECT FROM watch_probes") == []


def test_visit_begun_again_because_the_answer_was_lost_has_begun(cluster: Cluster) -> None:
    cluster.plan("d1")
    schedule = cluster.worker()
    (lease,) = cluster.claim(schedule)
    probe = new_probe_id()
    for _ in range(2):
        assert cluster.run(schedule.begin(lease, lease.desks[0], probe)) == "watch"
    assert cluster.sql("SELECT probe, is_close FROM watch_probes") == [(probe, False)]


def test_desk_that_left_its_host_is_not_visited_there(cluster: Cluster) -> None:
    cluster.fill(hosts=2, desks=2)
    cluster.plan("d1")
    schedule = cluster.worker()
    (lease,) = cluster.claim(schedule)
    cluster.sql(
        "UPDATE desks SET host = (SELECT host FROM hosts WHERE host <> %s) WHERE id = 'd1'", lease.host
    )
    assert cluster.begin(schedule, lease, lease.desks[0]) is None
    assert cluster.dropped() == 1


def test_new_desk_is_not_watched_before_its_first_baseline_probe(cluster: Cluster) -> None:
    cluster.sql("UPDATE desks SET last_probed_at = NULL")
    cluster.plan("d1")
    assert cluster.claimed() == []


def test_watch_probe_of_a_dead_worker_is_not_made_again_and_its_interval_counts(cluster: Cluster) -> None:
    cluster.plan("d1")
    schedule = cluster.worker()
    (lease,) = cluster.claim(schedule)
    assert cluster.begin(schedule, lease, lease.desks[0]) == "watch"
    cluster.sql("UPDATE hosts SET lease_expires_at = now() - interval '1 s'")
    cluster.plan("d1", at="-4 s")
    assert cluster.claimed() == []
    assert timedelta(0) < cluster.sql("SELECT now() - last_probed_at FROM desks")[0][0] < timedelta(minutes=1)
