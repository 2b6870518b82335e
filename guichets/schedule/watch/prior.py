"""What is likely of a desk before it was seen open, and what other desks teach about it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from guichets.schedule.watch.arrays import Floats
from guichets.schedule.watch.lengths import USUAL_MINUTES
from guichets.schedule.watch.model import WatchedDesk

PARTS = 288  # of a day, five minutes each
PHASES = 12  # of an hour, as long
_SMOOTH = 3  # parts on both sides


def _usual_day() -> Floats:
    hours = np.full(24, 0.5)
    hours[7:21] = 1.0
    hours[0] = 1.0  # programs like midnight
    return np.repeat(hours / hours.sum() / 60, PARTS // 24)


def _usual_phase() -> Floats:
    """People and programs like the full hour, then the half, and are seldom quite on time."""
    phase = np.full(PHASES, 0.6)
    phase[[0, 11, 6, 5, 3, 9]] += (2.0, 0.9, 1.0, 0.4, 0.3, 0.3)
    usual: Floats = phase / phase.mean()
    return usual


# Expected openings a day nothing was seen of yet, for a desk nothing is known of: of each width of weekly, of
# workday or weekend and of daily releases; and without a date. More of the former than there are: what is
# found early is seen for weeks.
_DATED = np.asarray([*(0.09, 0.09, 0.06), *(0.15, 0.15, 0.09), *(0.09, 0.09, 0.06)])[:, None]
_OFTEN, _SELDOM = 0.9, 0.12  # by desks that open by chance every day, and by those that seldom do
_DESKS = 10.0  # desks' worth of weight that the first guess keeps


@dataclass(frozen=True, slots=True)
class Prior:
    """Shared between desks: those of a family and département, those of a family, all."""

    length_minutes: float = USUAL_MINUTES
    day: Floats = field(default_factory=_usual_day)  # per minute, of one opening, by part of the day
    phase: Floats = field(default_factory=_usual_phase)  # of a dated one, by part of the hour; one on average
    dated: float = 0.5  # share of desks whose openings mostly have a date

    def unknown(self, minute: Floats, watched: Floats) -> Floats:
        """Expected openings per minute nothing was seen of yet: explanations × minutes of the day.

        ``watched``: days on which they would have been seen. A habit that is kept escapes few visits; seldom
        chance may have been missed for long.
        """
        part = (minute // (1440 // PARTS)).astype(np.int64)
        day = self.day[part]
        found = np.empty(watched.shape)
        found[:9] = 2 * self.dated * _DATED * np.exp(-watched[:9]) * day * self.phase[part % PHASES]
        by_chance = _OFTEN * np.exp(-1.5 * watched[9:]) + _SELDOM / (1 + 2 * watched[9:])
        found[9:] = 2 * (1 - self.dated) * by_chance * day
        return found


class Kinship:
    """Which desks teach each other: those of a family and département most, then of a family, then all."""

    def __init__(self, desks: Sequence[WatchedDesk]) -> None:
        kin: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for number, desk in enumerate(desks):
            for key in ((), (desk.family,), (desk.family, desk.departement)):
                kin[key].append(number)
        self._kin = {
            key: np.asarray(members) for key, members in sorted(kin.items(), key=lambda item: len(item[0]))
        }
        self._key_of = [(desk.family, desk.departement) for desk in desks]
        self._priors: dict[tuple[str, ...], Prior] = {}

    def teach(self, parts: Floats, dated: Floats) -> None:
        """Take in what desks tell of each other: see ``pooled``."""
        for key, members in self._kin.items():
            wider = key[:-1]
            base = self._priors[wider] if key else Prior()
            if key and len(members) == len(self._kin[wider]):  # the same desks: taught already
                self._priors[key] = base
            else:
                self._priors[key] = pooled(parts[members], dated[members], base)

    def prior(self, number: int) -> Prior:
        """What is likely of a desk, by its place, from what its kin told so far."""
        return self._priors[self._key_of[number]]


def pooled(parts: Floats, dated: Floats, base: Prior) -> Prior:
    """What desks teach about each other, beside what ``base`` says already.

    ``parts``: desks × parts of the day, how surely a desk has dated openings there; ``dated``: of each desk
    the share of its openings that have a date, not a number for those that were seen open too seldom.
    """
    usual = _usual_day()
    near = parts.sum(axis=0)
    count = near.sum()
    phase = _DESKS * base.phase / PHASES + near.reshape(24, PHASES).sum(axis=0)
    phase *= PHASES / phase.sum()
    near = np.mean([np.roll(near, apart) for apart in range(-_SMOOTH, _SMOOTH + 1)], axis=0)
    day = (_DESKS * base.day * 1440 / PARTS + near) / (_DESKS + count) * PARTS / 1440
    told = dated[np.isfinite(dated)]
    share = (_DESKS * base.dated + told.sum()) / (_DESKS + len(told))
    return Prior(day=0.3 * usual + 0.7 * day, phase=phase, dated=float(np.clip(share, 0.1, 0.9)))
