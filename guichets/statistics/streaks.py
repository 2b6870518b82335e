"""What is worth a notice in the life of a desk: it has offered nothing for a month, it offers again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from guichets.statistics.facts import DeskDay
from guichets.statistics.figures import runs_without_offer

NOTICE_DAYS = 30


class Kind(StrEnum):
    DRY = "dry"  # nothing for NOTICE_DAYS days
    BACK = "back"  # an offer after at least as many days without


@dataclass(frozen=True, slots=True)
class Notice:
    """One change of one desk, told by the day."""

    day: date
    kind: Kind
    days: int  # without an offer, up to then


def notices_of(days: Sequence[DeskDay]) -> Iterator[Notice]:
    """The notices of one desk, oldest first."""
    was = 0
    for entry, run in runs_without_offer(days):
        if was < NOTICE_DAYS <= run:
            yield Notice(entry.day, Kind.DRY, run)
        if entry.counts.offered and was >= NOTICE_DAYS:
            yield Notice(entry.day, Kind.BACK, was)
        was = run
