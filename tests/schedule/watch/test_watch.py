from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from random import Random
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guichets.schedule.watch import (
    PlannedProbe,
    Reason,
    Sighting,
    Watch,
    WatchedDesk,
    WatchStateError,
)

START = datetime(2026, 5, 18, tzinfo=UTC)  # a Monday
PARIS = ZoneInfo("Europe/Paris")
Answer = Callable[[str, datetime], bool | None]


def desks(count: int, hosts: int = 1, timezone: str = "Europe/Paris") -> list[WatchedDesk]:
    return [
        WatchedDesk(id=f"d{number}", host=f"h{number % hosts}", timezone=timezone) for number in range(count)
    ]


def watch_for(watch: Watch, minutes: int, answer: Answer, *, start: datetime = START) -> list[PlannedProbe]:
    """Plan and make every probe for that long, without any baseline."""
    made = []
    for minute in range(minutes):
        for probe in watch.plan(start + timedelta(minutes=minute), {}):
            watch.learn(Sighting(probe.desk_id, probe.at, answer(probe.desk_id, probe.at)))
            made.append(probe)
    return made


def minute_of_day(at: datetime) -> int:
    local = at.astimezone(PARIS)
    return 60 * local.hour + local.minute


def history(
    desk: str,
    days: int,
    is_open: Callable[[datetime], bool | None],
    *,
    start: datetime = START,
    seed: int = 0,
) -> list[Sighting]:
    """Visits at random instants, forty a day."""
    fate = Random(seed)
    instants = sorted(start + timedelta(days=days * fate.random()) for _ in range(40 * days))
    return [Sighting(desk, at, is_open(at)) for at in instants]


def opens_at(hour: int, minutes: int = 20, weekday: int | None = None) -> Callable[[datetime], bool]:
    def is_open(at: datetime) -> bool:
        local = at.astimezone(PARIS)
        begins = datetime.combine(local.date(), time(hour), PARIS)
        return begins <= local < begins + timedelta(minutes=minutes) and weekday in {None, local.weekday()}

    return is_open


# Rules


@settings(max_examples=6, deadline=None)
@given(
    seed=st.integers(0, 1000),
    hosts=st.integers(1, 6),
    every=st.sampled_from([16.0, 20.0, 45.0]),
    openness=st.sampled_from([0.0, 0.2, 0.7, 1.0]),
    blind=st.sampled_from([0.0, 0.3, 1.0]),
)
def test_distances_pace_and_budget_hold_whatever_visits_find(
    seed: int, hosts: int, every: float, openness: float, blind: float
) -> None:
    fate = Random(seed)
    watch = Watch(desks(6, hosts), every_minutes=every, seed=seed)

    def answer(desk: str, at: datetime) -> bool | None:
        return None if fate.random() < blind else fate.random() < openness

    made = watch_for(watch, 36 * 60, answer)
    by_desk, by_host = defaultdict(list), defaultdict(list)
    for probe in made:
        by_desk[probe.desk_id].append(probe)
        by_host[int(probe.desk_id[1:]) % hosts].append(probe.at)
        assert probe.weight >= 1
    for probes in by_desk.values():
        for one, later in pairwise(probes):
            assert later.at - one.at >= timedelta(seconds=60)
            assert later.at - one.at >= timedelta(minutes=15) or later.is_dense
        close = [later.at for one, later in pairwise(probes) if later.at - one.at < timedelta(minutes=15)]
        assert all(later - one > timedelta(days=1) for one, later in zip(close, close[60:], strict=False))
    for instants in by_host.values():
        assert all(later - one >= timedelta(seconds=40) for one, later in pairwise(instants))
    instants = [probe.at for probe in made]
    for window, most in ((timedelta(hours=1), 2 * 6 * 60 / every), (timedelta(days=1), 24 * 6 * 60 / every)):
        for number in range(int(most), len(instants)):
            assert instants[number] - instants[number - int(most)] >= window


