"""How sure a share is: Wilson's interval, on the number of independent probes the real ones are worth.

Baseline probes fall one in each slot, at a random instant of it. What a probe leaves unknown is only how the
rest of its own slot was: the share of a desk that changes seldom is known far better than by as many probes
at any time, that of a desk that opens for minutes just as well. How fast a desk changes is read off the
probes themselves: how often two consecutive ones differ, and how far apart those that differ are.

Let a desk forget its state at the rate ``k`` per hour: two instants ``h`` hours apart differ
``2 p (1 - p) (1 - exp(-k h))`` of the time. Then, for slots of ``L`` hours:

- two consecutive probes differ ``2 p (1 - p) (1 - f(k L) f(k L'))`` of the time, f(x) = (1 - exp(-x)) / x;
- one probe's error has the variance ``p (1 - p) g(k L)``, g(x) = 1 - 2 (x - 1 + exp(-x)) / x².

``k`` is the most likely one; g then says how many independent probes the real ones are worth.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

Z95 = 1.959963984540054  # of the normal law, for 95 %
FEWEST_CHANGES = 4  # with fewer, probes count as independent: the widest answer
_SLOWEST, _FASTEST = 1e-5, 1e2  # forgettings per hour between which the rate is looked for


@dataclass(frozen=True, slots=True)
class Share:
    """A share with its 95 % interval."""

    value: float
    low: float
    high: float

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.value <= self.high <= 1:
            raise ValueError(f"not a share in its interval: {self.low} ≤ {self.value} ≤ {self.high}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Consecutive baseline probes that both count, by the kind of slot they fell in."""

    day: int = 0  # both by day
    edge: int = 0  # one by day, one at night
    night: int = 0
    gaps: tuple[
        float, ...
    ] = ()  # hours between the two, for those of which one found an offer, the other none


@dataclass(frozen=True, slots=True, kw_only=True)
class Slots:
    """Length of the baseline slots, in hours."""

    day: float = 1.0
    night: float = 3.0


def wilson(share: float, probes: float) -> Share:
    """Wilson's score interval of ``share`` seen in that many independent probes, a fraction allowed."""
    if probes <= 0:
        return Share(share, 0.0, 1.0)
    spread = Z95 * Z95 / probes
    middle = (share + spread / 2) / (1 + spread)
    half = Z95 / (1 + spread) * math.sqrt(share * (1 - share) / probes + spread / (4 * probes))
    return Share(share, min(share, max(0.0, middle - half)), max(share, min(1.0, middle + half)))


def error_factor(share: float, *, rated: int, night: int, due: int, pairs: Pairs, slots: Slots) -> float:
    """Variance of the error of a desk's share over that of as many independent probes.

    ``rated`` probes, ``night`` of them at night, of ``due`` slots. Slots without an answer are taken as
    missing by chance: they are known as those of independent probes are.
    """
    rate = forgetting_rate(share, pairs, slots)
    if math.isinf(rate):
        return 1.0
    within = ((rated - night) * _within(rate * slots.day) + night * _within(rate * slots.night)) / rated
    answered = min(1.0, rated / max(due, rated))
    return max(1 - answered + answered * within, 1e-9)


def forgetting_rate(share: float, pairs: Pairs, slots: Slots) -> float:
    """How often per hour a desk forgets its state; infinity where that cannot be told."""
    unlike = 2 * share * (1 - share)
    if len(pairs.gaps) < FEWEST_CHANGES or not unlike:
        return math.inf
    counted: dict[float, int] = {}
    for gap in pairs.gaps:
        counted[gap] = counted.get(gap, 0) + 1

    def likelihood(rate: float) -> float:
        day, night = _kept(rate * slots.day), _kept(rate * slots.night)
        expected = (
            pairs.day * (1 - day * day) + pairs.edge * (1 - day * night) + pairs.night * (1 - night * night)
        )
        seen = sum(times * math.log(-math.expm1(-rate * gap)) for gap, times in counted.items())
        return seen - unlike * expected

    return _highest(likelihood, math.log(_SLOWEST), math.log(_FASTEST))


def _highest(likelihood: Callable[[float], float], low: float, high: float) -> float:
    """Where a likelihood with one summit is highest, between two logarithms; infinity at the upper end."""
    end = high
    for _ in range(36):
        third = (high - low) / 3
        if likelihood(math.exp(low + third)) < likelihood(math.exp(high - third)):
            low += third
        else:
            high -= third
    return math.inf if end - high < 1e-3 else math.exp((low + high) / 2)


def pooled(shares: Iterable[tuple[float, int, float]]) -> Share | None:
    """The share of several desks together; of each: its share, its rated probes, its error factor.

    Each desk's probes fall at random instants of their own, so that their errors are independent.
    """
    known = [(share, rated, factor) for share, rated, factor in shares if rated]
    total = sum(rated for _, rated, _ in known)
    if not total:
        return None
    value = min(1.0, sum(share * rated for share, rated, _ in known) / total)
    variance = sum(share * (1 - share) * factor * rated for share, rated, factor in known) / total**2
    if not variance or not 0 < value < 1:
        return wilson(value, total)
    return wilson(value, value * (1 - value) / variance)


def _within(forgettings: float) -> float:
    if forgettings < 1e-3:
        return forgettings / 3
    return 1 - 2 * (forgettings - 1 + math.exp(-forgettings)) / forgettings**2


def _kept(forgettings: float) -> float:
    return 1.0 if forgettings < 1e-9 else -math.expm1(-forgettings) / forgettings
