from __future__ import annotations

import math

import pytest

from guichets.sandbox.world import Temper
from guichets.statistics.intervals import Pairs, Slots, error_factor, forgetting_rate, pooled, wilson
from tests.statistics.truth import trial

SLOTS = Slots()


@pytest.mark.parametrize(
    ("share", "probes", "low", "high"),
    [(0.1, 100, 0.0552, 0.1744), (0.0, 30, 0.0, 0.1135), (1.0, 30, 0.8865, 1.0), (0.5, 10, 0.2366, 0.7634)],
    ids=["textbook", "nothing-found", "always-found", "few"],
)
def test_wilson_gives_the_known_bounds(share: float, probes: int, low: float, high: float) -> None:
    found = wilson(share, probes)
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


def test_no_probe_says_nothing() -> None:
    assert wilson(0.0, 0).high == 1.0


def test_a_desk_that_changes_seldom_is_known_better_than_by_independent_probes() -> None:
    numbers = {"rated": 1638, "night": 273, "due": 1638, "slots": SLOTS}
    slow = Pairs(day=1274, edge=182, night=182, gaps=(0.9, 1.1, 1.0, 0.8, 1.2, 0.4))
    quick = Pairs(day=1274, edge=182, night=182, gaps=tuple(0.1 + 0.05 * n for n in range(30)) * 24)
    assert error_factor(0.5, pairs=slow, **numbers) < 0.02  # type: ignore[arg-type]
    assert error_factor(0.5, pairs=quick, **numbers) > 0.8  # type: ignore[arg-type]


def test_few_changes_leave_the_widest_interval() -> None:
    pairs = Pairs(day=1000, edge=100, night=100, gaps=(1.0, 1.0, 1.0))
    assert math.isinf(forgetting_rate(0.01, pairs, SLOTS))
    assert error_factor(0.01, rated=1200, night=200, due=1638, pairs=pairs, slots=SLOTS) == 1.0


def test_missed_slots_widen_the_interval() -> None:
    pairs = Pairs(day=1274, edge=182, night=182, gaps=(0.9, 1.1, 1.0, 0.8, 1.2, 0.4))
    whole = error_factor(0.5, rated=1638, night=273, due=1638, pairs=pairs, slots=SLOTS)
    holes = error_factor(0.5, rated=1200, night=200, due=1638, pairs=pairs, slots=SLOTS)
    assert holes > 10 * whole


def test_desks_together_weigh_by_their_probes() -> None:
    found = pooled([(0.2, 100, 1.0), (0.6, 300, 1.0), (0.9, 0, 1.0)])
    assert found is not None
    assert found.value == pytest.approx(0.5)
    assert pooled([]) is None


def test_intervals_hold_the_truth_of_simulated_desks() -> None:
    """The whole of it is in ``make bench``; here twelve desks of each temper, whose seeds are fixed."""
    trials = [trial(temper, seed=seed) for temper in Temper for seed in range(12)]
    assert sum(one.is_covered for one in trials) >= 44  # of 48: fewer than 45 has a chance of 3 % at 95 %
    assert all(one.told.high - one.told.low < 0.05 for one in trials)