def test_plan_keeps_its_distance_from_baseline_probes() -> None:
    """Each is due every 45 minutes: a watch probe stays 15 minutes from both, and 40 s from its host's."""
    watch = Watch(desks(2), every_minutes=15)
    visits = defaultdict(list)
    due = {"d0": START + timedelta(minutes=25), "d1": START + timedelta(minutes=40)}
    for minute in range(48 * 60):
        now = START + timedelta(minutes=minute)
        probes = [(probe.at, probe.desk_id, "watch") for probe in watch.plan(now, due)]
        probes += [(at, desk, "baseline") for desk, at in due.items() if at < now + timedelta(minutes=1)]
        for at, desk, purpose in sorted(probes):
            watch.learn(Sighting(desk, at, False))
            visits[desk].append((at, purpose))
            if purpose == "baseline":
                due[desk] = at + timedelta(minutes=45)
    everything = sorted(visit for rows in visits.values() for visit in rows)
    assert all(later[0] - one[0] >= timedelta(seconds=40) for one, later in pairwise(everything))
    for rows in visits.values():
        assert {purpose for _, purpose in rows} == {"baseline", "watch"}
        assert all(later[0] - one[0] >= timedelta(minutes=15) for one, later in pairwise(rows))


def test_without_a_budget_nothing_is_planned() -> None:
    assert watch_for(Watch(desks(3), every_minutes=0), 60, lambda desk, at: True) == []


def test_without_desks_nothing_is_planned() -> None:
    assert watch_for(Watch([], every_minutes=30), 60, lambda desk, at: True) == []


def test_slow_host_is_planned_at_its_own_pace() -> None:
    """Four requests, one a minute: its probes lie four minutes apart, learnt or not."""
    slow = [
        WatchedDesk(
            id=f"slow{number}", host="slow", timezone="Europe/Paris", delay_seconds=60 if number else None
        )
        for number in range(8)
    ]
    quick = [WatchedDesk(id=f"quick{number}", host="quick", timezone="Europe/Paris") for number in range(8)]
    watch = Watch([*slow, *quick], every_minutes=16)
    made: dict[str, list[datetime]] = defaultdict(list)
    for minute in range(600):
        for probe in watch.plan(START + timedelta(minutes=minute), {}):
            made[probe.desk_id.rstrip("0123456789")].append(probe.at)
    apart = {host: min(later - at for at, later in pairwise(instants)) for host, instants in made.items()}
    assert len(made["slow"]) > 20
    assert apart["slow"] >= timedelta(seconds=240)
    assert timedelta(seconds=40) <= apart["quick"] < timedelta(seconds=240)


def test_resting_host_gets_no_probe_until_it_is_taken_off_the_list() -> None:
    watch = Watch(desks(10, hosts=10), every_minutes=15)
    watch.rest({"h1"})
    assert "d1" not in {probe.desk_id for probe in watch_for(watch, 180, lambda desk, at: False)}
    watch.rest(())
    later = watch_for(watch, 180, lambda desk, at: False, start=START + timedelta(hours=3))
    assert "d1" in {probe.desk_id for probe in later}


def test_same_seed_same_plan_and_another_seed_another() -> None:
    def plan(seed: int) -> list[PlannedProbe]:
        return watch_for(
            Watch(desks(8, 4), every_minutes=20, seed=seed), 600, lambda desk, at: at.minute < 10
        )

    assert plan(1) == plan(1)
    assert plan(1) != plan(2)


# Learning


def test_daily_release_is_camped_on_from_the_second_day_it_was_seen() -> None:
    watch = Watch(desks(6, hosts=6), every_minutes=30)
    is_open = opens_at(9, minutes=8)
    watch.learn_history("d0", history("d0", 14, is_open))
    made = watch_for(
        watch,
        24 * 60,
        lambda desk, at: desk == "d0" and is_open(at),
        start=START + timedelta(days=14),
    )
    at_nine = [probe for probe in made if probe.desk_id == "d0" and is_open(probe.at)]
    assert at_nine[0].reason is Reason.RELEASE
    assert at_nine[0].is_dense
    assert at_nine[0].at.astimezone(PARIS).time() < time(9, 2)


