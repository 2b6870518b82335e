"""When, within a minute, a desk can be visited: its own distances kept, and its host's pace."""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random

from guichets.schedule.watch.record import Record

CLOSE_PER_DAY = (
    60  # visits of a desk that may come within a form's interval of another, inside learnt releases
)
CLOSEST_SECONDS = 60.0
JITTER_SECONDS = 20.0


class Minute:
    """One minute being planned."""

    def __init__(self, start: float, *, interval_seconds: float, fate: Random) -> None:
        self.start = start
        self.end = start + 60
        self._interval = interval_seconds
        self._fate = fate
        self._taken: dict[int, list[float]] = {}

    def place(
        self,
        host: int,
        record: Record,
        *,
        last: float,
        due: float,
        host_last: float,
        probe_seconds: float,
        host_due: Sequence[float],
        is_dense: bool,
    ) -> float | None:
        """An instant for a visit, or None. All in unix seconds.

        ``last``: the desk's last visit; ``due``: its next baseline probe; ``host_due``: those of the host's
        desks; ``probe_seconds``: how long a probe keeps the host busy. ``is_dense``: it may come close to
        another visit, if the day's allowance is not used up.
        """
        low = max(self.start, host_last + probe_seconds, last + CLOSEST_SECONDS)
        high = min(self.end - 1e-3, due - CLOSEST_SECONDS)
        if due < self.start or low > high:
            return None
        free = max(low, last + self._interval)
        if free <= high and due - free >= self._interval:
            low, high = free, min(high, due - self._interval)
        elif not is_dense or record.close_within_a_day(low) + 2 > CLOSE_PER_DAY:
            return None
        busy = sorted(
            [
                *self._taken.get(host, ()),
                *(at for at in host_due if self.start - probe_seconds < at < self.end + probe_seconds),
            ]
        )
        if not busy:
            low += self._fate.random() * min(high - low, JITTER_SECONDS)
        for other in busy:
            if other - low >= probe_seconds:
                break
            low = max(low, other + probe_seconds)
        if low > high or math.isinf(low):
            return None
        self._taken.setdefault(host, []).append(low)
        return low
