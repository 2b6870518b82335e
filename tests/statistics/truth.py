"""Simulated desks of which every minute is known: what probes say of them, and what is true."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from random import Random

from guichets.sandbox.world import Temper
from guichets.sandbox.year import SimulatedDesk, Story, _slots, draw_desks, instants_of
from guichets.schedule.baseline import Slot
from guichets.statistics.facts import Counts, DeskDay
from guichets.statistics.figures import Floor, desk_figures
from guichets.statistics.intervals import Share
from guichets.statistics.periods import Quarter

QUARTER = Quarter(2026, 2)
LONG_SLOT = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class Trial:
    """One desk's quarter: its true availability, and what was published of it."""

    truth: float
    told: Share

    @property
    def is_covered(self) -> bool:
        return self.told.low <= self.truth <= self.told.high


@cache
def slots_of(desk: str) -> tuple[Slot, ...]:
    """The slots of the quarter; the same for every desk in the zone of ``desk``."""
    return tuple(_slots(_one(Temper.SCARCE, seed=0)))


def trial(temper: Temper, *, seed: int, missed: float = 0.0) -> Trial:
    """What a desk of that temper lived in a quarter, and what its baseline probes let us say."""
    desk = _one(temper, seed=seed)
    slots = slots_of("Europe/Paris")
    offers = desk.offers()
    days = probed(desk, slots, offers, missed=missed, fate=Random(f"{seed}/missed"))
    figures = desk_figures(days, QUARTER, Floor())
    assert figures.availability is not None
    return Trial(true_availability(slots, offers), figures.availability)


def true_availability(slots: Sequence[Slot], offers: Sequence[tuple[float, float]]) -> float:
    """The mean over slots of the share of each during which something was free."""
    total, place = 0.0, 0
    for slot in slots:
        begins, ends = slot.starts_at.timestamp(), slot.ends_at.timestamp()
        while place < len(offers) and offers[place][1] <= begins:
            place += 1
        here = place
        while here < len(offers) and offers[here][0] < ends:
            total += (min(offers[here][1], ends) - max(offers[here][0], begins)) / (ends - begins)
            here += 1
    return total / len(slots)


def probed(
    desk: SimulatedDesk,
    slots: Sequence[Slot],
    offers: Sequence[tuple[float, float]],
    *,
    missed: float,
    fate: Random,
) -> list[DeskDay]:
    """The counts of each day, from one probe in each slot: what the SQL makes of the rows, made here."""
    starts = [since for since, _ in offers]
    days: dict[date, Counts] = {}
    last: tuple[float, bool, bool] | None = None  # instant, whether it offered, whether it was by day
    for slot, instant in zip(slots, instants_of(desk.desk.id, slots), strict=True):
        local = instant.astimezone(desk.zone)
        counts = days.setdefault(local.date(), Counts())
        counts.slots_due += 1
        if fate.random() < missed:
            last = None
            continue
        at = instant.timestamp()
        place = bisect_right(starts, at) - 1
        is_offered = place >= 0 and at < offers[place][1]
        by_day = slot.ends_at - slot.starts_at < LONG_SLOT
        counts.observed += 1
        counts.offered += is_offered
        counts.none += not is_offered
        counts.rated_night += not by_day
        counts.offered_night += is_offered and not by_day
        if 8 <= local.hour < 20:
            counts.tried_human += 1
            counts.offered_human += is_offered
        if last is not None:
            counts.pairs_day += last[2] and by_day
            counts.pairs_edge += last[2] != by_day
            counts.pairs_night += not last[2] and not by_day
            if last[1] != is_offered:
                counts.gap_minutes += (round((at - last[0]) / 60),)
        last = (at, is_offered, by_day)
    return [DeskDay(day, counts) for day, counts in sorted(days.items())]


def _one(temper: Temper, *, seed: int) -> SimulatedDesk:
    (desk,) = draw_desks(
        seed=seed,
        desks=1,
        first=QUARTER.first,
        last=QUARTER.last,
        stories=[Story(name="trial", temper=temper)],
    )
    return desk
