"""How the desk was watched: week by week, the gaps of our watching, the longest time without an offer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise

from guichets.constat.attempts import Attempt, Column, Days
from guichets.constat.criterion import monday_of

LONGEST_PAUSE = timedelta(hours=12)
"""Longer without an attempt of ours is a gap. The schedule wants one an hour by day, every three at night."""

LONGEST_BLIND = timedelta(days=3)
"""A time without an offer is broken off where nobody looked for longer, as in the published figures."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A time in which we did not look; ``until`` is the next attempt, or the end of the period."""

    since: datetime
    until: datetime

    @property
    def length(self) -> timedelta:
        return self.until - self.since


@dataclass(frozen=True, slots=True)
class WeekTally:
    """One calendar week of the period: attempts by what they said."""

    monday: date
    first: date  # the week's days that lie in the period
    last: date
    columns: Mapping[Column, int]  # of our attempts
    contributed: int  # pages given by persons: counted apart
    blind: timedelta  # time of the week that lies in gaps

    @property
    def attempts(self) -> int:
        return sum(count for column, count in self.columns.items() if column is not Column.OURS)


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time over which every attempt that said something of dates said: none."""

    since: datetime
    until: datetime
    attempts: int
    longest_pause: timedelta  # between two of them

    @property
    def length(self) -> timedelta:
        return self.until - self.since


def gaps_of(attempts: Sequence[Attempt], days: Days) -> list[Gap]:
    """Where more than twelve hours passed without an attempt of ours; ``attempts`` are in order."""
    instants = [days.since, *(attempt.at for attempt in attempts if attempt.is_ours), days.until]
    return [Gap(before, after) for before, after in pairwise(instants) if after - before > LONGEST_PAUSE]


def tallies_of(attempts: Sequence[Attempt], days: Days, gaps: Sequence[Gap]) -> list[WeekTally]:
    """Every calendar week that touches the period, those without any attempt too."""
    by_week: dict[date, Counter[Column]] = {}
    contributed: Counter[date] = Counter()
    for attempt in attempts:
        monday = monday_of(attempt.at)
        if attempt.is_contributed:
            contributed[monday] += 1
        else:
            by_week.setdefault(monday, Counter())[attempt.column] += 1
    tallies = []
    for monday in _mondays(days):
        sunday = monday + timedelta(days=6)
        inside = Days(max(monday, days.first), min(sunday, days.last))
        counts = by_week.get(monday, Counter())
        tallies.append(
            WeekTally(
                monday=monday,
                first=inside.first,
                last=inside.last,
                columns={column: counts[column] for column in Column},
                contributed=contributed[monday],
                blind=sum((_shared(gap, inside) for gap in gaps), timedelta()),
            )
        )
    return tallies


def longest_without(attempts: Sequence[Attempt]) -> Stretch | None:
    """The longest time without an offer; None where no attempt was without a date.

    It runs from an attempt without a date to another; an offer ends it, and so does a time of more than three
    days in which no attempt said anything of dates.
    """
    best: Stretch | None = None
    run: Stretch | None = None
    for attempt in attempts:
        if attempt.is_offer:
            run = None
        elif attempt.is_without_date:
            pause = attempt.at - run.until if run else timedelta()
            if run is None or pause > LONGEST_BLIND:
                run = Stretch(attempt.at, attempt.at, 1, timedelta())
            else:
                run = Stretch(run.since, attempt.at, run.attempts + 1, max(run.longest_pause, pause))
            if best is None or run.length > best.length:
                best = run
    return best


def _mondays(days: Days) -> Iterator[date]:
    monday = days.first - timedelta(days=days.first.weekday())
    while monday <= days.last:
        yield monday
        monday += timedelta(days=7)


def _shared(gap: Gap, days: Days) -> timedelta:
    """How much of a gap lies in these days."""
    return max(timedelta(), min(gap.until, days.until) - max(gap.since, days.since))
