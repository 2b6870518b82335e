"""The scheduler run against a trace, minute by minute, online and blind.

A policy sees what the real scheduler sees: its own clock, the next baseline instants, and what the visits it
asked for have found. Whether a desk is open is known to ``_Doors`` alone, which answers for the instant of a
visit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, Protocol

from guichets.schedule.simulation.rounds import baseline_round, uniform_round
from guichets.schedule.simulation.trace import Trace
from guichets.schedule.watch import Sighting, Watch

MINUTE = timedelta(minutes=1)

Progress = Callable[[int, int], None]
"""Told after each simulated day: minutes done, minutes in all."""


class PolicyName(StrEnum):
    BASELINE = "baseline"
    UNIFORM = "uniform"
    WATCH = "watch"


class Made(NamedTuple):
    """One probe that was made."""

    desk_id: str
    at: datetime  # UTC
    purpose: str  # baseline or watch


class Policy(Protocol):
    """Who decides about watch probes."""

    def plan(self, minute: datetime, baseline: dict[str, datetime]) -> Sequence[tuple[datetime, str]]:
        """Watch probes of the minute: instant and desk, in order."""

    def learn(self, sighting: Sighting) -> None:
        """What a visit found."""


class _Learning:
    """The real thing."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self.learn = watch.learn

    def plan(self, minute: datetime, baseline: dict[str, datetime]) -> Sequence[tuple[datetime, str]]:
        return [(probe.at, probe.desk_id) for probe in self._watch.plan(minute, baseline)]


class _Fixed:
    """Visits fixed beforehand, whatever is found."""

    def __init__(self, visits: Iterator[tuple[datetime, str]]) -> None:
        self._visits = visits
        self._next = next(visits, None)

    def plan(self, minute: datetime, baseline: dict[str, datetime]) -> Sequence[tuple[datetime, str]]:
        found = []
        while self._next is not None and self._next[0] < minute + MINUTE:
            found.append(self._next)
            self._next = next(self._visits, None)
        return found

    def learn(self, sighting: Sighting) -> None:
        """Nothing to learn."""


def simulate(
    trace: Trace,
    policy: PolicyName,
    *,
    every_minutes: float,
    seed: int = 0,
    told: Progress = lambda done, total: None,
) -> Iterator[Made]:
    """The probes a policy makes on a trace, in order of time."""
    desks = trace.desks
    mind: Policy
    if policy is PolicyName.UNIFORM:
        visits = (
            uniform_round(desks, trace.start, trace.end, every_minutes=every_minutes, seed=seed)
            if every_minutes > 0
            else []
        )
        mind = _Fixed((_instant(visit.at), visit.desk_id) for visit in visits)
    elif policy is PolicyName.WATCH:
        mind = _Learning(Watch(desks, every_minutes=every_minutes, seed=seed))
    else:
        mind = _Fixed(iter(()))
    baseline = [] if policy is PolicyName.UNIFORM else baseline_round(desks, trace.start, trace.end)
    yield from _run(mind, trace, [(_instant(visit.at), visit.desk_id) for visit in baseline], told)


def _run(mind: Policy, trace: Trace, baseline: list[tuple[datetime, str]], told: Progress) -> Iterator[Made]:
    doors = _Doors(trace)
    following = _following(baseline)
    due: dict[str, datetime] = {}
    for at, desk_id in reversed(baseline):
        due[desk_id] = at
    start, end = _instant(trace.start), _instant(trace.end)
    minute = start.replace(second=0, microsecond=0)
    total = -(-int(trace.end - minute.timestamp()) // 60)
    place = done = 0
    while minute < end:
        planned = mind.plan(minute, due)
        later = minute + MINUTE
        batch = [(at, desk_id, "watch") for at, desk_id in planned if start <= at < end]
        first = place
        while place < len(baseline) and baseline[place][0] < later:
            batch.append((*baseline[place], "baseline"))
            place += 1
        batch.sort()
        for at, desk_id, purpose in batch:
            mind.learn(Sighting(desk_id, at, doors.is_open(desk_id, at.timestamp())))
            yield Made(desk_id, at, purpose)
        for number in range(first, place):
            desk_id = baseline[number][1]
            if following[number] is None:
                due.pop(desk_id, None)
            else:
                due[desk_id] = following[number]  # type: ignore[assignment]
        minute = later
        done += 1
        if done % 1440 == 0 or minute >= end:
            told(done, total)


class _Doors:
    """Whether a desk is open at an instant; asked in order of time."""

    def __init__(self, trace: Trace) -> None:
        self._windows = {desk.id: trace.windows(desk.id) for desk in trace.desks}
        self._place = dict.fromkeys(self._windows, 0)

    def is_open(self, desk_id: str, at: float) -> bool:
        windows, place = self._windows[desk_id], self._place[desk_id]
        while place < len(windows) and windows[place][1] <= at:
            place += 1
        self._place[desk_id] = place
        return place < len(windows) and windows[place][0] <= at


def _following(visits: Sequence[tuple[datetime, str]]) -> list[datetime | None]:
    """For each visit, the instant of the same desk's next."""
    found: list[datetime | None] = [None] * len(visits)
    later: dict[str, datetime] = {}
    for number in range(len(visits) - 1, -1, -1):
        at, desk_id = visits[number]
        found[number] = later.get(desk_id)
        later[desk_id] = at
    return found


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
