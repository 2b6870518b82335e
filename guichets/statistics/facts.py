"""What was counted: facts of one desk on one day, and their sums. Nothing here is a rate."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date


@dataclass(slots=True)
class Counts:
    """Baseline probes of a desk over some days, by what they found; all of them add up."""

    slots_due: int = 0  # slots that were over
    observed: int = 0  # of them, those whose probe said something of the desk
    offered: int = 0
    none: int = 0
    closed: int = 0
    open: int = 0
    moved: int = 0
    captcha: int = 0
    blocked: int = 0
    overloaded: int = 0
    unreachable: int = 0
    gone: int = 0
    unrecognised: int = 0
    rated_night: int = 0  # of the rated ones, those of night slots
    offered_night: int = 0
    tried_human: int = 0  # at human hours: rated, or the site failed as it would have for a person
    offered_human: int = 0
    pairs_day: int = 0
    pairs_edge: int = 0
    pairs_night: int = 0
    gap_minutes: tuple[int, ...] = ()  # between consecutive probes of which one found an offer

    @property
    def rated(self) -> int:
        """The denominator of availability."""
        return self.offered + self.none + self.closed

    @property
    def dysfunction(self) -> int:
        return self.overloaded + self.unreachable

    @property
    def barrier(self) -> int:
        return self.captcha + self.blocked

    @property
    def probes(self) -> int:
        """All that were made, but those that failed on our side."""
        return (
            self.rated
            + self.dysfunction
            + self.barrier
            + self.open
            + self.moved
            + self.gone
            + self.unrecognised
        )


@dataclass(slots=True)
class DeskDay:
    """The counts of one desk on one local day."""

    day: date
    counts: Counts


def total(counts: Iterable[Counts]) -> Counts:
    """Their sum."""
    rows = list(counts)
    summed = Counts(*(sum(column) for column in zip(*map(_numbers, rows), strict=True)) if rows else ())
    summed.gap_minutes = tuple(gap for row in rows for gap in row.gap_minutes)
    return summed


def _numbers(row: Counts) -> tuple[int, ...]:
    return (
        row.slots_due,
        row.observed,
        row.offered,
        row.none,
        row.closed,
        row.open,
        row.moved,
        row.captcha,
        row.blocked,
        row.overloaded,
        row.unreachable,
        row.gone,
        row.unrecognised,
        row.rated_night,
        row.offered_night,
        row.tried_human,
        row.offered_human,
        row.pairs_day,
        row.pairs_edge,
        row.pairs_night,
    )
