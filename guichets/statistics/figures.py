"""The figures of a desk, or of several, over a period.

Each definition stands here once; docs/methodology.md tells them in words.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from guichets.statistics.facts import Counts, DeskDay, total
from guichets.statistics.intervals import Pairs, Share, Slots, error_factor, pooled, wilson
from guichets.statistics.periods import Period, block_of

DAY_HOURS = 15  # of the baseline pattern: from 7 h to 22 h
LONGEST_BLIND_DAYS = 3  # days in a row without a rated probe that a time without offer may span
TRIES = (1, 3, 7, 14)  # a week, at human hours


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """Below it a figure is `insufficient`: missing, never zero."""

    coverage: float = 0.6
    probes: int = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What can be said of a desk or group over a period; None: not enough was seen, or it does not apply."""

    counts: Counts
    coverage: float | None  # None: no slot was due
    sufficient: bool
    availability: Share | None  # None below the floor
    share_of_time: Share | None
    barrier: float | None
    dysfunction: float | None
    closed: float | None
    never_offered: bool  # sufficient, and no probe found an offer
    longest_without_days: int | None
    chances: Mapping[int, float]  # tries a week -> chance to meet an offer; empty below the floor
    factor: float  # variance of the availability's error over that of independent probes


def desk_figures(
    days: Sequence[DeskDay], period: Period, floor: Floor, slots: Slots | None = None
) -> Figures:
    """The figures of one desk; ``days`` are its days of that period, in order."""
    counts = total(entry.counts for entry in days)
    sufficient = is_sufficient(counts, floor)
    factor = 1.0
    availability = share_of_time = None
    shares = human_shares(days, period) if sufficient else []
    if sufficient:
        share = counts.offered / counts.rated
        factor = error_factor(
            share,
            rated=counts.rated,
            night=counts.rated_night,
            due=counts.slots_due,
            pairs=pairs_of(counts),
            slots=slots or Slots(),
        )
        availability = wilson(share, counts.rated / factor)
        share_of_time = time_share(counts, factor)
    return Figures(
        counts=counts,
        coverage=coverage_of(counts),
        sufficient=sufficient,
        availability=availability,
        share_of_time=share_of_time,
        **_rates(counts),
        never_offered=sufficient and not counts.offered,
        longest_without_days=longest_without_offer(days) if sufficient else None,
        chances={tries: chance_of(shares, tries) for tries in TRIES} if sufficient else {},
        factor=factor,
    )


def group_figures(members: Sequence[Figures], floor: Floor) -> Figures:
    """Several desks together: each weighs by its probes. Desks below the floor are left out of the shares."""
    counts = total(member.counts for member in members)
    known = [member for member in members if member.sufficient]
    inside = total(member.counts for member in known)
    sufficient = bool(known) and is_sufficient(counts, floor)
    availability = share_of_time = None
    chances: dict[int, float] = {}
    if sufficient:
        availability = pooled(
            (member.counts.offered / member.counts.rated, member.counts.rated, member.factor)
            for member in known
        )
        worth = sum(member.counts.rated * member.factor for member in known) / inside.rated
        share_of_time = time_share(inside, worth)
        chances = {tries: sum(member.chances[tries] for member in known) / len(known) for tries in TRIES}
    return Figures(
        counts=counts,
        coverage=coverage_of(counts),
        sufficient=sufficient,
        availability=availability,
        share_of_time=share_of_time,
        **_rates(counts),
        never_offered=sufficient and not inside.offered,
        longest_without_days=None,
        chances=chances,
        factor=1.0,
    )


def coverage_of(counts: Counts) -> float | None:
    """Of the slots that were over, the share whose probe said something of the desk."""
    return counts.observed / counts.slots_due if counts.slots_due else None


def is_sufficient(counts: Counts, floor: Floor) -> bool:
    coverage = coverage_of(counts)
    return coverage is not None and coverage >= floor.coverage and counts.rated >= max(1, floor.probes)


def pairs_of(counts: Counts) -> Pairs:
    # Never nothing: two probes may be a fraction of a minute apart.
    gaps = tuple(max(minutes, 0.5) / 60 for minutes in counts.gap_minutes)
    return Pairs(day=counts.pairs_day, edge=counts.pairs_edge, night=counts.pairs_night, gaps=gaps)


def time_share(counts: Counts, factor: float) -> Share:
    """The share of time with an offer: night probes stand for three hours, day probes for one."""
    by_day, at_night = counts.rated - counts.rated_night, counts.rated_night
    if not by_day or not at_night:
        return wilson(counts.offered / counts.rated, counts.rated / factor)
    weight = DAY_HOURS / 24
    day = (counts.offered - counts.offered_night) / by_day
    night = counts.offered_night / at_night
    value = weight * day + (1 - weight) * night
    variance = factor * (
        weight**2 * day * (1 - day) / by_day + (1 - weight) ** 2 * night * (1 - night) / at_night
    )
    worth = value * (1 - value) / variance if variance else counts.rated
    return wilson(min(1.0, value), worth)


def chance_of(shares: Sequence[float], tries: int) -> float:
    """How likely a person who tries so many times a week, at human hours, meets an offer within the week.

    Week by week, then the mean: offers that lie in a few weeks help nobody in the others. A site that fails
    counts as an attempt without offer, as it does for that person.
    """
    met = [1 - (1 - share) ** tries for share in shares]
    return sum(met) / len(met) if met else 0.0


def human_shares(days: Sequence[DeskDay], period: Period) -> list[float]:
    """For each block of seven days, the share of attempts at human hours that met an offer."""
    first, last = period.first, period.last
    tried: dict[int, int] = {}
    offered: dict[int, int] = {}
    for entry in days:
        block = block_of(entry.day, first, last)
        tried[block] = tried.get(block, 0) + entry.counts.tried_human
        offered[block] = offered.get(block, 0) + entry.counts.offered_human
    return [offered[block] / attempts for block, attempts in tried.items() if attempts]


def longest_without_offer(days: Sequence[DeskDay]) -> int:
    """Most days in a row without any offer found."""
    return max((run for entry, run in runs_without_offer(days) if entry.counts.rated), default=0)


def runs_without_offer(days: Sequence[DeskDay]) -> Iterator[tuple[DeskDay, int]]:
    """Each day, and how many days in a row, with it, nothing was found; 0 on a day with an offer.

    Days on which nobody looked count while they are few in a row; more of them break the run: what happened
    then is not known.
    """
    run = blind = 0
    previous: date | None = None
    for entry in days:
        missing = (entry.day - previous).days - 1 if previous else 0
        previous = entry.day
        blind += missing + (not entry.counts.rated)
        if blind > LONGEST_BLIND_DAYS:
            run = missing = 0
        if entry.counts.offered or (not run and not entry.counts.rated):
            run = 0
        else:
            run += 1 + (missing if run else 0)
        if entry.counts.rated:
            blind = 0
        yield entry, run


def days_of(days: Sequence[DeskDay], period: Period) -> list[DeskDay]:
    """Those of a period; ``days`` are in order."""
    begin = bisect_left(days, period.first, key=_day)
    return list(days[begin : bisect_right(days, period.last, lo=begin, key=_day)])


def _day(entry: DeskDay) -> date:
    return entry.day


def _rates(counts: Counts) -> dict[str, float | None]:
    made = counts.probes
    return {
        "barrier": counts.barrier / made if made else None,
        "dysfunction": counts.dysfunction / made if made else None,
        "closed": counts.closed / counts.rated if counts.rated else None,
    }
