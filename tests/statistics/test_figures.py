from __future__ import annotations

from datetime import date, timedelta

import pytest

from guichets.errors import ArgumentError
from guichets.statistics.delays import delay_of, duration_of, quantile
from guichets.statistics.facts import Counts, DeskDay, total
from guichets.statistics.figures import (
    Floor,
    chance_of,
    desk_figures,
    group_figures,
    human_shares,
    longest_without_offer,
)
from guichets.statistics.periods import (
    Month,
    Quarter,
    Week,
    block_of,
    quarter_of,
    quarters_between,
    read_quarter,
)
from guichets.statistics.streaks import Kind, notices_of

Q2 = Quarter(2026, 2)


def day(number: int, *, offered: int = 0, none: int = 18, due: int = 18, **counts: int) -> DeskDay:
    """The n-th day of the quarter."""
    seen = Counts(slots_due=due, observed=offered + none, offered=offered, none=none, **counts)
    return DeskDay(Q2.first + timedelta(days=number), seen)


def test_below_the_floor_nothing_is_told_and_nothing_is_zero() -> None:
    few = desk_figures([day(0, none=18)], Q2, Floor())
    blind = desk_figures([day(n, none=10) for n in range(60)], Q2, Floor())
    for found in (few, blind):
        assert not found.sufficient
        assert found.availability is None
        assert found.share_of_time is None
        assert not found.never_offered
        assert found.chances == {}
    group = group_figures([few, blind], Floor())
    assert group.availability is None


def test_errors_enter_no_availability() -> None:
    days = [day(n, offered=2, none=10, overloaded=3, captcha=2, unrecognised=1) for n in range(30)]
    found = desk_figures(days, Q2, Floor())
    assert found.availability is not None
    assert found.availability.value == pytest.approx(2 / 12)
    assert found.dysfunction == pytest.approx(3 / 18)
    assert found.barrier == pytest.approx(2 / 18)
    assert found.coverage == pytest.approx(12 / 18)


def test_closed_counts_against_availability_and_is_told_apart() -> None:
    found = desk_figures([day(n, offered=3, none=6, closed=9) for n in range(30)], Q2, Floor(coverage=0.4))
    assert found.availability is not None
    assert found.availability.value == pytest.approx(3 / 18)
    assert found.closed == pytest.approx(0.5)


def test_a_night_probe_stands_for_three_hours() -> None:
    # by day always, at night never: 15 h of 24, though 15 probes of 18
    days = [day(n, offered=15, none=3, rated_night=3) for n in range(40)]
    found = desk_figures(days, Q2, Floor())
    assert found.availability is not None
    assert found.share_of_time is not None
    assert found.availability.value == pytest.approx(15 / 18)
    assert found.share_of_time.value == pytest.approx(15 / 24)


def test_offers_of_one_week_help_nobody_in_the_others() -> None:
    spread = [day(n, tried_human=12, offered_human=1) for n in range(91)]
    heaped = [day(n, tried_human=12, offered_human=12 if n < 7 else 0) for n in range(91)]
    assert chance_of(human_shares(spread, Q2), 7) == pytest.approx(1 - (11 / 12) ** 7)
    assert chance_of(human_shares(heaped, Q2), 7) == pytest.approx(1 / 13)


def test_longest_time_without_offer_spans_short_blindness_only() -> None:
    assert longest_without_offer([day(n) for n in range(20)]) == 20
    assert longest_without_offer([day(n, offered=n == 5) for n in range(20)]) == 14
    assert longest_without_offer([day(n) for n in range(20) if n not in {8, 9}]) == 20
    assert longest_without_offer([day(n) for n in range(20) if n not in {6, 7, 8, 9, 10}]) == 9
    assert longest_without_offer([]) == 0


def test_notices_tell_a_month_without_offer_and_the_end_of_it() -> None:
    days = [day(n, offered=n in {0, 40}) for n in range(60)]
    told = list(notices_of(days))
    assert [(one.kind, (one.day - Q2.first).days, one.days) for one in told] == [
        (Kind.DRY, 30, 30),
        (Kind.BACK, 40, 39),
    ]


def test_no_notice_when_nobody_looked() -> None:
    assert list(notices_of([day(n) for n in range(60) if n % 10 < 5])) == []


def test_delays_have_median_and_ninth_decile() -> None:
    assert quantile({1: 5, 10: 4, 90: 1}, 0.5) == 1
    assert quantile({1: 5, 10: 4, 90: 1}, 0.9) == 10
    found = delay_of({10: 6, 70: 4}, limit_days=60)
    assert found is not None
    assert (found.median, found.p90, found.beyond) == (10, 70, 0.4)
    assert delay_of({10: 4}, limit_days=60) is None


def test_length_of_openings_lies_between_the_medians_of_its_bounds() -> None:
    found = duration_of([(0, 120), (0, 130), (60, 200), (300, 400), (0, 110)])
    assert found is not None
    assert (found.at_least_minutes, found.at_most_minutes) == (0, 130)
    assert duration_of([(0, 1)] * 4) is None


def test_sums_keep_gaps() -> None:
    assert total([Counts(offered=1, gap_minutes=(3,)), Counts(offered=2, gap_minutes=(9,))]).gap_minutes == (
        3,
        9,
    )
    assert total([]).rated == 0


@pytest.mark.parametrize("text", ["2026-Q5", "2026", "Q3", "", "1999-Q1", "2026-Q3; DROP"])
def test_a_period_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ArgumentError, match="write 2026-Q3"):
        read_quarter(text)


def test_quarters_follow_each_other() -> None:
    assert read_quarter("2026-t3") == Quarter(2026, 3)
    assert (Quarter(2026, 1).before, Quarter(2025, 4).after) == (Quarter(2025, 4), Quarter(2026, 1))
    assert (Q2.last, Q2.days, Q2.year_before) == (date(2026, 6, 30), 91, Quarter(2025, 2))
    assert list(quarters_between(date(2025, 12, 31), date(2026, 4, 1))) == [
        Quarter(2025, 4),
        Quarter(2026, 1),
        Q2,
    ]
    assert quarter_of(date(2026, 6, 30)) == Q2
    assert Q2.block_of(Q2.last) == 12
    assert Quarter(2026, 3).block_of(date(2026, 9, 30)) == 12  # 92 days: the last belongs to the last block
    february = Month(date(2026, 2, 1))
    assert block_of(date(2026, 2, 28), february.first, february.last) == 3
    assert (str(Week(date(2026, 12, 28))), Week(date(2026, 12, 28)).last) == ("2026-W53", date(2027, 1, 3))
