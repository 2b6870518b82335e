"""What was learnt, as people are told it: a line per release, whatever the days it comes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, time, timedelta
from random import Random
from zoneinfo import ZoneInfo

import pytest

from guichets.schedule.watch import Sighting, Watch, WatchedDesk
from guichets.schedule.watch.model import LearntRelease

START = datetime(2026, 5, 18, tzinfo=UTC)  # a Monday
PARIS = ZoneInfo("Europe/Paris")
EVERY = timedelta(minutes=8)
WORKDAYS, ALL_DAYS = range(5), range(7)

Habit = tuple[Sequence[int], time]  # weekdays from 0, Monday; when it opens


def told(
    *habits: Habit,
    days: int = 28,
    minutes: float = 16,
    jitter_minutes: float = 0.0,
    also: Callable[[datetime], bool] = lambda at: False,
) -> tuple[LearntRelease, ...]:
    """What is told of a desk that opened so, as seen by a visit every eight minutes."""
    fate = Random(7)
    openings = [
        opens
        for number in range(-1, days + 1)
        for weekdays, at in habits
        if (day := (START + timedelta(days=number)).date()).weekday() in weekdays
        and (opens := datetime.combine(day, at, PARIS) + timedelta(minutes=fate.gauss(0, jitter_minutes)))
    ]
    lasts = timedelta(minutes=minutes)
    watch = Watch([WatchedDesk(id="d", host="h", timezone="Europe/Paris")], every_minutes=30)
    instants = [START + number * EVERY for number in range(int(timedelta(days=days) / EVERY))]
    watch.learn_history(
        "d",
        [
            Sighting("d", at, also(at) or any(opens <= at < opens + lasts for opens in openings))
            for at in instants
        ],
    )
    return watch.learnt("d").releases


def near(found: time | None, expected: time, minutes: float = 6) -> bool:
    """Around midnight, too."""
    assert found is not None
    apart = abs(60 * (found.hour - expected.hour) + found.minute - expected.minute)
    return min(apart, 1440 - apart) <= minutes


@pytest.mark.parametrize(
    ("weekdays", "kind"),
    [
        pytest.param(ALL_DAYS, "daily", id="every-day"),
        pytest.param(WORKDAYS, "daily", id="workdays"),
        pytest.param((5, 6), "weekly", id="weekend"),
        pytest.param((0, 3), "weekly", id="two-days"),
        pytest.param((1, 2, 3), "weekly", id="three-days"),
        pytest.param((0,), "weekly", id="one-day"),
    ],
)
@pytest.mark.parametrize("jitter_minutes", [0.0, 4.0])
def test_a_release_is_one_line_whatever_its_days(
    weekdays: Sequence[int], kind: str, jitter_minutes: float
) -> None:
    (release,) = told((weekdays, time(9)), jitter_minutes=jitter_minutes)
    assert (release.kind, release.weekdays) == (kind, tuple(weekdays))
    assert near(release.local_time, time(9))
    assert release.evidence == pytest.approx(4 * len(weekdays), abs=1 + len(weekdays) / 2)
    assert release.since <= (START + timedelta(days=7)).date()


def test_more_days_are_more_evidence_and_more_confidence_but_never_certainty() -> None:
    (one,), (every,) = told(((0,), time(9))), told((ALL_DAYS, time(9)))
    assert every.evidence > 5 * one.evidence
    assert 0.6 < one.confidence < every.confidence < 1


def test_a_release_that_comes_every_other_time_is_told_so() -> None:
    even = [(START + timedelta(days=day)).date() for day in range(0, 28, 2)]
    (release,) = told(
        also=lambda at: at.astimezone(PARIS).date() in even and at.astimezone(PARIS).hour == 9,
        days=28,
    )
    assert len(release.weekdays) == 7
    assert 0.35 < release.confidence < 0.6


def test_releases_at_two_hours_of_the_day_are_two_lines() -> None:
    found = told((WORKDAYS, time(9)), (WORKDAYS, time(9, 40)), minutes=10)
    assert [release.weekdays for release in found] == [tuple(WORKDAYS)] * 2
    first, second = sorted(found, key=lambda release: release.local_time or time(0))
    assert near(first.local_time, time(9))
    assert near(second.local_time, time(9, 40))


def test_weekdays_whose_hours_differ_are_not_told_as_one() -> None:
    found = told(((0,), time(9)), ((2,), time(9, 20)), ((4,), time(9, 40)))
    assert {release.weekdays for release in found} == {(0,), (2,), (4,)}
    assert all(near(release.local_time, time(9, 10 * release.weekdays[0])) for release in found)


def test_a_release_about_midnight_belongs_to_the_day_that_begins() -> None:
    (release,) = told(((0, 1), time(0, 1)), jitter_minutes=3)
    assert near(release.local_time, time(0))
    assert release.weekdays in {(0, 1), (0, 6)}  # as its minute is told before midnight or after


def test_a_day_on_which_it_came_once_by_chance_is_not_told_with_it() -> None:
    stray = datetime(2026, 5, 24, 9, tzinfo=PARIS)  # a Sunday
    found = told((WORKDAYS, time(9)), also=lambda at: stray <= at < stray + timedelta(minutes=16))
    assert [release.weekdays for release in found] == [tuple(WORKDAYS)]
    assert found[0].evidence == pytest.approx(20, abs=1)


def test_what_was_seen_once_is_no_habit_yet() -> None:
    once = datetime(2026, 6, 1, 9, tzinfo=PARIS)
    assert told(also=lambda at: once <= at < once + timedelta(minutes=16)) == ()
