"""Better, worse or the same: one period against another, with false alarms held down.

What is compared is how a desk fares from week to week, not the probes, which resemble their neighbours: a
desk whose habits have not changed still has good and bad weeks, and only a difference that these do not
explain is told. Desks of one group share their weeks (a site that is down, a holiday), so the group's weeks
are what varies, not its desks. The two means are compared by Welch's test; then, of everything compared at
once, only so many differences are kept that few of them may be false (Benjamini and Hochberg).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from guichets.statistics.facts import DeskDay, total
from guichets.statistics.figures import Floor, is_sufficient
from guichets.statistics.periods import Quarter, block_of

FALSE_ALARMS = 0.05  # at most so large a share of the differences told is false, on the average
FEWEST_WEEKS = 6  # with rated probes, in each period


class Verdict(StrEnum):
    """What became of a desk, or of a département."""

    WORSE = "worse"
    BETTER = "better"
    SAME = "same"  # no difference could be established
    INSUFFICIENT = "insufficient"


@dataclass(frozen=True, slots=True)
class Weeks:
    """One desk's rated probes and offers in each week of a period."""

    rated: tuple[int, ...]
    offered: tuple[int, ...]

    @property
    def share(self) -> float:
        return sum(self.offered) / sum(self.rated)


@dataclass(frozen=True, slots=True)
class Difference:
    """How a group of desks fared in a period, and in the one before."""

    desks: int  # those that were seen enough in both periods; only they are compared
    before: float | None  # mean of the desks' availability
    after: float | None
    chance: (
        float | None
    )  # of a difference at least as large if nothing had changed; None: not enough was seen


def weeks_of(days: Sequence[DeskDay], quarter: Quarter, floor: Floor) -> Weeks | None:
    """A desk's weeks in a quarter; None below the floor."""
    if not days or not is_sufficient(total(entry.counts for entry in days), floor):
        return None
    size = quarter.block_of(quarter.last) + 1
    rated, offered = [0] * size, [0] * size
    first, last = quarter.first, quarter.last
    for entry in days:
        block = block_of(entry.day, first, last)
        rated[block] += entry.counts.rated
        offered[block] += entry.counts.offered
    if sum(1 for probes in rated if probes) < FEWEST_WEEKS:
        return None
    return Weeks(tuple(rated), tuple(offered))


def compare(before: Mapping[str, Weeks], after: Mapping[str, Weeks]) -> Difference:
    """The desks that both periods know, each with the same weight."""
    common = sorted(before.keys() & after.keys())
    if not common:
        return Difference(0, None, None, None)
    first = _mean_and_error([before[desk] for desk in common])
    second = _mean_and_error([after[desk] for desk in common])
    return Difference(len(common), first[0], second[0], _welch(first, second))


def judge(differences: Mapping[str, Difference], false_alarms: float = FALSE_ALARMS) -> dict[str, Verdict]:
    """The verdict on each, all of them judged together."""
    told = benjamini_hochberg(
        {name: found.chance for name, found in differences.items() if found.chance is not None}, false_alarms
    )
    return {name: _verdict(found, is_told=name in told) for name, found in differences.items()}


def benjamini_hochberg(chances: Mapping[str, float], false_alarms: float) -> frozenset[str]:
    """The names whose difference is told."""
    ranked = sorted(chances.items(), key=lambda item: (item[1], item[0]))
    kept = 0
    for rank, (_, chance) in enumerate(ranked, start=1):
        if chance <= false_alarms * rank / len(ranked):
            kept = rank
    return frozenset(name for name, _ in ranked[:kept])


def student_two_sided(value: float, freedom: float) -> float:
    """How likely Student's law is further from 0 than ``value``."""
    if math.isinf(value):
        return 0.0
    return _incomplete_beta(freedom / (freedom + value * value), freedom / 2, 0.5)


def _verdict(found: Difference, *, is_told: bool) -> Verdict:
    if found.chance is None:
        return Verdict.INSUFFICIENT
    if not is_told or found.before is None or found.after is None:
        return Verdict.SAME
    return Verdict.WORSE if found.after < found.before else Verdict.BETTER


def _mean_and_error(desks: Sequence[Weeks]) -> tuple[float, float, int]:
    """Mean availability, variance of that mean from week to week, number of weeks."""
    shares = [desk.share for desk in desks]
    known = [(desk, share, sum(desk.rated)) for desk, share in zip(desks, shares, strict=True)]
    seen = 0
    squares = 0.0
    for week in range(len(desks[0].rated)):
        gaps = [
            (desk.offered[week] - share * desk.rated[week]) / rated
            for desk, share, rated in known
            if desk.rated[week]
        ]
        seen += bool(gaps)
        squares += (sum(gaps) / len(desks)) ** 2
    variance = squares * seen / (seen - 1) if seen > 1 else 0.0
    return sum(shares) / len(shares), variance, seen


def _welch(first: tuple[float, float, int], second: tuple[float, float, int]) -> float:
    (before, variance_before, weeks_before), (after, variance_after, weeks_after) = first, second
    variance = variance_before + variance_after
    if before == after:
        return 1.0
    if not variance:
        return 0.0
    freedom = variance**2 / (variance_before**2 / (weeks_before - 1) + variance_after**2 / (weeks_after - 1))
    return student_two_sided((after - before) / math.sqrt(variance), freedom)


def _incomplete_beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function, by its continued fraction (Lentz)."""
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(1 - x, b, a)
    front = math.exp(
        a * math.log(x)
        + b * math.log1p(-x)
        - math.log(a)
        - math.lgamma(a)
        - math.lgamma(b)
        + math.lgamma(a + b)
    )
    tiny = 1e-300
    result, c, d = 1.0, 1.0, 0.0
    for step in range(400):
        half = step // 2
        if step == 0:
            term = 1.0
        elif step % 2 == 0:
            term = half * (b - half) * x / ((a + 2 * half - 1) * (a + 2 * half))
        else:
            term = -(a + half) * (a + b + half) * x / ((a + 2 * half) * (a + 2 * half + 1))
        d = 1 / (1 + term * d or tiny)
        c = 1 + term / c or tiny
        result *= c * d
        if abs(1 - c * d) < 1e-12:
            break
    return front * (result - 1)
