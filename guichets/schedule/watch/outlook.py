"""What is expected of every desk during the coming day, and what may be open unseen right now."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from guichets.schedule.watch.arrays import Bools, Floats
from guichets.schedule.watch.habits import HORIZON, Habits
from guichets.schedule.watch.lengths import USUAL_MINUTES

SOON = 8.0  # minutes: what lasts longer is lost as soon, for those who wait to be told of it


class Outlook:
    """Minutes of a day × desks; a minute's row is overwritten by the same minute of the next day."""

    def __init__(self, desks: int) -> None:
        self.intensity: Floats = np.zeros((HORIZON, desks), dtype=np.float32)  # openings expected to begin
        self.pattern: Floats = np.zeros_like(self.intensity)  # the part that comes back
        self.novelty: Floats = np.zeros_like(self.intensity)  # the part nothing was seen of yet
        self.best: Floats = np.zeros_like(self.intensity)  # best chance of a visit within a form's interval
        self.is_cycle = np.zeros((HORIZON, desks), dtype=bool)
        self.length: Floats = np.full(desks, USUAL_MINUTES)
        self.alive: Floats = np.zeros(
            desks
        )  # expected openings that began since the last visit and still last
        self.lost: Floats = np.zeros(desks)  # those that began since and have ended, or are seen late
        self.fresh: Floats = np.zeros(desks)  # as ``alive``, of openings nothing was seen of yet
        self.open: Floats = np.zeros(desks)  # probability that what was seen open still is

    def keep(self, other: Outlook, places: Sequence[tuple[int, int]]) -> None:
        """Take over desks of another outlook: (place here, place there)."""
        if not places:
            return
        here, there = (np.asarray(numbers) for numbers in zip(*places, strict=True))
        for name in ("intensity", "pattern", "novelty", "best", "is_cycle"):
            getattr(self, name)[:, here] = getattr(other, name)[:, there]
        for name in ("length", "alive", "lost", "fresh", "open"):
            getattr(self, name)[here] = getattr(other, name)[there]

    def set(self, number: int, habits: Habits, minute: int) -> None:
        """A desk's habits, foretold from ``minute`` on."""
        first = minute % HORIZON
        for ring, values in (
            (self.intensity, habits.intensity),
            (self.pattern, habits.pattern),
            (self.novelty, habits.novelty),
            (self.best, habits.best),
            (self.is_cycle, habits.is_cycle),
        ):
            ring[first:, number] = values[: HORIZON - first]
            ring[:first, number] = values[HORIZON - first :]
        self.length[number] = habits.length.minutes

    def advance(self, minute: int) -> None:
        """One minute passes, unvisited."""
        place = minute % HORIZON
        kept = np.exp(-1 / self.length)
        missed = -np.expm1(-1 / np.minimum(self.length, SOON))
        begun = self.intensity[place] * (1 - self.open)
        self.lost += (self.alive + begun / 2) * missed
        self.alive = self.alive * kept + begun * (1 + kept) / 2
        self.fresh = self.fresh * kept + self.novelty[place]
        self.open *= kept

    def resume(self, minute: int, idle_minutes: Floats) -> None:
        """After a pause of the watch: what must have happened, roughly, since each desk's last visit."""
        waited = np.clip(idle_minutes, 0, 60)
        usual = self.intensity.mean(axis=0)
        self.alive = usual * np.minimum(waited, self.length)
        self.lost = usual * waited - self.alive
        self.fresh = self.novelty.mean(axis=0) * np.minimum(waited, self.length)
        self.open = np.where(self.open > 0, np.exp(-np.maximum(idle_minutes, 0) / self.length), 0.0)

    def saw(self, number: int, *, is_offered: bool) -> None:
        """A visit established whether the desk is open."""
        self.alive[number] = self.lost[number] = self.fresh[number] = 0.0
        self.open[number] = 1.0 if is_offered else 0.0

    def gain(self, minute: int) -> Floats:
        """What a visit in this minute is worth, in openings that no later visit would see.

        The harmonic sum of what is alive and what was lost since the last visit: frequent visits are worth
        what they keep from being lost, rare ones what they find. At the height of what is alive it is worth
        it all.
        """
        place = minute % HORIZON
        gain = self.alive * self.lost / (self.alive + self.lost + 1e-12)
        ahead = (self.intensity[(place + 1) % HORIZON] + self.intensity[(place + 2) % HORIZON]) / 2
        is_height = ahead * (1 - self.open) <= self.alive / self.length
        return np.where(is_height, np.maximum(gain, self.alive), gain)

    def is_best_soon(self, minute: int, since_seconds: Floats) -> Bools:
        """Whether nothing much better comes within the interval in which a visit now bars another."""
        waited = -np.expm1(np.maximum(since_seconds, 60.0) / (-60 * self.length))
        best = self.best[minute % HORIZON] * waited * (1 - self.open)
        is_best: Bools = self.alive >= 0.75 * best
        return is_best