def test_weekly_release_is_told_with_its_weekday_hour_and_length() -> None:
    watch = Watch(desks(1), every_minutes=30)
    watch.learn_history("d0", history("d0", 35, opens_at(9, minutes=50, weekday=0), seed=5))
    learnt = watch.learnt("d0")
    release = learnt.releases[0]
    assert (release.kind, release.weekdays) == ("weekly", (0,))
    assert release.local_time is not None
    assert time(8, 45) <= release.local_time <= time(9, 30)
    assert release.confidence > 0.5
    assert release.evidence >= 3
    assert release.since <= (START + timedelta(days=14)).date()
    assert max(range(168), key=lambda hour: learnt.weekly_map[hour // 24][hour % 24]) in {8, 9}


def test_daily_release_is_told_with_the_days_it_was_seen_on() -> None:
    watch = Watch(desks(1), every_minutes=30)
    watch.learn_history("d0", history("d0", 28, opens_at(14, minutes=40)))
    release = watch.learnt("d0").releases[0]
    assert (release.kind, len(release.weekdays)) == ("daily", 7)
    assert release.local_time is not None
    assert release.local_time.hour in {13, 14}


def test_cycle_within_the_hour_is_told_with_its_minutes() -> None:
    watch = Watch(desks(1), every_minutes=30)
    watch.learn_history("d0", history("d0", 28, lambda at: at.minute % 20 < 4 and 8 <= at.hour < 18))
    release = watch.learnt("d0").releases[0]
    assert release.kind == "cycle"
    assert {minute // 20 for minute in release.minutes_of_hour} == {0, 1, 2}
    assert all(minute % 20 <= 3 or minute % 20 == 19 for minute in release.minutes_of_hour)


def test_chance_is_told_as_chance() -> None:
    fate = Random(3)
    watch = Watch(desks(1), every_minutes=30)
    watch.learn_history("d0", history("d0", 28, lambda at: fate.random() < 0.02))
    kinds = {release.kind: release.evidence for release in watch.learnt("d0").releases}
    assert kinds["diffuse"] > sum(count for kind, count in kinds.items() if kind != "diffuse")
    assert "cycle" not in kinds


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(datetime(2026, 3, 16, tzinfo=UTC), id="dst-march"),
        pytest.param(datetime(2026, 10, 12, tzinfo=UTC), id="dst-october"),
    ],
)
def test_release_keeps_its_wall_time_when_clocks_change(start: datetime) -> None:
    """Two weeks before the change, then the very day after it."""
    watch = Watch(desks(6, hosts=6), every_minutes=30)
    is_open = opens_at(9, minutes=8)
    watch.learn_history("d0", history("d0", 14, is_open, start=start))
    made = watch_for(
        watch, 24 * 60, lambda desk, at: desk == "d0" and is_open(at), start=start + timedelta(days=14)
    )
    assert any(probe.desk_id == "d0" and is_open(probe.at) and probe.is_dense for probe in made)


def test_desk_that_never_opens_gives_its_visits_away() -> None:
    watch = Watch(desks(4, hosts=4), every_minutes=30)
    chance = Random(1)

    def answer(desk: str, at: datetime) -> bool:
        return desk != "d0" and chance.random() < 0.1

    watch_for(watch, 10 * 1440, answer)
    made = watch_for(watch, 2 * 1440, answer, start=START + timedelta(days=10))
    counts = {name: sum(probe.desk_id == name for probe in made) for name in ("d0", "d1", "d2", "d3")}
    assert 0 < counts["d0"] < 0.5 * min(counts["d1"], counts["d2"], counts["d3"])


def test_new_desk_is_looked_at_when_those_of_its_departement_open() -> None:
    """Mornings here, afternoons there: a desk of either that was never seen open begins with that."""
    hours = {"here": 9, "there": 15}
    known = [
        WatchedDesk(
            id=f"{where}{number}", host=f"{where}{number}", timezone="Europe/Paris", departement=where
        )
        for where in hours
        for number in range(12)
    ]
    watch = Watch(known, every_minutes=50)  # little enough that a visit has to be chosen
    for number, desk in enumerate(known):
        is_open = opens_at(hours[desk.departement])
        watch.learn_history(desk.id, history(desk.id, 14, is_open, seed=number))
    now = START + timedelta(days=14)
    for minute in range(90):  # each is learnt in its turn
        watch.plan(now + timedelta(minutes=minute), {})
    new = [
        WatchedDesk(id=f"new-{where}", host=f"new-{where}", timezone="Europe/Paris", departement=where)
        for where in hours
    ]
    watch.set_desks([*known, *new])
    made = watch_for(watch, 3 * 1440, lambda desk, at: False, start=now + timedelta(minutes=90))
    near = {
        (where, hour): sum(
            probe.desk_id == f"new-{where}" and -20 <= minute_of_day(probe.at) - 60 * hour <= 40
            for probe in made
        )
        for where in hours
        for hour in hours.values()
    }
    assert near["here", 9] + near["there", 15] > 2 * (near["here", 15] + near["there", 9])


def test_desks_nothing_is_known_of_are_looked_at_just_after_full_hours() -> None:
    watch = Watch(desks(6, hosts=6), every_minutes=60)
    made = watch_for(watch, 4 * 1440, lambda desk, at: False)
    chosen = [probe.at.minute for probe in made if probe.weight == 1]
    after_the_hour = sum(minute < 15 for minute in chosen)
    before_it = sum(minute >= 40 and minute < 55 for minute in chosen)
    assert after_the_hour > 2 * before_it


def test_explored_share_carries_its_sampling_weight() -> None:
    watch = Watch(desks(10, hosts=10), every_minutes=30)
    made = watch_for(watch, 1440, lambda desk, at: False)
    drawn = [probe.weight for probe in made if probe.weight > 1]
    assert drawn
    assert {probe.reason for probe in made if probe.weight > 1} == {Reason.EXPLORE}


# History, states, bad input


@settings(max_examples=15, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 40 * 86_400), st.sampled_from([True, False, None])), max_size=60)
)
def test_history_is_learnt_as_its_sightings_one_by_one(rows: list[tuple[int, bool | None]]) -> None:
    sightings = [
        Sighting("d0", START + timedelta(seconds=at), found)
        for at, found in sorted(rows, key=lambda row: row[0])
    ]
    one, other = (Watch(desks(2), every_minutes=30) for _ in range(2))
    for sighting in sightings:
        one.learn(sighting)
    other.learn_history("d0", sightings)
    assert one.learnt("d0") == other.learnt("d0")
    assert one.snapshot("d0") == other.snapshot("d0")
    later = START + timedelta(days=41)
    assert watch_for(one, 90, lambda desk, at: False, start=later) == watch_for(
        other, 90, lambda desk, at: False, start=later
    )


