"""How long openings of a desk last, from visits that found it open and the visits that followed.

An open desk closes at the rate 1 ÷ length; a later visit finds it open because it stayed so, or because it
opened again. Few pairs say little: the answer then stays near what other desks' openings last.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from guichets.schedule.watch.arrays import Bools, Floats

GRID = np.asarray([2.0, 3, 4, 5, 6.5, 8, 10, 13, 17, 23, 32, 50, 90, 200, 480, 1200, 3000, 10_000, 40_000])
MOST_PAIRS = 150
USUAL_MINUTES = 6.0
_PRIOR_WIDTH = 0.9  # standard deviation of the logarithm of lengths between desks
_LOG = np.log(GRID)


@dataclass(frozen=True, slots=True)
class Length:
    """Mean length of openings in minutes, and on how many endings it rests."""

    minutes: float
    evidence: int


def fit_length(times: Floats, offered: Bools, *, usual_minutes: float) -> Length:
    """``times`` in unix seconds, in order; ``usual_minutes``: what is likely before anything is known."""
    prior = -0.5 * ((_LOG - np.log(usual_minutes)) / _PRIOR_WIDTH) ** 2
    before = np.flatnonzero(offered[:-1])[-MOST_PAIRS:]
    if not len(before):
        return Length(usual_minutes, 0)
    gaps = (times[before + 1] - times[before]) / 60
    stayed = offered[before + 1]
    shut = ~offered[:-1]
    reopened = (np.count_nonzero(offered[1:] & shut) + 0.2) / (np.count_nonzero(shut) + 10.0)
    still = np.exp(-gaps[None, :] / GRID[:, None])
    open_again = np.clip(still + (1 - still) * min(reopened, 0.9), 1e-6, 1 - 1e-6)
    likelihood = prior + np.where(stayed[None, :], np.log(open_again), np.log1p(-open_again)).sum(axis=1)
    weights = np.exp(likelihood - likelihood.max())
    minutes = float(np.exp(np.dot(weights, _LOG) / weights.sum()))
    return Length(minutes, int(np.count_nonzero(~stayed)))
