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


# Expected unknown openings a day of each explanation, for a desk nothing is known of.
_UNKNOWN = np.asarray([*(0.03, 0.03, 0.02), *(0.05, 0.05, 0.03), *(0.03, 0.03, 0.02), 1.1])[:, None]


@dataclass(frozen=True, slots=True)
class Prior:
    """Shared between the desks of a family, a département, a host, or all."""

    length_minutes: float = USUAL_MINUTES
    day: Floats = field(default_factory=_usual_day)  # per minute, of one opening, by part of the day

    def unknown(self, minute: Floats, watched: Floats) -> Floats:
        """Expected openings per minute nothing was seen of yet: explanations × minutes of the day.

        ``watched``: days on which they would have been seen. A habit that is kept escapes few visits; chance
        may have been unlucky for long.
        """
        day = self.day[(minute // (1440 // PARTS)).astype(np.int64)]
        found = np.empty(watched.shape)
        found[:9] = _UNKNOWN[:9] * np.exp(-watched[:9]) * day
        found[9:] = _UNKNOWN[9:] / (1 + 3 * watched[9:]) * day
        return found
