"""Claim, renew, begin, finish, pause, expire in every order: the SQL does what a model of a few lines says.

Time passes by moving the rows' instants into the past, so that nothing sleeps.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from guichets.clock import Clock, SystemClock
from guichets.errors import DatabaseError
from guichets.items import new_probe_id
from guichets.schedule.baseline import Pattern
from guichets.schedule.lease import DueDesk, HostLease, HostPaused, LeaseLost, Selection
from guichets.schedule.postgres import PostgresSchedule
from tests.bench.schedule import fill
from tests.database_fixtures import Database

LEASE_SECONDS = 100.0
WORKERS = ("red", "green", "blue")
HOSTS, DESKS = 3, 7
STEPS = 40

_Result = TypeVar("_Result")
whichever = st.sampled_from(WORKERS)
seconds = st.sampled_from([1, 30, 60, 101, 400])


class Machine(RuleBasedStateMachine):
    """Three workers over three hosts; ``now`` is the model's clock, in seconds."""

    database: Database

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        fill(self.database.dsn, hosts=HOSTS, desks=DESKS)
        self.connection = self.database.connect()
        self.now = 0.0
        self.workers = {name: self.run(self.open(name)) for name in WORKERS}
        self.leases: dict[str, list[HostLease]] = {name: [] for name in WORKERS}
        self.visits: dict[int, DueDesk] = {}  # by identity of the lease
        self.owner: dict[str, tuple[str, int, float]] = {}  # host: worker, token, end
        self.paused: dict[str, float] = {}
        self.begun: dict[str, float] = {}  # desk: instant of its last visit
        self.tokens: dict[str, int] = {}

    def run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        return self.loop.run_until_complete(work)

    async def open(self, name: str) -> PostgresSchedule:
        schedule = PostgresSchedule(
            self.database.dsn,
            Selection(family="ezbooking"),
            crawl_id=new_probe_id(),
            worker=name,
            clock=SystemClock(),
            delay_seconds=0,
            form_interval_seconds=300,
            pattern=Pattern(),
            lease_seconds=LEASE_SECONDS,
            watches=True,
        )
        await schedule.open()
        return schedule

    def teardown(self) -> None:
        for schedule in self.workers.values():
            self.run(schedule.close())
        self.connection.close()
        self.loop.close()

    def is_held_by(self, lease: HostLease, name: str) -> bool:
        owner, token, end = self.owner.get(lease.host, ("", 0, 0.0))
        return (owner, token) == (name, lease.token) and end > self.now

    @rule(name=whichever, at_most=st.integers(1, HOSTS))
    def claim_some(self, name: str, at_most: int) -> None:
        self.claim(name, at_most)

    def claim(self, name: str, at_most: int) -> None:
        leases = self.run(self.workers[name].claim(at_most))
        free = {
            f"h{number}"
            for number in range(1, HOSTS + 1)
            if self.owner.get(f"h{number}", ("", 0, 0.0))[2] <= self.now
            and self.paused.get(f"h{number}", 0.0) <= self.now
        }
        assert len(leases) <= at_most
        if len(leases) < at_most:
            for desk, host in self.desks_of(free - {lease.host for lease in leases}):
                assert self.begun.get(desk, -1e9) + 300 > self.now or not self.is_due(desk), (desk, host)
        for lease in leases:
            assert lease.host in free, "claimed while somebody holds it, or during a pause"
            assert {due.desk.id for due in lease.desks} <= {desk for desk, _ in self.desks_of({lease.host})}
            assert lease.token > self.tokens.get(lease.host, 0)
            free.discard(lease.host)
            if lease.host in self.owner:  # who held it died, and asked last when its lease ended, maybe
                self.count_from_death(lease.host)
            self.tokens[lease.host] = lease.token
            self.owner[lease.host] = (name, lease.token, self.now + LEASE_SECONDS)
            lease.expires_at = float("inf")  # the worker's own clock is not under test: the database refuses
            self.leases[name].append(lease)

    @rule(name=whichever)
    def the_next_due_is_never_told_too_late(self, name: str) -> None:
        told = self.run(self.workers[name].next_due_seconds())
        (truth,) = self.connection.execute(
            "SELECT min(extract(epoch FROM greatest(next_due_at, last_probed_at + interval '300 s',"
            " paused_until, lease_expires_at) - now()))::float FROM desks JOIN hosts USING (host)"
        ).fetchone() or (None,)
        assert told is not None
        assert truth is not None
        if self.connection.execute("SELECT FROM watch_queue").fetchone() is None:
            assert told == pytest.approx(max(0.0, truth), abs=5), "fewer hosts than are looked at: exact"
        else:
            assert told <= max(0.0, truth) + 5

    @rule(name=whichever, desk=st.integers(1, DESKS), is_dense=st.booleans(), ahead=st.sampled_from([0, 101]))
    def plan_a_watch_probe_and_look_for_it(self, name: str, desk: int, is_dense: bool, ahead: int) -> None:
        """Of a host none of whose desks is due for a while."""
        self.connection.execute(
            "UPDATE desks SET next_due_at = now() + interval '2 hours'"
            " WHERE host = (SELECT host FROM desks WHERE id = %s)",
            [f"d{desk}"],
        )
        self.connection.execute(
            "INSERT INTO watch_queue"
            " (desk_id, planned_at, expires_at, host, family, reason, weight, is_dense)"
            " SELECT id, now() + %(ahead)s, now() + %(ahead)s + interval '75 s', host, family, 'release', 1,"
            " %(is_dense)s FROM desks WHERE id = %(desk)s",
            {"ahead": timedelta(seconds=ahead), "is_dense": is_dense, "desk": f"d{desk}"},
        )
        before = len(self.leases[name])
        for _ in range(2):  # what is due comes first
            self.claim(name, HOSTS)
        for lease in self.leases[name][before:]:
            for due in lease.desks:
                if due.watch_at is not None:
                    self.begin(name, lease, due)
                    self.workers[name].finish(lease, due)

    @rule(name=whichever)
    def is_cancelled_while_it_claims(self, name: str) -> None:
        """A signal in the middle of a claim: whatever was granted is given back."""

        async def claim_and_stop() -> None:
            worker = await self.open(name)
            claim = asyncio.create_task(worker.claim(HOSTS))
            await asyncio.sleep(0)
            claim.cancel()
            await asyncio.gather(claim, return_exceptions=True)
            await worker.close()

        before = self.held()
        self.run(claim_and_stop())
        for host, (_, _, end) in self.owner.items():
            if end <= self.now:
                self.count_from_death(host)
        assert self.held() == before

    def held(self) -> list[tuple[str, ...]]:
        return self.connection.execute(
            "SELECT host, lease_owner FROM hosts WHERE lease_expires_at > now() ORDER BY host"
        ).fetchall()

    def count_from_death(self, host: str) -> None:
        for desk, _ in self.desks_of({host}):
            if desk in self.begun:
                self.begun[desk] = max(self.begun[desk], self.owner[host][2])

    def desks_of(self, hosts: set[str]) -> list[tuple[str, str]]:
        return self.connection.execute(
            "SELECT id, host FROM desks WHERE host = ANY (%s)", [sorted(hosts)]
        ).fetchall()

    def is_due(self, desk: str) -> bool:
        row = self.connection.execute(
            "SELECT next_due_at <= now() FROM desks WHERE id = %s", [desk]
        ).fetchone()
        return bool(row and row[0])

    @precondition(lambda self: any(self.leases.values()))
    @rule(data=st.data(), name=whichever)
    def begin_or_finish(self, data: st.DataObject, name: str) -> None:
        if not self.leases[name]:
            return
        lease = data.draw(st.sampled_from(self.leases[name]))
        schedule = self.workers[name]
        if (due := self.visits.pop(id(lease), None)) is not None:
            schedule.finish(lease, due)
        if not lease.desks:
            return
        self.begin(name, lease, data.draw(st.sampled_from(list(lease.desks))))

    def begin(self, name: str, lease: HostLease, due: DueDesk) -> None:
        schedule = self.workers[name]
        is_paused = self.paused.get(lease.host, 0.0) > self.now
        planned = self.connection.execute(
            "SELECT is_dense FROM watch_queue WHERE desk_id = %s AND planned_at = %s",
            [due.desk.id, due.watch_at],
        ).fetchone()
        was_due = self.is_due(due.desk.id)
        try:
            purpose = self.run(schedule.begin(lease, due, new_probe_id()))
        except LeaseLost:
            assert lease.lost
            assert not self.is_held_by(lease, name)
            return
        except HostPaused:
            assert is_paused or lease.pace.is_paused(SystemClock().monotonic())
            return
        if purpose is not None:
            assert self.is_held_by(lease, name), "a visit began under a stale token"
            assert not is_paused
            if due.watch_at is not None:
                assert purpose == "watch"
                assert planned is not None, "made twice"
                assert not was_due, "in the way of a baseline probe"
                gap = self.now - self.begun.get(due.desk.id, -1e9)
                assert gap >= (60 if planned[0] else 300)
            self.begun[due.desk.id] = self.now
            self.visits[id(lease)] = due

    @precondition(lambda self: any(self.leases.values()))
    @rule(data=st.data(), name=whichever, ends=st.booleans(), pause=st.sampled_from([0, 0, 50, 500]))
    def save(self, data: st.DataObject, name: str, ends: bool, pause: int) -> None:
        if not self.leases[name]:
            return
        lease = data.draw(st.sampled_from(self.leases[name]))
        held = self.is_held_by(lease, name)
        schedule = self.workers[name]
        lease.pace.paused_until = SystemClock().monotonic() + pause if pause else 0.0
        was_lost = lease.lost
        self.run(schedule.release(lease) if ends else schedule.renew(lease))
        lease.expires_at = float("inf")
        if held:
            if pause:
                end = self.now + pause
                self.paused[lease.host] = max(self.paused.get(lease.host, 0.0), end)
            if ends:
                self.owner.pop(lease.host)
            else:
                self.owner[lease.host] = (name, lease.token, self.now + LEASE_SECONDS)
                assert lease.lost == was_lost
        else:
            assert lease.lost, "a stale token was not noticed"
        if ends:
            self.leases[name].remove(lease)

    @rule(passed=seconds)
    def time_passes(self, passed: int) -> None:
        self.now += passed
        back = timedelta(seconds=passed)
        self.connection.execute(
            "UPDATE hosts SET lease_expires_at = lease_expires_at - %(back)s,"
            " paused_until = paused_until - %(back)s, next_request_at = next_request_at - %(back)s",
            {"back": back},
        )
        self.connection.execute(
            "UPDATE desks SET next_due_at = next_due_at - %(back)s,"
            " last_probed_at = last_probed_at - %(back)s, close_visits_at = ARRAY("
            "SELECT at - %(back)s FROM unnest(close_visits_at) AS at ORDER BY at DESC)",
            {"back": back},
        )
        self.connection.execute(
            "UPDATE watch_queue SET planned_at = planned_at - %(back)s, expires_at = expires_at - %(back)s",
            {"back": back},
        )
        for leases in self.leases.values():
            for lease in leases:
                lease.pace.paused_until = max(0.0, lease.pace.paused_until - passed)

    @rule(name=whichever)
    def dies_and_comes_back(self, name: str) -> None:
        self.leases[name].clear()

    @invariant()
    def the_queue_is_never_later_than_the_truth(self) -> None:
        late = self.connection.execute(
            "SELECT desks.id FROM desks JOIN hosts USING (host) JOIN host_queue USING (host, family)"
            " WHERE NOT hosts.forbidden AND desks.closed_at IS NULL AND host_queue.claimable_at"
            " > greatest(desks.next_due_at, hosts.paused_until, hosts.lease_expires_at)"
        ).fetchall()
        assert late == []

    @invariant()
    def watch_probes_fill_no_slot_and_close_visits_are_counted(self) -> None:
        rows = self.connection.execute(
            "SELECT FROM watch_probes JOIN baseline_visits USING (probe)"
            " UNION ALL SELECT FROM desks WHERE cardinality(close_visits_at) > 60"
        ).fetchall()
        assert rows == []

    @invariant()
    def a_slot_has_one_visit(self) -> None:
        rows = self.connection.execute(
            "SELECT desk_id, slot_starts_at FROM baseline_visits GROUP BY 1, 2 HAVING count(*) > 1"
        ).fetchall()
        assert rows == []


