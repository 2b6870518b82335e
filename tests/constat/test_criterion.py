"""The several-weeks criterion, case by case: what counts, what never does, where a week begins."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guichets.constat.attempts import COLUMN_OF, Attempt, Column, Days, Standing
from guichets.constat.criterion import Verdict, judge, monday_of, weeks_seen
from guichets.constat.watching import gaps_of, longest_without, tallies_of
from guichets.outcomes import Outcome

MONDAY = datetime(2026, 3, 2, 9, tzinfo=UTC)


def attempt(day: float, outcome: str = "none", **fields: Any) -> Attempt:
    """An attempt so many days after Monday 2 March 2026, 10 h in Paris."""
    known: dict[str, Any] = {
        "number": 1, "id": uuid4(), "at": MONDAY + timedelta(days=day), "outcome": Outcome(outcome),
        "rule": "x.y", "parser": "x@1", "purpose": "baseline", "standing": Standing.SEALED,
    }  # fmt: skip
    return Attempt(**known | fields)


def verdict(*attempts: Attempt, beside: tuple[datetime, ...] = ()) -> Verdict:
    return judge(weeks_seen(attempts, beside)).verdict


def test_two_weeks_at_least_seven_days_apart_meet_it() -> None:
    judgement = judge(weeks_seen([attempt(0), attempt(3), attempt(7)]))
    assert judgement.verdict is Verdict.MET
    assert judgement.weeks_without == (date(2026, 3, 2), date(2026, 3, 9))
    assert (judgement.attempts, judgement.apart) == (3, timedelta(days=7))


@pytest.mark.parametrize(
    "days",
    [
        pytest.param((0, 1, 2, 6.4), id="one-calendar-week"),
        pytest.param((3, 4, 5, 7), id="four-captures-over-five-days-in-two-calendar-weeks"),
        pytest.param((0, 6.99), id="two-weeks-a-minute-short-of-seven-days"),
        pytest.param((), id="nothing"),
    ],
)
def test_too_close_together_does_not(days: tuple[float, ...]) -> None:
    assert verdict(*[attempt(day) for day in days]) is Verdict.NOT_MET


def test_closed_by_the_administration_counts_like_nothing_free() -> None:
    assert verdict(attempt(0, "closed"), attempt(8)) is Verdict.MET


@pytest.mark.parametrize("outcome", [str(one) for one in Outcome if one not in ("none", "closed", "offered")])
def test_what_says_nothing_of_dates_never_counts(outcome: str) -> None:
    assert verdict(attempt(0), attempt(8, outcome), attempt(15, outcome)) is Verdict.NOT_MET


def test_one_offer_takes_its_week_out_and_is_told() -> None:
    judgement = judge(weeks_seen([attempt(0), attempt(8), attempt(9, "offered"), attempt(15)]))
    assert judgement.verdict is Verdict.MET_IN_SOME_WEEKS
    assert judgement.weeks_without == (date(2026, 3, 2), date(2026, 3, 16))
    assert judgement.weeks_with_offer == (date(2026, 3, 9),)
    assert verdict(attempt(0), attempt(8), attempt(9, "offered")) is Verdict.NOT_MET


def test_an_offer_of_the_same_week_out_of_the_period_takes_it_out_too() -> None:
    tried = [attempt(2), attempt(8), attempt(15)]
    assert verdict(*tried, beside=(MONDAY,)) is Verdict.MET_IN_SOME_WEEKS
    assert judge(weeks_seen(tried, [MONDAY])).weeks_without == (date(2026, 3, 9), date(2026, 3, 16))


def test_a_given_page_never_counts_for_it_and_its_offer_counts_against_it() -> None:
    assert verdict(attempt(0), attempt(8, purpose="contributed")) is Verdict.NOT_MET
    given_offer = attempt(9, "offered", purpose="contributed")
    assert verdict(attempt(0), attempt(8), given_offer, attempt(15)) is Verdict.MET_IN_SOME_WEEKS


@pytest.mark.parametrize(
    "standing", [Standing.PRUNED, Standing.BROKEN, Standing.ELSEWHERE, Standing.UNARCHIVED]
)
def test_what_cannot_be_shown_does_not_count_but_its_offer_does(standing: Standing) -> None:
    assert verdict(attempt(0), attempt(8, standing=standing)) is Verdict.NOT_MET
    offer = attempt(9, "offered", standing=standing)
    assert verdict(attempt(0), attempt(8), offer, attempt(15)) is Verdict.MET_IN_SOME_WEEKS


def test_a_day_not_sealed_yet_counts() -> None:
    assert verdict(attempt(0), attempt(8, standing=Standing.UNSEALED)) is Verdict.MET


@pytest.mark.parametrize(
    ("instant", "monday"),
    [
        pytest.param("2026-03-08T22:59:59+00:00", date(2026, 3, 2), id="sunday-night-winter"),
        pytest.param("2026-03-08T23:00:00+00:00", date(2026, 3, 9), id="midnight-in-paris-winter"),
        pytest.param("2026-03-29T21:59:59+00:00", date(2026, 3, 23), id="night-of-the-change-to-summer"),
        pytest.param("2026-03-29T22:00:00+00:00", date(2026, 3, 30), id="midnight-after-the-change"),
        pytest.param("2026-10-25T22:59:59+00:00", date(2026, 10, 19), id="night-of-the-change-to-winter"),
        pytest.param("2026-10-25T23:00:00+00:00", date(2026, 10, 26), id="midnight-after-that-change"),
        pytest.param("2025-12-31T12:00:00+00:00", date(2025, 12, 29), id="first-week-of-2026"),
    ],
)
def test_a_week_begins_on_monday_at_midnight_in_paris(instant: str, monday: date) -> None:
    assert monday_of(datetime.fromisoformat(instant)) == monday


@given(
    st.lists(
        st.tuples(
            st.floats(0, 60), st.sampled_from(list(Outcome)), st.sampled_from(list(Standing)),
            st.sampled_from(["baseline", "watch", "contributed"]),
        ),
        max_size=40,
    )
)  # fmt: skip
def test_adding_what_says_nothing_changes_no_verdict_and_offers_never_help(drawn: list[Any]) -> None:
    tried = sorted(
        (
            attempt(day, outcome, standing=standing, purpose=purpose)
            for day, outcome, standing, purpose in drawn
        ),
        key=lambda one: one.at,
    )
    said = [one for one in tried if one.is_without_date or one.is_offer]
    assert judge(weeks_seen(tried)) == judge(weeks_seen(said))
    offers = [one for one in tried if one.is_offer]
    if verdict(*tried) is Verdict.MET:
        assert not offers
    with_offers_everywhere = [*tried, *[attempt(day + 0.5, "offered") for day in range(62)]]
    assert verdict(*with_offers_everywhere) is Verdict.NOT_MET


def test_every_outcome_has_a_column_and_only_two_speak_of_absence() -> None:
    assert set(COLUMN_OF) == set(Outcome)
    silent = [outcome for outcome in Outcome if not attempt(0, outcome).is_without_date]
    assert set(Outcome) - set(silent) == {Outcome.NONE, Outcome.CLOSED}


def test_gaps_are_told_at_both_ends_and_our_failures_do_not_fill_them() -> None:
    days = Days(date(2026, 3, 2), date(2026, 3, 4))
    tried = [attempt(0.5), attempt(0.9, "observer_fault"), attempt(1.2, purpose="contributed"), attempt(2)]
    gaps = gaps_of(tried, days)
    assert [(gap.since, gap.until) for gap in gaps] == [
        (days.since, tried[0].at),
        (tried[0].at, tried[3].at),
        (tried[3].at, days.until),
    ]
    tallies = tallies_of(tried, days, gaps)
    assert [tally.attempts for tally in tallies] == [2]
    assert tallies[0].columns[Column.OURS] == 1
    assert tallies[0].contributed == 1
    assert tallies[0].blind == sum((gap.length for gap in gaps), timedelta())


def test_weeks_without_any_attempt_are_shown() -> None:
    days = Days(date(2026, 3, 4), date(2026, 3, 24))
    tallies = tallies_of([attempt(2)], days, gaps_of([attempt(2)], days))
    assert [(str(tally.first), str(tally.last), tally.attempts) for tally in tallies] == [
        ("2026-03-04", "2026-03-08", 1),
        ("2026-03-09", "2026-03-15", 0),
        ("2026-03-16", "2026-03-22", 0),
        ("2026-03-23", "2026-03-24", 0),
    ]
    assert tallies[1].blind == timedelta(days=7)


def test_the_longest_time_without_an_offer_ends_at_an_offer_and_where_nobody_looked() -> None:
    tried = [
        attempt(0),
        attempt(2),
        attempt(2.5, "offered"),
        attempt(3),
        attempt(5),
        attempt(6, "overloaded"),
    ]
    found = longest_without([*tried, attempt(7), attempt(10.5), attempt(11)])
    assert found is not None
    assert (found.since, found.until, found.attempts) == (tried[3].at, MONDAY + timedelta(days=7), 3)
    assert found.longest_pause == timedelta(days=2)
    assert longest_without([attempt(0, "captcha")]) is None
