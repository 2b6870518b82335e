"""How counters' outcomes make a desk's."""

from __future__ import annotations

from itertools import permutations, product

import pytest

from guichets.outcomes import GROUP_OF, RATED, Outcome, OutcomeGroup, best_of

O = Outcome  # noqa: E741 - a table is read more easily with short names


@pytest.mark.parametrize(
    ("counters", "desk"),
    [
        ([O.NONE], O.NONE),
        ([O.NONE, O.NONE, O.OFFERED], O.OFFERED),
        ([O.CLOSED] * 8 + [O.OFFERED], O.OFFERED),
        ([O.OBSERVER_FAULT, O.OFFERED], O.OFFERED),
        ([O.CLOSED, O.CLOSED, O.NONE], O.CLOSED),
        ([O.CLOSED, O.NONE], O.NONE),
        ([O.CLOSED, O.CLOSED, O.NONE, O.NONE, O.BLOCKED], O.NONE),
        ([O.BLOCKED, O.UNREACHABLE], O.BLOCKED),
        ([O.UNRECOGNISED, O.OVERLOADED], O.OVERLOADED),
        ([O.OBSERVER_FAULT, O.OBSERVER_FAULT, O.NONE], O.OBSERVER_FAULT),
        ([O.UNREACHABLE] * 3 + [O.NONE] * 2, O.UNREACHABLE),
    ],
)
def test_desk_takes_the_best_of_its_counters(counters: list[Outcome], desk: Outcome) -> None:
    assert best_of(counters) is desk


def test_order_of_the_counters_changes_nothing() -> None:
    for counters in product(Outcome, repeat=3):
        assert len({best_of(order) for order in permutations(counters)}) == 1


def test_any_offer_wins_and_none_is_never_made_up() -> None:
    for counters in product(Outcome, repeat=3):
        assert (best_of(counters) is O.OFFERED) == (O.OFFERED in counters)
        assert best_of(counters) in counters


def test_errors_never_become_a_zero() -> None:
    errors = [outcome for outcome in Outcome if outcome not in RATED]
    for counters in product(errors, repeat=2):
        assert best_of(counters) not in RATED


def test_desk_without_counters_has_its_own_outcome() -> None:
    with pytest.raises(ValueError, match="no counter outcome to choose from"):
        best_of([])


def test_every_outcome_has_a_column() -> None:
    assert set(GROUP_OF) == set(Outcome)
    assert set(GROUP_OF.values()) == set(OutcomeGroup)


def test_only_what_the_platform_says_enters_the_rate() -> None:
    assert set(RATED) == {O.OFFERED, O.NONE, O.CLOSED}
    assert all(GROUP_OF[outcome] == outcome.value for outcome in RATED)


def test_outcomes_are_the_words_of_the_design_in_their_order() -> None:
    assert [str(outcome) for outcome in Outcome] == [
        *("offered", "none", "open", "closed", "moved", "captcha", "blocked", "overloaded"),
        *("unreachable", "gone", "unrecognised", "observer_fault"),
    ]
