"""What was learnt of a desk, told to people: which habits, how sure, since when, on how many sightings."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from typing import Any

import numpy as np

from guichets.schedule.watch.arrays import Floats, Ints
from guichets.schedule.watch.habits import ROUTINE, WEEK_MINUTES, WEEKLY, Habits, Learnt
from guichets.schedule.watch.model import LearntDesk, LearntRelease
from guichets.schedule.watch.zones import local_seconds

APART_MINUTES = 25.0  # between two habits of one weekday
ALIKE_MINUTES = 5.0  # between weekdays told as one habit; more where openings scatter more
RARE_DAY = 1 / 3  # share of the best weekday's rate, below which a weekday is not told with it
MOST_DAYS = 5  # weekdays, from which on a habit is daily
FEWEST_DATED = 2  # openings: what never came back is no habit yet
DATED = 0.5  # share of an opening that habits of a date must explain to be told with one
LIKELY = 0.4  # the same for those without
PEAK = 1.5  # times the usual rate, from which on a minute of the hour is told
FEWEST = 3  # openings without a date before their hours are told


def explain(habits: Habits, *, timezone: str, sightings: int) -> LearntDesk:
    """Habits as people would put them, the surest first."""
    learnt = habits.learnt
    week = np.zeros((7, 24))
    releases: list[LearntRelease] = []
    if learnt is not None:
        local = local_seconds(timezone, habits.openings.begun_at)
        releases = list(_dated(habits, learnt, local))
        for release in releases:
            assert release.local_time is not None
            for weekday in release.weekdays:
                week[weekday, release.local_time.hour] += release.confidence
        by_hour = learnt.routine.rate.reshape(2, 24, 60).sum(axis=2)
        week[:5] += by_hour[0]
        week[5:] += by_hour[1]
        releases += _undated(habits, learnt, local)
    return LearntDesk(
        releases=tuple(sorted(releases, key=lambda release: -release.confidence)),
        weekly_map=tuple(tuple(round(float(value), 4) for value in day) for day in week),
        sightings=sightings,
        openings=len(habits.openings),
    )


def _dated(habits: Habits, learnt: Learnt, local: Floats) -> Iterator[LearntRelease]:
    """Openings that come back at their minute, on one weekday or several."""
    share = learnt.shares[:ROUTINE].sum(axis=0)
    counted = learnt.kept[WEEKLY.start] * share
    week_minute = learnt.place.week_minute
    for members in _alike(week_minute, counted, np.flatnonzero(share >= DATED)):
        middle = _middle(week_minute[members], counted[members])
        weekday = np.round((week_minute[members] - middle) / 1440).astype(np.int64) % 7
        came = np.bincount(weekday, counted[members], 7)
        could = np.bincount(weekday, (counted * learnt.watched[WEEKLY.start])[members], 7)
        could = np.maximum(could / np.maximum(came, 1e-9), came)
        rate = came / np.maximum(could, 1e-9)
        told = rate >= RARE_DAY * rate.max()
        members = members[told[weekday]]
        if len(members) < FEWEST_DATED:
            continue
        middle = _middle(week_minute[members], counted[members])
        usual = round(middle) % 1440
        weekdays = tuple(int(day) for day in np.flatnonzero(told))
        yield LearntRelease(
            kind="daily" if len(weekdays) >= MOST_DAYS else "weekly",
            weekdays=weekdays,
            local_time=time(usual // 60, usual % 60),
            minutes_of_hour=(),
            spread_minutes=round(_spread(week_minute[members], counted[members], middle), 1),
            usual_length_minutes=_length(habits),
            confidence=round(float(came[told].sum() / (could[told].sum() + 1.0)), 3),
            since=_date(local[members]),
            evidence=len(members),
        )


def _alike(week_minute: Floats, weight: Floats, chosen: Ints) -> list[Ints]:
    """Openings that people would call one release: near in time on each weekday, then alike across weekdays.

    Days are put together one by one, the best known first, so that three weekdays at 9:00, 9:20 and 9:40 do
    not become one release by their neighbours.
    """
    if not len(chosen):
        return []
    chosen = chosen[np.argsort(week_minute[chosen], kind="stable")]
    lines = np.split(chosen, np.flatnonzero(np.diff(week_minute[chosen]) > APART_MINUTES) + 1)
    if (
        len(lines) > 1
        and week_minute[lines[0][0]] + WEEK_MINUTES - week_minute[lines[-1][-1]] <= APART_MINUTES
    ):
        lines[0] = np.concatenate([lines.pop(), lines[0]])  # Sunday's last minutes and Monday's first
    found: list[Ints] = []
    for line in sorted(lines, key=lambda members: -float(weight[members].sum())):
        apart, near = min(
            ((_apart(week_minute, weight, group, line), number) for number, group in enumerate(found)),
            default=(np.inf, 0),
        )
        if apart <= 1:
            found[near] = np.concatenate([found[near], line])
        else:
            found.append(line)
    return found


def _apart(week_minute: Floats, weight: Floats, one: Ints, other: Ints) -> float:
    """Minutes of the day between two lines, by what they may differ to be told as one."""
    middles = [_middle(week_minute[members], weight[members]) for members in (one, other)]
    spreads = [
        _spread(week_minute[members], weight[members], middle)
        for members, middle in zip((one, other), middles, strict=True)
    ]
    may_differ = min(max(sum(spreads), ALIKE_MINUTES), APART_MINUTES)
    return float(abs(_offset(middles[0] - middles[1]))) / may_differ


def _middle(week_minute: Floats, weight: Floats) -> float:
    """The usual minute of the day, from 0 to 1440; midnight is no border."""
    near = week_minute[np.argmax(weight)]
    return float((near + np.average(_offset(week_minute - near), weights=weight)) % 1440)


def _spread(week_minute: Floats, weight: Floats, middle: float) -> float:
    return math.sqrt(float(np.average(_offset(week_minute - middle) ** 2, weights=weight)))


def _offset(minutes: Any) -> Any:
    """Minutes of the day from one to the other: from -720 to 720."""
    return (minutes + 720) % 1440 - 720


def _undated(habits: Habits, learnt: Learnt, local: Floats) -> Iterator[LearntRelease]:
    """Openings that come at minutes of the hour, or at any."""
    members = np.flatnonzero(learnt.shares[ROUTINE] >= LIKELY)
    if len(members) < FEWEST:
        return
    minutes = learnt.routine.minutes
    is_peak = (minutes >= PEAK) & (minutes >= np.roll(minutes, 1)) & (minutes > np.roll(minutes, -1))
    peaks = tuple(int(minute) for minute in np.flatnonzero(is_peak))
    counted = float((learnt.kept[ROUTINE] * learnt.shares[ROUTINE])[members].sum())
    yield LearntRelease(
        kind="cycle" if peaks else "diffuse",
        weekdays=tuple(sorted({int(day) for day in learnt.place.weekday[members]})),
        local_time=None,
        minutes_of_hour=peaks,
        spread_minutes=round(float(np.median(habits.openings.spread[members])), 1),
        usual_length_minutes=_length(habits),
        confidence=round(counted / (counted + FEWEST), 3),
        since=_date(local[members]),
        evidence=len(members),
    )


def _length(habits: Habits) -> float | None:
    return round(habits.length.minutes, 1) if habits.length.evidence else None


def _date(local: Floats) -> date:
    """The local day of the oldest."""
    return datetime.fromtimestamp(float(local.min()), UTC).date()
