"""Honesty of the statistics, measured: do intervals hold the truth, do comparisons cry wolf?"""

from __future__ import annotations

from collections import Counter
from random import Random

from guichets.sandbox.world import Temper
from guichets.sandbox.year import SimulatedDesk, Story, _slots, draw_desks
from guichets.statistics.comparison import Verdict, compare, judge, weeks_of
from guichets.statistics.figures import Floor
from guichets.statistics.periods import Quarter
from tests.statistics.truth import probed, trial

TRIALS = 50  # of each temper: 200 desk-quarters
COUNTRIES = 30
DEPARTEMENTS = 101
BEFORE, AFTER = Quarter(2026, 1), Quarter(2026, 2)


def main() -> None:
    print("statistics")
    _intervals(missed=0.0)
    _intervals(missed=0.03)
    _intervals(missed=0.2)
    _comparisons()


def _intervals(missed: float) -> None:
    held: Counter[Temper] = Counter()
    bias = width = 0.0
    for temper in Temper:
        for seed in range(TRIALS):
            one = trial(temper, seed=1000 + seed, missed=missed)
            held[temper] += one.is_covered
            bias += one.told.value - one.truth
            width += one.told.high - one.told.low
    trials = TRIALS * len(Temper)
    by_temper = ", ".join(f"{temper} {held[temper] / TRIALS:.0%}" for temper in Temper)
    print(
        f"  {trials} desk-quarters, {missed:.0%} of slots missed: intervals hold the truth in "
        f"{sum(held.values()) / trials:.1%} ({by_temper}); goal 93 to 97 %"
    )
    print(f"    mean error {bias / trials:+.5f}, mean width {width / trials:.4f}")


def _comparisons() -> None:
    """Where no desk changed its habits, how often is a département told to be worse or better?"""
    alarms = told = found = changed = 0
    for country in range(COUNTRIES):
        differences = {}
        for place in range(DEPARTEMENTS):
            fate = Random(f"{country}/{place}")
            is_changed = place < 10 and country % 2 == 1
            story = Story(
                name="bench",
                temper=fate.choice([*Temper]) if not is_changed else Temper.STEADY,
                then=Temper.SCARCE if is_changed else None,
                turn=90 / 181,
            )
            desk = _desk(story, seed=10_000 + 200 * country + place)
            weeks = _weeks(desk)
            differences[str(place)] = compare(*weeks)
        verdicts = judge(differences)
        unlike = {name for name, verdict in verdicts.items() if verdict in {Verdict.WORSE, Verdict.BETTER}}
        if country % 2 == 0:
            alarms += bool(unlike)
        else:
            changed += 10
            found += len(unlike & {str(place) for place in range(10)})
            told += len(unlike)
    quiet = (COUNTRIES + 1) // 2
    print(
        f"  {quiet} countries of {DEPARTEMENTS} départements where nothing changed: {alarms} with a false "
        "alarm; goal 5 % at most"
    )
    print(f"    where ten became worse: {found} of {changed} told; {told - found} of {told} told are false")


def _desk(story: Story, *, seed: int) -> SimulatedDesk:
    (desk,) = draw_desks(seed=seed, desks=1, first=BEFORE.first, last=AFTER.last, stories=[story])
    return desk


def _weeks(desk: SimulatedDesk) -> tuple[dict[str, object], dict[str, object]]:
    days = probed(desk, list(_slots(desk)), desk.offers(), missed=0.03, fate=Random(desk.seed))
    first = [entry for entry in days if entry.day <= BEFORE.last]
    second = [entry for entry in days if entry.day > BEFORE.last]
    return {"d": weeks_of(first, BEFORE, Floor())}, {"d": weeks_of(second, AFTER, Floor())}


if __name__ == "__main__":
    main()