def test_restored_desk_goes_on_as_if_nothing_had_happened() -> None:
    is_open = opens_at(9)
    before = Watch(desks(1), every_minutes=30)
    before.learn_history(
        "d0",
        [
            Sighting(one.desk_id, one.at.replace(microsecond=0), one.is_offered)
            for one in history("d0", 20, is_open)
        ],
    )
    after = Watch(desks(1), every_minutes=30)
    after.restore("d0", before.snapshot("d0"))
    assert after.learnt("d0") == before.learnt("d0")
    later = START + timedelta(days=20)
    plans = [watch_for(watch, 720, lambda desk, at: is_open(at), start=later) for watch in (before, after)]
    assert plans[0] == plans[1]
    assert len(before.snapshot("d0")) < 3 * 40 * 20


def test_desk_relearnt_while_it_is_watched_costs_no_budget_twice() -> None:
    """As the planner does once a week, of every desk."""
    is_open = opens_at(9)
    source = Watch(desks(1), every_minutes=30)
    source.learn_history("d0", history("d0", 20, is_open))
    once, again = (Watch(desks(1), every_minutes=30) for _ in range(2))
    for watch, times in ((once, 1), (again, 3)):
        for _ in range(times):
            watch.restore("d0", source.snapshot("d0"))
    plans = [
        watch_for(watch, 720, lambda desk, at: is_open(at), start=START + timedelta(days=20))
        for watch in (once, again)
    ]
    assert plans[0] == plans[1] != []


