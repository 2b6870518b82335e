"""The seeded lives of desks: when slots are released, taken, given back, and when a desk is shut.

Knows no platform family. Everything is a pure function of (seed, desk, counter, simulated instant):

release       once a week or less, on the counter's own local weekday and hour, with some jitter
taking        each slot of a release stays free for a random time, whose mean is the counter's temper
cancellation  some taken slots come back for a few minutes, at minute 10, 30 or 50 of an hour
closing       some weeks the desk is switched off from Monday to Sunday
overload      for some desks, the minutes after a release drown the site

Weekdays and hours are those of the desk's zone: around the nights when clocks change, wall times move in
UTC and releases do not skip or repeat.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import cache
from random import Random
from zoneinfo import ZoneInfo

CANCELLATION_MINUTES = (10, 30, 50)  # of the hour: when cancelled slots were seen to reappear
RELEASE_HOURS = (0, 2, 7, 8, 9, 9, 9, 10, 14, 16)  # local; 2 so that a release may fall in a DST night
CLOSED_WEEKS = 0.02  # share of a desk's weeks spent switched off
REMEMBERED_WEEKS = 10  # no slot is older: the longest lead plus the longest span, rounded up
OPENED_DAYS = 5  # Monday to Friday


class Temper(StrEnum):
    """How long the slots of a release stay free."""

    GENEROUS = "generous"  # weeks: nearly always something free
    STEADY = "steady"  # a day or two after each release
    SCARCE = "scarce"  # minutes
    DRY = "dry"  # minutes, and most weeks release nothing


@dataclass(frozen=True, slots=True)
class _Habits:
    release_chance: float  # share of weeks with a release
    slots: tuple[int, int]  # fewest and most per release
    free_minutes: float  # mean time a slot stays free
    cancelled: float  # share of taken slots that come back


_HABITS = {
    Temper.GENEROUS: _Habits(1.0, (30, 60), 60 * 24 * 12, 0.05),
    Temper.STEADY: _Habits(1.0, (15, 30), 60 * 9, 0.05),
    Temper.SCARCE: _Habits(0.9, (5, 15), 15, 0.06),
    Temper.DRY: _Habits(0.25, (3, 8), 8, 0.04),
}


class Condition(StrEnum):
    """What the whole desk is living through."""

    ORDINARY = "ordinary"
    CLOSED = "closed"
    OVERLOADED = "overloaded"


@dataclass(frozen=True, slots=True)
class _Free:
    """One stretch of time, in unix seconds, during which one slot is free."""

    slot: int
    since: float
    until: float


def wall(day: date, hour: time, zone: ZoneInfo) -> datetime:
    """A local wall time as an instant in UTC; in the hour that DST skips, the old offset holds."""
    return datetime.combine(day, hour, zone).astimezone(UTC)


def week_number(at: datetime, zone: ZoneInfo) -> int:
    """Weeks since the calendar's first Monday, by the local date."""
    return (at.astimezone(zone).toordinal() - 1) // 7


def monday_of(week: int) -> date:
    return date.fromordinal(week * 7 + 1)


