from __future__ import annotations

from random import Random

import pytest

from guichets.statistics.comparison import (
    Difference,
    Verdict,
    Weeks,
    benjamini_hochberg,
    compare,
    judge,
    student_two_sided,
)


def weeks(*offered: int, probes: int = 126) -> Weeks:
    return Weeks((probes,) * len(offered), offered)


def drawn(mean: float, fate: Random) -> Weeks:
    """Thirteen weeks that differ as releases do: most near nothing, some good."""
    return weeks(*(min(126, int(fate.expovariate(1 / (126 * mean)))) for _ in range(13)))


@pytest.mark.parametrize(
    ("value", "freedom", "chance"),
    [(2.0, 10, 0.07339), (5.0, 24, 4.157e-5), (0.1, 3, 0.92665), (0.0, 5, 1.0)],
)
def test_student_is_that_of_the_tables(value: float, freedom: float, chance: float) -> None:
    assert student_two_sided(value, freedom) == pytest.approx(chance, rel=1e-3)


def test_benjamini_and_hochberg_keep_what_their_example_keeps() -> None:
    chances = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719]
    chances += [0.6528, 0.7590, 1.0]
    kept = benjamini_hochberg({str(place): chance for place, chance in enumerate(chances)}, 0.05)
    assert kept == {"0", "1", "2", "3"}


def test_a_collapse_is_worse_and_its_reverse_better() -> None:
    good, bad = weeks(*[120, 118, 121] * 4, 119), weeks(*[1, 0, 2] * 4, 1)
    verdicts = judge({"a": compare({"d": good}, {"d": bad}), "b": compare({"d": bad}, {"d": good})})
    assert verdicts == {"a": Verdict.WORSE, "b": Verdict.BETTER}


def test_only_desks_seen_in_both_periods_are_compared() -> None:
    one = weeks(*[10] * 13)
    assert compare({"a": one, "b": one}, {"b": one, "c": one}).desks == 1
    assert compare({"a": one}, {"b": one}) == Difference(0, None, None, None)
    assert judge({"x": compare({}, {"b": one})}) == {"x": Verdict.INSUFFICIENT}


def test_nothing_ever_offered_twice_is_the_same() -> None:
    assert judge({"x": compare({"a": weeks(*[0] * 13)}, {"a": weeks(*[0] * 13)})}) == {"x": Verdict.SAME}


def test_false_alarms_over_101_departements_stay_rare() -> None:
    """Nothing changed in any of them: hardly a country in twenty may hear of one."""
    alarms = 0
    for country in range(60):
        fate = Random(f"{country}/alarms")
        means = [fate.choice((0.005, 0.02, 0.1, 0.4)) for _ in range(101)]
        differences = {
            str(place): compare({"d": drawn(mean, fate)}, {"d": drawn(mean, fate)})
            for place, mean in enumerate(means)
        }
        alarms += any(told is not Verdict.SAME for told in judge(differences).values())
    assert alarms <= 6  # 3 expected at most


def test_real_changes_are_told() -> None:
    fate = Random("changes")
    differences = {
        str(place): compare({"d": drawn(0.4, fate)}, {"d": drawn(0.4 if place % 2 else 0.01, fate)})
        for place in range(40)
    }
    verdicts = judge(differences)
    assert sum(verdicts[str(place)] is Verdict.WORSE for place in range(0, 40, 2)) >= 18
