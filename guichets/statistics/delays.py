"""How far away the dates are that a desk offers, and how long it goes on offering."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

FEWEST = 5  # offers seen, below which no quantile is told


@dataclass(frozen=True, slots=True)
class Delay:
    """Whole days from a visit to a date it was offered."""

    offers: int  # probes it is read from
    median: int
    p90: int
    beyond: float  # share of them further away than the limit


@dataclass(frozen=True, slots=True)
class Duration:
    """How long openings last, as far as probes an hour or so apart can tell."""

    openings: int
    at_least_minutes: int  # the median lies between these two
    at_most_minutes: int


def delay_of(counted: Mapping[int, int], limit_days: int) -> Delay | None:
    """``counted``: number of probes by delay; None when there are too few."""
    offers = sum(counted.values())
    if offers < FEWEST:
        return None
    return Delay(
        offers,
        quantile(counted, 0.5),
        quantile(counted, 0.9),
        sum(times for days, times in counted.items() if days > limit_days) / offers,
    )


def quantile(counted: Mapping[int, int], share: float) -> int:
    """The smallest value that at least ``share`` of what was counted does not exceed."""
    wanted = math.ceil(share * sum(counted.values()))
    passed = 0
    for value in sorted(counted):
        passed += counted[value]
        if passed >= wanted:
            return value
    raise ValueError("nothing was counted")


def together(several: Iterable[Mapping[int, int]]) -> dict[int, int]:
    """Several counts as one."""
    summed: dict[int, int] = {}
    for counted in several:
        for value, times in counted.items():
            summed[value] = summed.get(value, 0) + times
    return summed


def duration_of(openings: Sequence[tuple[int, int]]) -> Duration | None:
    """``openings``: minutes each lasted at least and at most.

    Each true length lies between its bounds, so their median lies between the medians of the bounds.
    """
    if len(openings) < FEWEST:
        return None
    least = together({low: 1} for low, _ in openings)
    most = together({high: 1} for _, high in openings)
    return Duration(len(openings), quantile(least, 0.5), quantile(most, 0.5))
