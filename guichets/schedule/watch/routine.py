"""Openings without a date: how often they come at an hour, and at which minutes of it.

The rate of openings is taken as hour of the day × minute of the hour × kind of day (workday, weekend). It is
found by expectation and maximisation: each opening is spread over the minutes at which it may have begun, as
the rate says; the rate is then what was so counted over how often an opening would have been seen there.
Minutes of the hour count only as far as they foretell openings left out one by one: chance has no minute.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from guichets.schedule.watch.arrays import Floats, Ints

ROUNDS = 3
LONGEST_BACK = 40  # minutes before a visit that an opening is looked for
HOURS_NEAR = 0.8  # standard deviation, in hours
_MINUTE_DOUBT = 2.0  # openings without a minute that are added to each
_HOUR_DOUBT = 1.0
_KIND_DOUBT = 2.0
_DAY_MINUTES = 1440

_HOURS = np.arange(24)
_APART = np.minimum((_HOURS[:, None] - _HOURS) % 24, (_HOURS - _HOURS[:, None]) % 24)
_NEAR = np.exp(-0.5 * (_APART / HOURS_NEAR) ** 2)
NEAR = _NEAR / _NEAR.sum(axis=1, keepdims=True)


SMOOTH = 0.6 * np.eye(60) + 0.2 * (np.roll(np.eye(60), 1, axis=0) + np.roll(np.eye(60), -1, axis=0))


@dataclass(frozen=True, slots=True)
class Visits:
    """Visits, or openings by the visit that saw them, on the desk's clock."""

    minute: Ints  # of the day
    kind: Ints  # 0 workday, 1 weekend
    back: Floats  # minutes since the visit before
    weight: Floats  # by age


@dataclass(frozen=True, slots=True)
class Routine:
    """Rate per minute: kinds of day × minutes of the day; ``pattern`` is what the minute of the hour adds."""

    rate: Floats
    pattern: Floats
    minutes: Floats  # of the hour: how much likelier than on average
    back: Floats  # of each opening: minutes before the visit that it probably began
    spread: Floats  # and the standard deviation of that
    told: Floats  # of each opening: the rate there that the others foretell


class RoutineFit:
    """Learns a routine; openings may be weighed again without counting visits again."""

    def __init__(self, visits: Visits, openings: Visits, length_minutes: float) -> None:
        steps = np.arange(min(LONGEST_BACK, max(6, int(3 * length_minutes))))
        self._lasts = np.exp(-(steps + 0.5) / length_minutes)
        self._steps = steps
        places, reach = self._spread(visits)
        watched = np.bincount(places.ravel(), (reach * visits.weight[:, None]).ravel(), 2 * _DAY_MINUTES)
        self._watched = watched.reshape(2, 24, 60)
        self._openings = openings
        self._places, self._reach = self._spread(openings)
        self._hour = np.ones(24)
        self._minute = np.ones(60)
        self._kind = np.ones(2)

    def _spread(self, visits: Visits) -> tuple[Ints, Floats]:
        """For each visit, the minutes before it, and how likely an opening begun there was still seen."""
        places = visits.minute[:, None] - self._steps
        places += _DAY_MINUTES * (places < 0)  # several times as quick as the remainder
        places += _DAY_MINUTES * visits.kind[:, None]
        reach = np.minimum(np.maximum(visits.back[:, None] - self._steps, 0.0), 1.0)
        reach[:, 0] = 1.0
        reach *= self._lasts
        return places, reach

    def learn(self, shares: Floats, rounds: int = ROUNDS) -> Routine:
        """``shares``: how much of each opening has no better explanation."""
        weight = self._openings.weight * shares
        total = weight.sum()
        usual = (total + 0.02) / (self._watched.sum() + 60.0)
        if self._hour.max() == 1.0:
            self._hour *= usual
        for _ in range(rounds):
            rate = self._rate()
            likely = self._reach * rate.ravel()[self._places]
            likely /= likely.sum(axis=1, keepdims=True) + 1e-300
            parts = (likely * weight[:, None]).ravel()
            counted: Floats = np.bincount(self._places.ravel(), parts, 2 * _DAY_MINUTES).astype(np.float64)
            counted = counted.reshape(2, 24, 60)
            self._improve(counted, usual)
        rate = self._rate()
        sure = self._trust(likely, weight)
        flat = self._by_hour()[:, :, None]
        minute = 1 + sure * (self._minute - 1)
        rate = flat * minute
        back = likely @ (self._steps + 0.5)
        spread = np.sqrt(np.maximum(likely @ (self._steps + 0.5) ** 2 - back * back, 0.05))
        by_hour = NEAR @ counted.reshape(48, 60).sum(axis=1).reshape(2, 24).sum(axis=0)
        hours = self._openings.minute // 60
        alone = weight * np.diag(NEAR)[0] / np.maximum(by_hour[hours], 1e-9)
        told = (likely * rate.ravel()[self._places]).sum(axis=1) * np.clip(1 - alone, 0.0, 1.0)
        pattern = flat * np.where(minute > 1.4, minute - 1, 0.0)
        return Routine(
            rate.reshape(2, _DAY_MINUTES), pattern.reshape(2, _DAY_MINUTES), minute, back, spread, told
        )

    def _by_hour(self) -> Floats:
        """Kinds of day × hours."""
        return self._kind[:, None] * self._hour

    def _rate(self) -> Floats:
        return self._by_hour()[:, :, None] * self._minute

    def _improve(self, counted: Floats, usual: float) -> None:
        by_minute = counted.reshape(48, 60)
        by_hour = by_minute.sum(axis=1).reshape(2, 24)
        could = SMOOTH @ (self._by_hour().ravel() @ self._watched.reshape(48, 60))
        self._could = could + _MINUTE_DOUBT
        self._minute = (SMOOTH @ by_minute.sum(axis=0) + _MINUTE_DOUBT) / self._could
        self._minute /= self._minute.sum() / 60
        could_hours = self._watched @ self._minute
        could_hour = NEAR @ (self._kind @ could_hours)
        self._hour = (NEAR @ by_hour.sum(axis=0) + _HOUR_DOUBT * usual) / (could_hour + _HOUR_DOUBT)
        could_kind = could_hours @ self._hour
        self._kind = (by_hour.sum(axis=1) + _KIND_DOUBT) / (could_kind + _KIND_DOUBT)

    def _trust(self, likely: Floats, weight: Floats) -> float:
        """How far the minutes of the hour are to be believed: 0 to 1."""
        phase = self._places % 60
        own = likely * weight[:, None] * 0.6 / self._could[phase]
        others = np.maximum(self._minute[phase] - own, 0.05)
        flat = self._reach / (self._reach.sum(axis=1, keepdims=True) + 1e-300)
        gain = float((weight * np.log((flat * others).sum(axis=1) + 1e-9)).sum())
        return 1 / (1 + math.exp(min(50.0, 3.0 - gain)))