def test_leases_do_what_the_model_says(database: Database) -> None:
    Machine.database = database
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=12,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            derandomize=True,
        ),
    )


def test_a_statement_postgresql_refuses_is_an_error_of_ours(database: Database) -> None:
    async def claim_without_a_table() -> None:
        schedule = await _opened(database)
        with database.connect() as connection:
            connection.execute("ALTER TABLE host_queue RENAME TO gone")
        try:
            await schedule.claim()
        finally:
            await schedule.close()

    with pytest.raises(DatabaseError, match="PostgreSQL refused claim_host"):
        asyncio.run(claim_without_a_table())


class LaterClock(SystemClock):
    """The machine's clock, some time ahead."""

    ahead = timedelta()

    def now(self) -> datetime:
        return super().now() + self.ahead


def test_visit_begun_again_in_the_next_slot_counts_there_alone(database: Database) -> None:
    """The answer to the first beginning may be lost on the way; the visit is the same."""

    async def begin_twice() -> None:
        clock = LaterClock()
        schedule = await _opened(database, clock)
        (lease,) = await schedule.claim()
        probe = new_probe_id()
        due = replace(lease.desks[0], is_new=True)  # due at once, in whatever slot
        assert await schedule.begin(lease, due, probe) == "baseline"
        clock.ahead = timedelta(hours=4)
        assert await schedule.begin(lease, due, probe) == "baseline"
        await schedule.close()
        with database.connect() as connection:
            slots = connection.execute("SELECT probe FROM baseline_visits ORDER BY slot_starts_at").fetchall()
        assert len(slots) == 2
        assert [found == probe for (found,) in slots] == [False, True]

    fill(database.dsn, hosts=1, desks=1)
    asyncio.run(begin_twice())


