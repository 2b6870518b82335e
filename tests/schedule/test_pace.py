"""The pace of a host, as a table of instants."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guichets.schedule.pace import (
    BACK_OFF_LIMIT_SECONDS,
    JITTER,
    LONGEST_PATIENCE_SECONDS,
    RETRY_AFTER_LIMIT_SECONDS,
    Pace,
    read_retry_after,
    seconds_to_midnight,
)

PARIS = ZoneInfo("Europe/Paris")
NOON = datetime(2026, 3, 10, 12, tzinfo=PARIS)
MINUTE = 60.0
HOUR = 3600.0


def least(low: float, high: float) -> float:
    return low


def most(low: float, high: float) -> float:
    return high


def refuse(pace: Pace, now: float, wall: datetime, **more: float) -> float:
    """The seconds of pause that a refusal earns."""
    pace.note_refusal(now, wall, **more)
    return pace.paused_until - now


# The delay


@pytest.mark.parametrize("draw", [least, most])
def test_two_requests_are_never_closer_than_the_delay(draw: object) -> None:
    pace = Pace(10.0)
    pace.note_request(100.0, uniform=draw)  # type: ignore[arg-type]
    assert 10.0 <= pace.wait_seconds(100.0) <= 10.0 * (1 + JITTER[1])
    assert pace.wait_seconds(100.0 + 10.0 * (1 + JITTER[1])) == 0.0


def test_jitter_only_adds() -> None:
    assert 0 <= JITTER[0] < JITTER[1]


def test_fresh_pace_may_send_at_once() -> None:
    assert Pace(10.0).wait_seconds(0.0) == 0.0
    assert not Pace(10.0).is_paused(0.0)


def test_crawl_delay_slows_down_and_never_hurries() -> None:
    pace = Pace(10.0)
    pace.slow_down_to(30.0)
    pace.slow_down_to(5.0)
    pace.slow_down_to(0.0)
    assert pace.delay_seconds == 30.0


def test_answer_takes_nothing_from_the_wait_already_owed() -> None:
    pace = Pace(10.0)
    pace.note_request(0.0, uniform=most)
    owed = pace.wait_seconds(0.2)
    pace.note_answer(0.2)
    assert pace.wait_seconds(0.2) == owed


def test_a_late_answer_is_followed_by_a_whole_delay() -> None:
    """The host may have read the request late: seen from there, the next one is no closer than the delay."""
    pace = Pace(10.0)
    pace.note_request(0.0, uniform=least)
    pace.note_answer(8.0)
    assert pace.wait_seconds(8.0) == 10.0


# The back-off


def test_failures_in_a_row_double_the_delay_up_to_the_limit() -> None:
    pace = Pace(10.0)
    waits = []
    for count in range(12):
        now = count * 10_000.0
        pace.note_request(now, uniform=least)
        pace.note_failure(now)
        waits.append(pace.wait_seconds(now))
    assert waits[:4] == [20.0, 40.0, 80.0, 160.0]
    assert waits == sorted(waits)
    assert waits[-1] == pytest.approx(BACK_OFF_LIMIT_SECONDS, rel=JITTER[0])


def test_request_after_failures_waits_the_backed_off_delay_too() -> None:
    pace = Pace(10.0)
    pace.note_failure(0.0)
    pace.note_failure(0.0)
    pace.note_request(1000.0, uniform=least)
    assert pace.wait_seconds(1000.0) >= 40.0


def test_one_good_answer_ends_the_back_off() -> None:
    pace = Pace(10.0)
    for _ in range(5):
        pace.note_failure(0.0)
    pace.note_answer(5000.0)
    pace.note_request(5000.0, uniform=least)
    assert 10.0 <= pace.wait_seconds(5000.0) < 14.0


def test_back_off_never_goes_below_a_delay_longer_than_its_limit() -> None:
    pace = Pace(2 * BACK_OFF_LIMIT_SECONDS)
    pace.note_failure(0.0)
    pace.note_request(0.0, uniform=least)
    pace.note_failure(0.0)
    assert pace.wait_seconds(0.0) >= 2 * BACK_OFF_LIMIT_SECONDS


def test_failing_for_weeks_breaks_no_arithmetic() -> None:
    pace = Pace(10.0)
    for hour in range(3000):
        pace.note_request(hour * HOUR, uniform=least)
        pace.note_failure(hour * HOUR)
    assert pace.wait_seconds(2999 * HOUR) == pytest.approx(BACK_OFF_LIMIT_SECONDS, rel=JITTER[0])


def test_failure_asking_for_patience_is_waited_out() -> None:
    pace = Pace(10.0)
    pace.note_failure(0.0, retry_after_seconds=LONGEST_PATIENCE_SECONDS)
    assert pace.wait_seconds(0.0) == LONGEST_PATIENCE_SECONDS
    assert not pace.is_paused(0.0)


def test_failure_asking_for_longer_is_a_pause_that_blames_no_refusal() -> None:
    pace = Pace(10.0)
    pace.note_failure(0.0, retry_after_seconds=LONGEST_PATIENCE_SECONDS + 1)
    assert pace.is_paused(LONGEST_PATIENCE_SECONDS)
    assert not pace.is_paused(LONGEST_PATIENCE_SECONDS + 1)
    assert not pace.refused


# The pause


def test_pause_doubles_from_forty_minutes_then_ends_the_day() -> None:
    pace = Pace(10.0)
    assert refuse(pace, 0.0, NOON) == 40 * MINUTE
    assert refuse(pace, 1 * HOUR, NOON + timedelta(hours=1)) == 80 * MINUTE
    assert refuse(pace, 3 * HOUR, NOON + timedelta(hours=3)) == 9 * HOUR  # 15:00 to midnight


def test_third_strike_late_in_the_evening_still_pauses_for_its_own_length() -> None:
    pace = Pace(10.0, strikes=2, strikes_on=NOON.date())
    assert refuse(pace, 0.0, NOON.replace(hour=23, minute=50)) == 160 * MINUTE


def test_strikes_are_forgotten_at_midnight_in_paris() -> None:
    pace = Pace(10.0)
    late = NOON.replace(hour=23, minute=59)
    refuse(pace, 0.0, late)
    assert refuse(pace, 10 * HOUR, late + timedelta(minutes=2)) == 40 * MINUTE
    assert pace.strikes == 1


def test_day_of_the_strikes_is_that_of_paris_whatever_zone_the_clock_speaks() -> None:
    pace = Pace(10.0)
    pace.note_refusal(0.0, datetime(2026, 3, 10, 22, 59, tzinfo=UTC))
    pace.note_refusal(1.0, datetime(2026, 3, 10, 23, 1, tzinfo=UTC))  # 00:01 in Paris
    assert pace.strikes == 1


@pytest.mark.parametrize(
    ("wall", "seconds"),
    [
        pytest.param(datetime(2026, 3, 29, 0, 0, tzinfo=PARIS), 23 * HOUR, id="dst-day-march"),
        pytest.param(datetime(2026, 3, 29, 3, 0, tzinfo=PARIS), 21 * HOUR, id="dst-day-march-after-the-jump"),
        pytest.param(datetime(2026, 3, 28, 23, 0, tzinfo=PARIS), 1 * HOUR, id="eve-of-march"),
        pytest.param(datetime(2026, 10, 25, 0, 0, tzinfo=PARIS), 25 * HOUR, id="dst-day-october"),
        pytest.param(
            datetime(2026, 10, 25, 2, 30, tzinfo=PARIS), 22.5 * HOUR, id="october-first-half-past-two"
        ),
        pytest.param(
            datetime(2026, 10, 25, 2, 30, tzinfo=PARIS, fold=1),
            21.5 * HOUR,
            id="october-second-half-past-two",
        ),
        pytest.param(datetime(2026, 10, 24, 22, 0, tzinfo=UTC), 25 * HOUR, id="october-said-in-utc"),
        pytest.param(NOON, 12 * HOUR, id="ordinary-day"),
        pytest.param(datetime(2026, 12, 31, 23, 59, 59, tzinfo=PARIS), 1.0, id="last-second-of-the-year"),
    ],
)
def test_midnight_is_that_of_paris_on_days_of_23_and_25_hours(wall: datetime, seconds: float) -> None:
    assert seconds_to_midnight(wall) == seconds


@pytest.mark.parametrize(("month", "day", "hours"), [(3, 29, 22), (10, 25, 24)])
def test_third_strike_ends_a_dst_day_at_its_real_midnight(month: int, day: int, hours: int) -> None:
    wall = datetime(2026, month, day, 1, tzinfo=PARIS)
    pace = Pace(10.0, strikes=2, strikes_on=wall.date())
    assert refuse(pace, 0.0, wall) == hours * HOUR


def test_later_pause_is_never_cut_short_by_a_shorter_one() -> None:
    pace = Pace(10.0)
    refuse(pace, 0.0, NOON, retry_after_seconds=5 * HOUR)
    pace.note_failure(1.0, retry_after_seconds=10 * MINUTE)
    assert pace.paused_until == 5 * HOUR


def test_refusal_with_retry_after_pauses_at_least_that_long_and_at_least_forty_minutes() -> None:
    assert refuse(Pace(10.0), 0.0, NOON, retry_after_seconds=5.0) == 40 * MINUTE
    assert refuse(Pace(10.0), 0.0, NOON, retry_after_seconds=3 * HOUR) == 3 * HOUR


def test_enormous_retry_after_is_asked_again_in_a_week() -> None:
    assert refuse(Pace(10.0), 0.0, NOON, retry_after_seconds=1e12) == RETRY_AFTER_LIMIT_SECONDS


def test_refused_holds_during_the_pause_of_a_refusal() -> None:
    pace = Pace(10.0)
    refuse(pace, 0.0, NOON)
    pace.note_failure(1.0, retry_after_seconds=HOUR)
    assert pace.refused


def test_failure_long_after_a_refusal_is_not_a_refusal() -> None:
    pace = Pace(10.0)
    refuse(pace, 0.0, NOON)
    pace.note_failure(5 * HOUR, retry_after_seconds=HOUR)
    assert pace.is_paused(5 * HOUR)
    assert not pace.refused


# Retry-After


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("120", 120.0),
        (" 120 ", 120.0),
        ("0", 0.0),
        ("007", 7.0),
        ("-5", None),
        ("1.5", None),
        ("1e9", None),
        ("١٢٠", None),
        ("²", None),
        ("soon", None),
        ("9" * 400, 999_999_999.0),
        ("Tue, 10 Mar 2026 11:30:00 GMT", 1800.0),
        ("Tuesday, 10-Mar-26 11:30:00 GMT", 1800.0),
        ("Tue, 10 Mar 2026 12:30:00 +0100", 1800.0),
        ("Tue, 10 Mar 2026 10:00:00 GMT", 0.0),
        ("Tue, 10 Mar 2026 11:30:00", None),
        ("Tue, 32 Mar 2026 11:30:00 GMT", None),
        ("Tue, 10 Mar 99999 11:30:00 GMT", None),
        ("Tue, 10 Mar 2026 11:30:00 +9999", None),
    ],
)
def test_retry_after_is_a_number_or_a_date_or_nothing(value: str | None, seconds: float | None) -> None:
    assert read_retry_after(value, datetime(2026, 3, 10, 11, tzinfo=UTC)) == seconds


@settings(derandomize=True, max_examples=400, deadline=None)
@given(st.one_of(st.text(max_size=60), st.text("0123456789:,+- GMTJanFebMon", max_size=40)))
def test_retry_after_never_raises_and_never_goes_back(value: str) -> None:
    seconds = read_retry_after(value, datetime(2026, 3, 10, 11, tzinfo=UTC))
    assert seconds is None or 0.0 <= seconds < float("inf")


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["request", "answer", "failure", "refusal"]),
        st.floats(0, 100_000),
        st.one_of(st.none(), st.floats(0, 1e9)),
    ),
    max_size=40,
)


@settings(derandomize=True, max_examples=200, deadline=None)
@given(EVENTS, st.floats(0, 5000))
def test_whatever_happens_a_request_is_never_sooner_than_the_delay(
    events: list[tuple[str, float, float | None]], delay: float
) -> None:
    pace = Pace(delay)
    now, ready, paused = 0.0, 0.0, 0.0
    for name, step, asked in events:
        now += step
        if name == "request":
            pace.note_request(now, uniform=least)
            assert pace.wait_seconds(now) >= delay - 1e-6
        elif name == "answer":
            pace.note_answer(now)
        elif name == "failure":
            pace.note_failure(now, retry_after_seconds=asked)
        else:
            pace.note_refusal(now, NOON + timedelta(seconds=now), retry_after_seconds=asked)
            assert pace.is_paused(now + 40 * MINUTE - 1)
        if name != "request":  # what is owed is never taken back
            assert pace.ready_at >= ready
        assert pace.paused_until >= paused
        ready, paused = pace.ready_at, pace.paused_until
