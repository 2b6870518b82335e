"""What was learnt of a desk, told to people: which habits, how sure, since when, on how many sightings."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time

import numpy as np

from guichets.schedule.watch.arrays import Floats
from guichets.schedule.watch.habits import CLASS, DAILY, ROUTINE, WEEKLY, Habits, Learnt
from guichets.schedule.watch.model import LearntDesk, LearntRelease
from guichets.schedule.watch.zones import local_seconds

APART_MINUTES = 25.0  # between two habits of one desk
LIKELY = 0.4  # share of an opening that a habit must explain to be told with it
PEAK = 1.5  # times the usual rate, from which on a minute of the hour is told
FEWEST = 3  # openings without a date before their hours are told


def explain(habits: Habits, *, timezone: str, sightings: int) -> LearntDesk:
    """Habits as people would put them, the surest first."""
    learnt = habits.learnt
    week = np.zeros((7, 24))
    releases: list[LearntRelease] = []
    if learnt is not None:
        local = local_seconds(timezone, habits.openings.begun_at)
        releases = [
            *_dated(habits, learnt, local, "weekly", WEEKLY),
            *_dated(habits, learnt, local, "daily", slice(CLASS.start, DAILY.stop)),
        ]
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


def _dated(habits: Habits, learnt: Learnt, local: Floats, kind: str, part: slice) -> Iterator[LearntRelease]:
    """Openings that come back at their minute of the week, or of the day."""
    share = learnt.shares[part].sum(axis=0)
    chosen = np.flatnonzero(share >= LIKELY)
    clock = learnt.place.week_minute if kind == "weekly" else learnt.place.minute
    chosen = chosen[np.argsort(clock[chosen], kind="stable")]
    if not len(chosen):
        return
    breaks = np.flatnonzero(np.diff(clock[chosen]) > APART_MINUTES) + 1
    for members in np.split(chosen, breaks):
        weight = (learnt.kept[part.start] * share)[members]
        counted = float(weight.sum())
        could = float(np.average(learnt.watched[part.start, members], weights=weight))
        middle = float(np.average(clock[members], weights=weight))
        usual = round(middle) % 1440
        spread = float(np.sqrt(np.average((clock[members] - middle) ** 2, weights=weight)))
        yield LearntRelease(
            kind=kind,
            weekdays=tuple(sorted({int(day) for day in learnt.place.weekday[members]})),
            local_time=time(usual // 60, usual % 60),
            minutes_of_hour=(),
            spread_minutes=round(spread, 1),
            usual_length_minutes=_length(habits),
            confidence=round(min(1.0, counted / (max(could, counted) + 1.0)), 3),
            since=_date(local[members]),
            evidence=len(members),
        )


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
