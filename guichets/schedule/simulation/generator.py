"""A maker of traces: desks of many tempers, whose habits are drawn, like their jitter, from a seed.

weekly        one opening a week, on the desk's weekday and hour
daily         one to three openings a day, on workdays or on every day
long          openings that last hours or days, each week or now and then
cancellation  a few minutes, at any time of the waking day, without memory
pulse         a few minutes at fixed minutes of the hour, during some hours, not every time
always, never

Habits are wall times of the desk's zone: nights when clocks change move them in UTC. Some desks change their
habits on a day of the trace, some stop for good.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from zoneinfo import ZoneInfo

from guichets.schedule.simulation.trace import ZONE, Opening, Trace
from guichets.schedule.watch import WatchedDesk

PULSE_SETS = ((10, 30, 50), (0, 20, 40), (5, 35), (0, 30), (15, 45), (25,), (2, 22, 42), (12, 52))
ROUND_MINUTES = (0, 0, 0, 0, 15, 30, 30, 45, 1, 5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """How many desks of each temper, and how they behave. Shares are relative."""

    shares: Mapping[str, float] = field(
        default_factory=lambda: {
            "weekly": 3.0,
            "daily": 3.0,
            "long": 1.0,
            "cancellation": 3.0,
            "pulse": 2.0,
            "mixed": 2.0,  # weekly releases, and cancellations between them
            "always": 0.5,
            "never": 2.5,
        }
    )
    jitter_minutes: tuple[float, float] = (0.0, 5.0)  # standard deviation, drawn per desk
    release_minutes: tuple[float, float] = (3.0, 25.0)  # usual length of a release, drawn per desk
    moves: float = 0.15  # share of weekly, daily and pulse desks whose hour moves
    stops: float = 0.05  # share of desks that stop
    cancellations_per_day: tuple[float, float] = (1.0, 6.0)
    cancellation_minutes: tuple[float, float] = (2.0, 9.0)
    pulse_minutes: tuple[float, float] = (3.0, 6.0)
    pulse_chance: tuple[float, float] = (0.3, 0.8)


MIXES: Mapping[str, Mix] = {
    "usual": Mix(),
    "punctual": Mix(jitter_minutes=(0.0, 1.0), release_minutes=(2.0, 10.0)),
    "loose": Mix(jitter_minutes=(4.0, 10.0), release_minutes=(5.0, 40.0)),
    "releases": Mix(shares={"weekly": 5, "daily": 5, "long": 1, "mixed": 2, "never": 3}),
    "pulses": Mix(shares={"weekly": 1, "daily": 1, "cancellation": 2, "pulse": 5, "never": 2}),
    "cancellations": Mix(shares={"weekly": 2, "daily": 2, "cancellation": 6, "pulse": 1, "never": 2}),
    "barren": Mix(shares={"weekly": 2, "daily": 2, "cancellation": 1, "pulse": 1, "always": 1, "never": 8}),
    "restless": Mix(moves=0.6, stops=0.15),
}


def generate_trace(
    *, desks: int, hosts: int, start: date, weeks: int, seed: int = 0, mix: Mix = MIXES["usual"]
) -> Trace:
    """A trace from local midnight of ``start`` on; the same for the same arguments."""
    zone = ZoneInfo(ZONE)
    days = [start + timedelta(days=n) for n in range(7 * weeks)]
    begins = datetime.combine(start, time(0), zone).timestamp()
    ends = datetime.combine(start + timedelta(weeks=weeks), time(0), zone).timestamp()
    watched, openings = [], {}
    for number in range(desks):
        fate = Random(f"{seed}/{number}")
        desk = WatchedDesk(id=f"desk-{number:04d}", host=f"host-{number % hosts:03d}", timezone=ZONE)
        temper = fate.choices([*mix.shares], [*mix.shares.values()])[0]
        life = _Life(fate, mix, days, zone)
        rows = sorted(life.openings(temper), key=lambda row: row.opens)
        openings[desk.id] = tuple(row for row in rows if row.opens < ends and row.closes > begins)
        watched.append(desk)
    return Trace(begins, ends, tuple(watched), openings)


@dataclass(slots=True)
class _Life:
    """One desk's openings."""

    fate: Random
    mix: Mix
    days: list[date]
    zone: ZoneInfo

    def openings(self, temper: str) -> Iterator[Opening]:
        last = len(self.days)
        if temper in {"always", "never"}:
            if temper == "always":
                begins = self._at(self.days[0], 0) - 86_400
                yield Opening(begins, begins + (last + 2) * 86_400, "always")
            return
        if self.fate.random() < self.mix.stops:
            last = int(last * self.fate.uniform(0.3, 0.9))
        turn = last
        if temper in {"weekly", "daily", "pulse", "mixed"} and self.fate.random() < self.mix.moves:
            turn = int(last * self.fate.uniform(0.35, 0.6))
        for days in (self.days[:turn], self.days[turn:last]):
            for opening in getattr(self, f"_{temper}")(days) if days else ():
                has_hour = opening.kind in {"weekly", "daily"}
                yield replace(opening, is_moved=True) if has_hour and days[0] != self.days[0] else opening

    def _weekly(self, days: list[date]) -> Iterator[Opening]:
        weekday = self.fate.choice((0, 0, 0, 1, 2, 3, 4, 4, 6))
        yield from self._releases([day for day in days if day.weekday() == weekday], "weekly")

    def _daily(self, days: list[date]) -> Iterator[Opening]:
        if self.fate.random() < 0.7:
            days = [day for day in days if day.weekday() < 5]
        for _ in range(self.fate.choice((1, 1, 1, 2, 3))):
            yield from self._releases(days, "daily")

    def _releases(self, days: list[date], kind: str) -> Iterator[Opening]:
        hour = self.fate.choice((0, 7, 8, 8, 9, 9, 9, 10, 12, 14, 16, 18, 21))
        minute = 60 * hour + self.fate.choice(ROUND_MINUTES)
        jitter = self.fate.uniform(*self.mix.jitter_minutes)
        usual = self.fate.uniform(*self.mix.release_minutes)
        chance = self.fate.uniform(0.85, 1.0)
        for day in days:
            if self.fate.random() < chance:
                opens = self._at(day, minute + self.fate.gauss(0, jitter))
                yield Opening(opens, opens + 60 * max(1.0, usual * self.fate.uniform(0.5, 1.5)), kind)

    def _long(self, days: list[date]) -> Iterator[Opening]:
        is_weekly = self.fate.random() < 0.5
        minute = self.fate.choice((8, 9, 10, 14)) * 60
        hours = self.fate.choice((3.0, 8.0, 30.0))
        for day in days[:: 7 if is_weekly else 1]:
            if not is_weekly and self.fate.random() > 0.15:
                continue
            opens = self._at(day, minute + (0 if is_weekly else self.fate.uniform(-300, 400)))
            yield Opening(opens, opens + 3600 * hours * self.fate.uniform(0.5, 1.5), "long")

    def _cancellation(self, days: list[date]) -> Iterator[Opening]:
        per_day = self.fate.uniform(*self.mix.cancellations_per_day)
        usual = self.fate.uniform(*self.mix.cancellation_minutes)
        first, last = self.fate.choice(((7, 22), (8, 20), (0, 24), (8, 18)))
        for day in days:
            minute = 60.0 * first
            while True:
                minute += self.fate.expovariate(per_day / (60 * (last - first)))
                if minute >= 60 * last:
                    break
                opens = self._at(day, minute)
                yield Opening(opens, opens + 60 * max(1.0, self.fate.expovariate(1 / usual)), "cancellation")

    def _pulse(self, days: list[date]) -> Iterator[Opening]:
        minutes = self.fate.choice(PULSE_SETS)
        first, last = self.fate.choice(((0, 24), (8, 18), (7, 20), (9, 12), (14, 22)))
        chance = self.fate.uniform(*self.mix.pulse_chance)
        usual = self.fate.uniform(*self.mix.pulse_minutes)
        jitter = self.fate.uniform(0, 0.7)
        for day in days:
            for hour in range(first, last):
                for minute in minutes:
                    if self.fate.random() < chance:
                        opens = self._at(day, 60 * hour + minute + self.fate.gauss(0, jitter))
                        length = usual * self.fate.uniform(0.6, 1.4)
                        yield Opening(opens, opens + 60 * length, "pulse")

    def _mixed(self, days: list[date]) -> Iterator[Opening]:
        yield from self._weekly(days)
        yield from self._cancellation(days)

    def _at(self, day: date, minute: float) -> float:
        """Unix seconds of a wall time, whole seconds; minutes beyond the day fall into its neighbours."""
        moved, rest = divmod(minute, 1440)
        midnight = datetime.combine(day + timedelta(days=int(moved)), time(0))
        wall = (midnight + timedelta(minutes=rest)).replace(tzinfo=self.zone)
        return float(round(wall.astimezone(UTC).timestamp()))
