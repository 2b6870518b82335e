"""The openings that a desk's visits tell of, each with the interval in which it must have begun."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from guichets.schedule.watch.arrays import Bools, Floats

SAME_AGAIN = 1.2  # mean lengths after which an open desk is taken to have closed and opened again
SHORTEST_GAP_MINUTES = 12.0


@dataclass(frozen=True, slots=True)
class Openings:
    """Openings in order of time; instants in unix seconds."""

    seen_at: Floats  # the visit that found the desk open
    begun_at: Floats  # when it probably opened
    spread: Floats  # standard deviation of ``begun_at``, in minutes
    back: Floats  # minutes before ``seen_at`` in which it may have begun

    def __len__(self) -> int:
        return len(self.seen_at)

    def latest(self, most: int) -> Openings:
        kept = slice(-most, None)
        return Openings(self.seen_at[kept], self.begun_at[kept], self.spread[kept], self.back[kept])


def find_openings(times: Floats, offered: Bools, *, length_minutes: float, most: int) -> Openings:
    """The latest ``most`` openings. An opening is likelier to have begun late in its interval: it still
    lasts.
    """
    gaps = np.empty(len(times))
    gaps[:1] = 3 * length_minutes
    gaps[1:] = np.diff(times) / 60
    begins = offered.copy()
    begins[1:] &= ~offered[:-1] | (gaps[1:] > max(SHORTEST_GAP_MINUTES, SAME_AGAIN * length_minutes))
    found = np.flatnonzero(begins)[-most:]
    width = np.minimum(gaps[found], 4 * length_minutes)
    ratio = np.maximum(width / length_minutes, 1e-3)
    back = length_minutes * (1 - ratio / np.expm1(ratio))
    spread = np.minimum(width / 3.46, length_minutes)
    return Openings(times[found], times[found] - 60 * back, np.maximum(spread, 0.2), width)