@cache
def slot_hours(step_minutes: int) -> tuple[time, ...]:
    """The hours of a day at which a desk receives: 9:00 to 12:00 and 13:30 to 16:00."""
    minutes = [*range(9 * 60, 12 * 60, step_minutes), *range(13 * 60 + 30, 16 * 60, step_minutes)]
    return tuple(time(minute // 60, minute % 60) for minute in minutes)


@dataclass(slots=True)
class CounterLife:
    """The life of one counter: which slots are free at an instant."""

    key: str  # seed, desk and counter: the whole of its fate
    zone: ZoneInfo
    temper: Temper
    step_minutes: int = field(init=False)
    weekday: int = field(init=False)
    hour: time = field(init=False)
    lead_days: int = field(init=False)
    span_days: int = field(init=False)
    _weeks: dict[int, tuple[_Free, ...]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        fate = Random(f"{self.key}/habits")
        self.step_minutes = fate.choice((15, 15, 20, 30))
        self.weekday = fate.choice((0, 0, 1, 2, 3, 4, 4, 6))
        self.hour = time(fate.choice(RELEASE_HOURS), fate.choice((0, 0, 0, 1, 15, 30)))
        self.lead_days = fate.randint(7, 21)
        self.span_days = fate.randint(5, 26)

    def released_at(self, week: int) -> datetime:
        """The instant of this week's release, whether or not it happens."""
        fate = Random(f"{self.key}/jitter/{week}")
        day = monday_of(week) + timedelta(days=self.weekday)
        return wall(day, self.hour, self.zone) + timedelta(minutes=fate.randint(0, 4))

    def free_slots(self, at: datetime) -> tuple[datetime, ...]:
        """The slots that can be chosen at ``at``, sorted, in UTC."""
        instant = at.timestamp()
        week = week_number(at, self.zone)
        for old in [known for known in self._weeks if not week - REMEMBERED_WEEKS <= known <= week + 1]:
            del self._weeks[old]
        free = {
            stretch.slot
            for known in range(week - REMEMBERED_WEEKS, week + 1)
            for stretch in self._release(known)
            if stretch.since <= instant < stretch.until
        }
        return tuple(datetime.fromtimestamp(slot, UTC) for slot in sorted(free))

    def chosen_slots(self, at: datetime, count: int = 7) -> tuple[datetime, ...]:
        """``count`` slots in the two weeks after the current one, whatever the life: for pinned scenes."""
        week = week_number(at, self.zone)
        fate = Random(f"{self.key}/chosen/{week}")
        days = [
            monday_of(week + ahead) + timedelta(days=day) for ahead in (1, 2) for day in range(OPENED_DAYS)
        ]
        return tuple(sorted(self._draw_slots(fate, days, count)))

    def stretches(self, week: int) -> tuple[tuple[int, float, float], ...]:
        """What that week's release makes free: the slot, and since and until when, all in unix seconds."""
        return tuple((free.slot, free.since, free.until) for free in self._release(week))

    def _draw_slots(self, fate: Random, days: Sequence[date], count: int) -> Iterator[datetime]:
        """``count`` distinct slots of these days, or all there are."""
        hours = slot_hours(self.step_minutes)
        cells = len(days) * len(hours)
        for cell in fate.sample(range(cells), min(count, cells)):
            day, hour = divmod(cell, len(hours))
            yield wall(days[day], hours[hour], self.zone)

    def _release(self, week: int) -> tuple[_Free, ...]:
        known = self._weeks.get(week)
        if known is None:
            known = self._weeks[week] = tuple(self._draw_release(week))
        return known

    def _draw_release(self, week: int) -> Iterator[_Free]:
        habits = _HABITS[self.temper]
        fate = Random(f"{self.key}/release/{week}")
        if fate.random() >= habits.release_chance:
            return
        released = self.released_at(week)
        first = released.astimezone(self.zone).date() + timedelta(days=self.lead_days)
        days = [first + timedelta(days=ahead) for ahead in range(self.span_days)]
        opened = [day for day in days if day.weekday() < OPENED_DAYS]
        for slot in self._draw_slots(fate, opened, fate.randint(*habits.slots)):
            yield from _stretches(slot, released, habits, fate)


def _stretches(slot: datetime, released: datetime, habits: _Habits, fate: Random) -> Iterator[_Free]:
    """When one slot is free: from its release until it is taken, and once more if it is cancelled."""
    end = slot.timestamp()
    taken = released.timestamp() + 60 * fate.expovariate(1 / habits.free_minutes)
    yield _Free(int(end), released.timestamp(), min(taken, end))
    if taken < end and fate.random() < habits.cancelled:
        back = datetime.fromtimestamp(taken + fate.uniform(1, 120) * 3600, UTC)
        back = back.replace(minute=fate.choice(CANCELLATION_MINUTES), second=0, microsecond=0)
        yield _Free(int(end), back.timestamp(), min(back.timestamp() + 60 * fate.randint(4, 20), end))


@dataclass(slots=True)
class DeskLife:
    """The life of one desk: its counters' lives, its closings and its overload hours."""

    key: str
    zone: ZoneInfo
    counters: dict[str, CounterLife]
    overload_minutes: int = field(init=False)  # after a release; 0 for desks that never drown

    def __post_init__(self) -> None:
        fate = Random(f"{self.key}/desk")
        self.overload_minutes = fate.choice((0, 0, 0, 5, 12))

    def condition(self, at: datetime) -> Condition:
        """Whether the desk is switched off, drowned or neither."""
        week = week_number(at, self.zone)
        if Random(f"{self.key}/closing/{week}").random() < CLOSED_WEEKS:
            return Condition.CLOSED
        for counter in self.counters.values() if self.overload_minutes else ():
            since = at - counter.released_at(week)
            if timedelta(0) <= since < timedelta(minutes=self.overload_minutes):
                return Condition.OVERLOADED
        return Condition.ORDINARY


def build_life(
    *, seed: int, desk: str, zone: ZoneInfo, counters: tuple[str, ...], tempers: tuple[Temper, ...]
) -> DeskLife:
    """The life of ``desk``, whose n-th counter has the n-th temper."""
    lives = {
        counter: CounterLife(f"{seed}/{desk}/{counter}", zone, temper)
        for counter, temper in zip(counters, tempers, strict=True)
    }
    return DeskLife(f"{seed}/{desk}", zone, lives)