@pytest.mark.parametrize("state", [b"", b"nonsense", b"\x01nonsense", b"\x63", b"{}"], ids=repr)
def test_snapshot_that_cannot_be_read_is_refused_in_one_line(state: bytes) -> None:
    with pytest.raises(WatchStateError, match=r"^d0: its learnt state cannot be read: relearn it$"):
        Watch(desks(1), every_minutes=30).restore("d0", state)


@pytest.mark.parametrize(
    "found",
    [
        pytest.param([], id="no-history"),
        pytest.param([True], id="one-observation"),
        pytest.param([None] * 500, id="only-errors"),
        pytest.param([True] * 500, id="always-open"),
    ],
)
def test_poor_history_still_gets_a_plan(found: list[bool | None]) -> None:
    watch = Watch(desks(1), every_minutes=20)
    watch.learn_history(
        "d0",
        [Sighting("d0", START + timedelta(minutes=20 * number), one) for number, one in enumerate(found)],
    )
    later = START + timedelta(minutes=20 * len(found))
    assert watch_for(watch, 3 * 1440, lambda desk, at: False, start=later)
    assert watch.learnt("d0").openings <= 1


def test_clock_that_jumped_ahead_and_came_back_does_not_stop_the_watch() -> None:
    watch = Watch(desks(1), every_minutes=20)
    watch.learn(Sighting("d0", START + timedelta(days=400), False))
    watch.learn(Sighting("d0", START, False))
    assert watch_for(watch, 1440, lambda desk, at: False)


def test_sightings_out_of_order_are_put_where_they_belong() -> None:
    sightings = history("d0", 10, opens_at(9))
    shuffled = [*sightings]
    Random(1).shuffle(shuffled)
    one, other = (Watch(desks(1), every_minutes=30) for _ in range(2))
    for row in shuffled:
        one.learn(row)
    other.learn_history("d0", sightings)
    assert one.snapshot("d0") == other.snapshot("d0")


def test_desk_whose_zone_changed_is_read_on_its_new_clock() -> None:
    watch = Watch(desks(1), every_minutes=30)
    watch.learn_history("d0", history("d0", 21, opens_at(9, minutes=40)))
    watch.set_desks(desks(1, timezone="Indian/Reunion"))
    release = watch.learnt("d0").releases[0]
    assert release.local_time is not None
    assert release.local_time.hour in {10, 11}  # two hours ahead of Paris in summer


def test_desks_that_come_and_go_leave_the_others_known() -> None:
    watch = Watch(desks(3), every_minutes=30)
    watch.learn_history("d1", history("d1", 7, opens_at(9)))
    known = watch.learnt("d1")
    watch.set_desks([*desks(2)[1:], WatchedDesk(id="new", host="h9", timezone="Europe/Paris")])
    assert watch.learnt("d1") == known
    watch.learn(Sighting("d0", START, True))
    with pytest.raises(KeyError):
        watch.learnt("d0")
    assert watch_for(watch, 600, lambda desk, at: False, start=START + timedelta(days=8))


def test_sighting_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^d0: a sighting at 2026-05-18 00:00:00 without a zone$"):
        Sighting("d0", START.replace(tzinfo=None), False)
