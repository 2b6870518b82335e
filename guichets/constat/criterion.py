"""The test of the several-weeks criterion: was there no date on several attempts, not all of one week?

Conseil d'État, 10 June 2020, n° 435594: who asks the judge for an appointment shows that none could be had
« malgré plusieurs tentatives n'ayant pas été effectuées la même semaine »; four captures over five days were
not enough. What is tested here is what the archive shows of the desk, in numbers; whether that is enough, and
what the person concerned tried, is for the judge. The rule in words: docs/constat.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from guichets.constat.attempts import Attempt
from guichets.french import PARIS

LEAST_WEEKS = 2
LEAST_APART = timedelta(days=7)
"""Four captures over five days were not enough, and may lie in two calendar weeks: Thursday to Monday."""


class Verdict(StrEnum):
    MET = "met"  # and no date was seen in the whole period
    MET_IN_SOME_WEEKS = "met_in_some_weeks"  # dates were seen in others
    NOT_MET = "not_met"


@dataclass(frozen=True, slots=True)
class WeekSeen:
    """What one calendar week (Monday to Sunday, Paris) counts for in the test."""

    monday: date
    without: int  # attempts at which the site itself said: nothing, or closed
    offers: int  # attempts at which at least one date was seen
    first_without: datetime | None  # instants of the former
    last_without: datetime | None

    @property
    def is_without_date(self) -> bool:
        """Tried, told that there is nothing, and no date seen at any other attempt of the week."""
        return self.without > 0 and self.offers == 0


@dataclass(frozen=True, slots=True)
class Judgement:
    """The result of the test, with what it rests on."""

    verdict: Verdict
    weeks_without: tuple[date, ...]  # their Mondays, in order
    weeks_with_offer: tuple[date, ...]
    attempts: int  # without a date, in the weeks without
    first: datetime | None  # of those attempts
    last: datetime | None

    @property
    def apart(self) -> timedelta | None:
        return self.last - self.first if self.first and self.last else None


def monday_of(instant: datetime) -> date:
    """The Monday of the calendar week (ISO 8601) an instant falls in, by the clock of Paris."""
    day = instant.astimezone(PARIS).date()
    return day - timedelta(days=day.weekday())


def weeks_seen(attempts: Iterable[Attempt], offers_beside: Iterable[datetime] = ()) -> list[WeekSeen]:
    """Attempts by week, in order; weeks in which nothing of the two was seen are left out.

    ``offers_beside``: when dates were seen out of the period, in the weeks that it cuts. Else who begins a
    period the day after an offer would make a week without a date of it.
    """
    found: dict[date, tuple[list[datetime], int]] = {}
    for attempt in attempts:
        monday = monday_of(attempt.at)
        without, offers = found.get(monday, ([], 0))
        if attempt.is_without_date:
            without.append(attempt.at)
        found[monday] = (without, offers + attempt.is_offer)
    for instant in offers_beside:
        monday = monday_of(instant)
        without, offers = found.get(monday, ([], 0))
        found[monday] = (without, offers + 1)
    return [
        WeekSeen(monday, len(without), offers, min(without, default=None), max(without, default=None))
        for monday, (without, offers) in sorted(found.items())
        if without or offers
    ]


def judge(weeks: Sequence[WeekSeen]) -> Judgement:
    """Whether the attempts of these weeks meet the criterion.

    They do when at least two calendar weeks are without a date, and their first and last attempt without a
    date lie at least seven days apart. Weeks with an offer never count for it, and are told.
    """
    without = [week for week in weeks if week.is_without_date]
    offering = [week for week in weeks if week.offers]
    first = min((week.first_without for week in without if week.first_without), default=None)
    last = max((week.last_without for week in without if week.last_without), default=None)
    apart = last - first if first and last else timedelta()
    is_met = len(without) >= LEAST_WEEKS and apart >= LEAST_APART
    met = Verdict.MET_IN_SOME_WEEKS if offering else Verdict.MET
    return Judgement(
        verdict=met if is_met else Verdict.NOT_MET,
        weeks_without=tuple(week.monday for week in without),
        weeks_with_offer=tuple(week.monday for week in offering),
        attempts=sum(week.without for week in without),
        first=first,
        last=last,
    )
