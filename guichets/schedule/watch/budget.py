"""How many probes may still be made: in any 60 minutes, and in any 24 hours, of all desks together.

Counted by whole minutes, one more than the window has, so that no sliding window can hold more than it may.
"""

from __future__ import annotations

import math

import numpy as np

from guichets.schedule.watch.arrays import Ints

DAY_MINUTES = 1440
BASELINE_PER_DAY = 18  # probes of a desk
_RING = 2048


class Budget:
    """Counts probes of every purpose; knows what the baseline may still need."""

    def __init__(self, *, every_minutes: float, desks: int) -> None:
        self.every_minutes = every_minutes
        self._made = _Minutes()
        self._planned = _Minutes()
        self.resize(desks)

    def resize(self, desks: int) -> None:
        """That many desks are watched now."""
        per_hour = 60 * desks / self.every_minutes if self.every_minutes > 0 else 0.0
        self.per_day = 24 * per_hour
        self.most_per_hour = 2 * per_hour
        self._baseline = BASELINE_PER_DAY * desks
        self._swing = min(1 + 4 * math.sqrt(desks / 2), self.per_day / 24)  # of a day's baseline probes
        self.usable_per_day = self.per_day - self._swing
        # A desk whose next probe comes early may have another one within the hour: nobody has told it yet.
        self._second = 0.2 * desks * (np.arange(61) / 60) ** 2

    def note(self, minute: int) -> None:
        """A probe was made in this minute."""
        self._made.add(minute, 1)

    def note_planned(self, minute: int, count: int) -> None:
        """Watch probes were planned for this minute."""
        self._planned.add(minute, count)

    def spent(self, minute: int) -> int:
        """Probes of the last 24 hours."""
        return self._made.sum(minute, DAY_MINUTES)

    def room(self, minute: int, *, due: Ints, clock_change: float) -> int:
        """Watch probes that may be made in this minute and leave the baseline all it needs.

        ``due``: the minute of each desk's next baseline probe, as far as known. ``clock_change``: how many
        probes more than usual are to come within a day because clocks go forward.
        """
        usable = self.usable_per_day - clock_change
        day_room = min(
            usable - self.spent(minute),
            usable - self._baseline - self._planned.sum(minute, DAY_MINUTES),
        )
        if day_room < 1:
            return 0
        hour_room = self.most_per_hour - self._made.sum(minute, 60) - self._arriving(minute, due)
        return max(0, math.floor(min(hour_room, day_room)))

    def _arriving(self, minute: int, due: Ints) -> float:
        """Baseline probes of the coming hour, beyond the probes that leave the window before them."""
        near = due[(due >= minute) & (due <= minute + 60)] - minute
        coming = np.cumsum(np.bincount(near, minlength=61)[:61]) + self._second
        counts = self._made.counts(np.arange(minute - 60, minute + 1))
        leaving = np.cumsum(counts) - counts
        return max(0.0, float((coming - leaving).max()))


class _Minutes:
    """Counts by minute, of the last day and more."""

    def __init__(self) -> None:
        self._counts = np.zeros(_RING, dtype=np.int64)
        self._minutes = np.full(_RING, -1, dtype=np.int64)

    def add(self, minute: int, count: int) -> None:
        place = minute % _RING
        if self._minutes[place] != minute:
            if self._minutes[place] > minute:
                return  # so long ago that its place is another's
            self._minutes[place] = minute
            self._counts[place] = 0
        self._counts[place] += count

    def sum(self, minute: int, minutes: int) -> int:
        """Of the whole minutes from ``minutes`` before this one until its end."""
        known = (self._minutes >= minute - minutes) & (self._minutes <= minute)
        return int(self._counts[known].sum())

    def counts(self, minutes: Ints) -> Ints:
        places = minutes % _RING
        return np.where(self._minutes[places] == minutes, self._counts[places], 0)
