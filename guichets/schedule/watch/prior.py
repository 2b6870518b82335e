"""What is likely of a desk before it was seen open, and what other desks teach about it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from guichets.schedule.watch.arrays import Floats
from guichets.schedule.watch.lengths import USUAL_MINUTES

PARTS = 144  # of a day, ten minutes each


def _usual_day() -> Floats:
    hours = np.full(24, 0.5)
    hours[7:21] = 1.0
    return np.repeat(hours / hours.sum() / 60, PARTS // 24)


# Expected openings a day nothing was seen of yet, for a desk nothing is known of: of each width of weekly, of
# workday or weekend and of daily releases; and without a date. More of the former than there are: what is
# found early is seen for weeks.
_DATED = np.asarray([*(0.09, 0.09, 0.06), *(0.15, 0.15, 0.09), *(0.09, 0.09, 0.06)])[:, None]
_OFTEN, _SELDOM = 0.9, 0.12  # by desks that open by chance every day, and by those that seldom do
_DESKS = 10.0  # desks' worth of weight that the first guess keeps


@dataclass(frozen=True, slots=True)
class Prior:
    """Shared between all desks."""

    length_minutes: float = USUAL_MINUTES
    day: Floats = field(default_factory=_usual_day)  # per minute, of one opening, by part of the day
    dated: float = 0.5  # share of desks whose openings mostly have a date

    def unknown(self, minute: Floats, watched: Floats) -> Floats:
        """Expected openings per minute nothing was seen of yet: explanations × minutes of the day.

        ``watched``: days on which they would have been seen. A habit that is kept escapes few visits; seldom
        chance may have been missed for long.
        """
        day = self.day[(minute // (1440 // PARTS)).astype(np.int64)]
        found = np.empty(watched.shape)
        found[:9] = 2 * self.dated * _DATED * np.exp(-watched[:9]) * day
        by_chance = _OFTEN * np.exp(-1.5 * watched[9:]) + _SELDOM / (1 + 2 * watched[9:])
        found[9:] = 2 * (1 - self.dated) * by_chance * day
        return found


def pooled(parts: Floats, dated: Floats) -> Prior:
    """What desks teach about each other.

    ``parts``: desks × parts of the day, how surely a desk has dated openings there; ``dated``: of each desk
    the share of its openings that have a date, not a number for those that were seen open too seldom.
    """
    usual = _usual_day()
    near = parts.sum(axis=0)
    near = (near + np.roll(near, 1) + np.roll(near, -1)) / 3
    count = near.sum()
    day = (_DESKS * usual * 1440 / PARTS + near) / (_DESKS + count) * PARTS / 1440
    told = dated[np.isfinite(dated)]
    share = (_DESKS / 2 + told.sum()) / (_DESKS + len(told))
    return Prior(day=0.3 * usual + 0.7 * day, dated=float(np.clip(share, 0.1, 0.9)))
