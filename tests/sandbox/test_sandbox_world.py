"""The seeded lives: determined by the seed alone, and right in the nights when clocks change."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from guichets.clock import Clock
from guichets.outcomes import Outcome
from guichets.sandbox.families.ezbooking import FAMILY
from guichets.sandbox.plans import draw_desks, draw_hosts
from guichets.sandbox.play import Play
from guichets.sandbox.timing import SimulatedClock
from guichets.sandbox.truth import truth_of
from guichets.sandbox.world import (
    CANCELLATION_MINUTES,
    Condition,
    CounterLife,
    Temper,
    build_life,
    slot_hours,
    wall,
    week_number,
)

PARIS = ZoneInfo("Europe/Paris")
ZONES = ["Europe/Paris", "America/Guadeloupe", "Indian/Reunion", "Pacific/Auckland", "America/Miquelon"]
MARCH_NIGHT = datetime(2026, 3, 29, 1, 0, tzinfo=UTC)  # 2:00 becomes 3:00 in Paris
OCTOBER_NIGHT = datetime(2026, 10, 25, 1, 0, tzinfo=UTC)  # 3:00 becomes 2:00
NIGHTS = pytest.mark.parametrize(
    "night", [MARCH_NIGHT, OCTOBER_NIGHT], ids=["dst-night-march", "dst-night-october"]
)


class StoppedClock(Clock):
    def __init__(self):
        self.seconds = 0.0

    def monotonic(self):
        return self.seconds


def life(key="1/desk/counter", temper=Temper.GENEROUS, zone="Europe/Paris"):
    return CounterLife(key, ZoneInfo(zone), temper)


def play(seed=1, desks=60, mixture="lives", start=OCTOBER_NIGHT, hosts=20):
    hosts = draw_hosts(seed, hosts, [FAMILY])
    plans = draw_desks(seed=seed, hosts=hosts, count=desks, mixture=mixture)
    return Play(seed=seed, desks=plans, clock=SimulatedClock(start, 0))


def truths(stage, at=None):
    return {desk.id: truth_of(stage.situation(desk, at=at)) for desk in stage.desks.values()}


def test_the_same_seed_gives_the_same_world():
    assert truths(play(7)) == truths(play(7))
    assert play(7).desks == play(7).desks


def test_another_seed_gives_another_world():
    assert truths(play(7)) != truths(play(8))


def test_a_life_does_not_depend_on_what_was_asked_before():
    asked_in_order, asked_once = life(), life()
    instants = [MARCH_NIGHT + timedelta(days=days) for days in range(0, 200, 9)]
    walked = [asked_in_order.free_slots(at) for at in instants]
    assert asked_once.free_slots(instants[-1]) == walked[-1]
    assert asked_in_order.free_slots(instants[0]) == walked[0]


@NIGHTS
@pytest.mark.parametrize("zone", ZONES)
def test_releases_keep_their_local_hour_across_the_night(night, zone):
    for number in range(30):
        counter = life(f"1/desk/{number}", zone=zone)
        week = week_number(night, counter.zone)
        instants = [counter.released_at(week + ahead) for ahead in range(-2, 3)]
        for instant in instants:
            local = instant.astimezone(counter.zone)
            planned = datetime.combine(local.date(), counter.hour, counter.zone)
            late = local.replace(tzinfo=None) - planned.replace(tzinfo=None)
            in_skipped_hour = planned.astimezone(UTC).astimezone(counter.zone).hour != planned.hour
            assert local.weekday() == counter.weekday
            assert timedelta(0) <= late - timedelta(hours=in_skipped_hour) <= timedelta(minutes=4)
        gaps = [later - earlier for earlier, later in itertools.pairwise(instants)]
        assert all(abs(gap - timedelta(weeks=1)) <= timedelta(hours=1, minutes=4) for gap in gaps)


@NIGHTS
@pytest.mark.parametrize("zone", ZONES)
def test_slots_are_sorted_distinct_and_in_opening_hours_all_night(night, zone):
    counter = life(zone=zone)
    hours = set(slot_hours(counter.step_minutes))
    for minutes in range(-180, 181):
        slots = counter.free_slots(night + timedelta(minutes=minutes))
        assert slots
        assert list(slots) == sorted(set(slots))
        local = [slot.astimezone(counter.zone) for slot in slots]
        assert {slot.time() for slot in local} <= hours
        assert {slot.weekday() for slot in local} <= set(range(5))


@NIGHTS
def test_no_slot_appears_or_vanishes_twice_because_the_hour_repeats(night):
    counter = life(temper=Temper.STEADY)
    seen = [set(counter.free_slots(night + timedelta(minutes=minutes))) for minutes in range(-180, 181)]
    changes = sum(before != after for before, after in itertools.pairwise(seen))
    slots = set().union(*seen)
    assert changes <= 3 * len(slots)  # released, taken, given back, taken again


def test_wall_times_of_the_skipped_and_the_repeated_hour_are_single_instants():
    assert wall(date(2026, 3, 29), time(2, 30), PARIS) == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    assert wall(date(2026, 10, 25), time(2, 30), PARIS) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


def test_a_slot_is_never_free_after_it_began():
    counter = life()
    for days in range(60):
        at = MARCH_NIGHT + timedelta(days=days, hours=9)
        assert all(slot > at for slot in counter.free_slots(at))


def test_scarce_slots_come_back_at_the_minutes_of_cancellations():
    returns = set()
    for number in range(40):
        counter = life(f"1/desk/{number}", Temper.SCARCE)
        week = week_number(MARCH_NIGHT, counter.zone)
        for known in range(week - 10, week + 10):
            released = counter.released_at(known).timestamp()
            stretches = counter._release(known)
            returns |= {datetime.fromtimestamp(s.since, UTC).minute for s in stretches if s.since != released}
    assert returns == set(CANCELLATION_MINUTES)


def test_a_desk_is_closed_for_whole_weeks_and_not_often():
    desk = build_life(seed=1, desk="d", zone=PARIS, counters=("1",), tempers=(Temper.DRY,))
    monday = datetime(2026, 1, 5, 0, 0, tzinfo=PARIS)
    weeks = [
        {
            desk.condition(monday + timedelta(weeks=week, hours=hours)) is Condition.CLOSED
            for hours in (1, 80, 160)
        }
        for week in range(400)
    ]
    assert all(len(week) == 1 for week in weeks)
    assert 0 < sum(week == {True} for week in weeks) < 30


def test_the_realistic_mixture_has_the_proportions_it_promises():
    shares = {}
    for hours in range(0, 24 * 7, 13):
        start = datetime(2026, 3, 9, tzinfo=UTC) + timedelta(hours=hours)
        stage = play(desks=400, mixture="realistic", start=start, hosts=40)
        for truth in truths(stage).values():
            shares[truth["outcome"]] = shares.get(truth["outcome"], 0) + 1
    whole = sum(shares.values())
    percent = {Outcome(name): 100 * count / whole for name, count in shares.items()}
    assert 48 <= percent[Outcome.NONE] <= 62
    assert 14 <= percent[Outcome.OFFERED] <= 26
    assert 5 <= percent[Outcome.CLOSED] <= 12
    for outcome in (
        Outcome.OVERLOADED,
        Outcome.BLOCKED,
        Outcome.GONE,
        Outcome.UNREACHABLE,
        Outcome.UNRECOGNISED,
    ):
        assert 1 <= percent[outcome] <= 8


def test_the_mixture_of_states_plays_every_scene_that_is_not_slow():
    stage = play(desks=200, mixture="states")
    played = {stage.scene(desk).name for desk in stage.desks}
    assert played == {scene.name for scene in FAMILY.scenes if not scene.slow and scene.name != "life"}


def test_simulated_time_runs_at_its_speed_and_jumps_forward_only():
    real = StoppedClock()
    clock = SimulatedClock(MARCH_NIGHT, 60, real)
    real.seconds += 10
    assert clock.now() == MARCH_NIGHT + timedelta(minutes=10)
    clock.change_speed(0)
    real.seconds += 10
    assert clock.now() == MARCH_NIGHT + timedelta(minutes=10)
    clock.advance(60)
    assert clock.now() == MARCH_NIGHT + timedelta(minutes=11)
    with pytest.raises(ValueError, match="time does not run backwards"):
        clock.advance(-1)


def test_départements_are_spread_and_numbers_are_their_own():
    stage = play(desks=300)
    codes = {desk.departement for desk in stage.desks.values()}
    assert len(codes) == 20
    assert codes & {"971", "972", "973", "974", "976"}
    for host in range(20):
        numbers = [desk.draft.number for desk in stage.desks.values() if desk.host == host]
        counters = [key for desk in stage.desks.values() if desk.host == host for key in desk.draft.counters]
        assert len(numbers) == len(set(numbers)) == 15
        assert len(counters) == len(set(counters))
        assert not set(map(str, numbers)) & set(counters)