async def _opened(database: Database, clock: Clock | None = None) -> PostgresSchedule:
    schedule = PostgresSchedule(
        database.dsn,
        Selection(family="ezbooking"),
        crawl_id=new_probe_id(),
        worker="alone",
        clock=clock or SystemClock(),
        delay_seconds=0,
        form_interval_seconds=300,
        pattern=Pattern(),
        lease_seconds=LEASE_SECONDS,
    )
    await schedule.open()
    return schedule


def test_a_forms_interval_is_counted_from_the_end_of_a_dead_workers_lease(database: Database) -> None:
    """It may have begun the visit, been stopped, and asked for the page just before its lease ended."""

    async def live_and_die() -> tuple[list[DueDesk], list[DueDesk]]:
        dead = await _opened(database)
        (lease,) = await dead.claim()
        await dead.begin(lease, lease.desks[0], new_probe_id())
        with database.connect() as connection:
            connection.execute(
                "UPDATE hosts SET lease_expires_at = now() - interval '1 s' WHERE host = %s", [lease.host]
            )
            connection.execute(
                "UPDATE desks SET last_probed_at = now() - interval '301 s' WHERE id = %s",
                [lease.desks[0].desk.id],
            )
        heir = await _opened(database)
        (inherited,) = await heir.claim()
        await dead.close()
        await heir.close()
        assert inherited.host == lease.host
        return list(lease.desks), list(inherited.desks)

    fill(database.dsn, hosts=1, desks=3)
    before, after = asyncio.run(live_and_die())
    assert {due.desk.id for due in after} == {due.desk.id for due in before[1:]}
