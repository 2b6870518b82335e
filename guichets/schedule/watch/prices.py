"""What a probe must promise to be made: the price at which the coming day's chances use up the budget."""

from __future__ import annotations

import numpy as np

from guichets.schedule.watch.arrays import Floats
from guichets.schedule.watch.budget import BASELINE_PER_DAY, Budget
from guichets.schedule.watch.outlook import Outlook

BLOCK = 15  # minutes: no desk is visited oftener outside learnt releases
HIGHEST = 2.0
LOWEST = 1e-6
STEPS = 14


class Prices:
    """The price of a probe now, in expected first sightings."""

    def __init__(self) -> None:
        self.price = 0.0
        self.known = False
        self.use = 0.7  # share of foreseen probes that can be made: desks wait for baselines and hosts

    def set(self, outlook: Outlook, minute: int, budget: Budget, *, foretold: float) -> None:
        """Look a day ahead from ``minute`` on.

        ``foretold``: the share of desks that something is foretold of; they get no more than their share.
        """
        intensity = outlook.intensity
        length = outlook.length.astype(np.float32)
        place = minute % len(intensity)
        desks = intensity.shape[1]
        spent = budget.spent(minute)
        blocks = intensity.reshape(-1, BLOCK, desks)
        begun = np.roll(blocks.sum(axis=1), -(place // BLOCK), axis=0)
        peaked = np.roll(blocks.max(axis=1), -(place // BLOCK), axis=0) * BLOCK / np.maximum(begun, 1e-12)
        flat = length / BLOCK * -np.expm1(-BLOCK / length)
        catch = begun * np.minimum(1.0, flat * np.maximum(1.0, peaked / 2))
        dense = np.sqrt(begun * BLOCK / (2 * length))
        day = budget.per_day - BASELINE_PER_DAY * desks
        hour = budget.most_per_hour - desks
        self.known = True
        if day <= 0:
            self.price = HIGHEST
            return
        if spent > 0:
            goal = 0.985 * budget.usable_per_day - BASELINE_PER_DAY * desks
            ratio = max(spent - BASELINE_PER_DAY * desks, 0.05 * day) / max(goal, 0.05 * day)
            self.use = min(2.0, max(0.05, self.use * min(1.5, max(0.6, ratio)) ** 0.06))
        low, high = np.log(LOWEST), np.log(HIGHEST)
        day, hour = foretold * day, foretold * hour
        for _ in range(STEPS):
            price = float(np.exp((low + high) / 2))
            per_hour = _visits(catch, dense, price).reshape(24, 4 * desks).sum(axis=1) * self.use
            over = np.minimum(per_hour, hour).sum() > day
            low, high = (np.log(price), high) if over else (low, np.log(price))
        self.price = float(np.exp(high))
        low = high
        high = np.log(HIGHEST)
        now_catch, now_dense = catch[:4], dense[:4]
        for _ in range(STEPS):
            price = float(np.exp((low + high) / 2))
            if _visits(now_catch, now_dense, price).sum() * self.use > hour:
                low = np.log(price)
            else:
                high = np.log(price)
        self.price = float(np.exp(low)) if self.price < np.exp(low) else self.price


def _visits(catch: Floats, dense: Floats, price: float) -> Floats:
    """Visits each block is worth at a price."""
    visits: Floats = dense / np.float32(np.sqrt(price))
    np.minimum(np.maximum(visits, 1.0, out=visits), 12.0, out=visits)
    visits[catch < price] = 0
    return visits
