"""Validation: nothing that contradicts itself goes further, and nothing is lost."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scrapy import Spider
from scrapy.exceptions import DropItem
from scrapy.utils.test import get_crawler

from guichets.items import Observation, Slot
from guichets.outcomes import Outcome
from pipelines.validate import CONTRADICTION, FARTHEST_SLOT, LONGEST_TEXT, ValidatePipeline, validate
from tests.observation_builders import OBSERVED_AT, build_observation

PARIS = ZoneInfo("Europe/Paris")
TOMORROW = datetime(2026, 3, 11, 9, tzinfo=PARIS)


def slots(*starts: datetime | date) -> tuple[Slot, ...]:
    return tuple(Slot(start) for start in starts)


def test_sane_observation_goes_through_untouched() -> None:
    observation = build_observation(
        slots=slots(TOMORROW, TOMORROW + timedelta(days=1)), horizon_end=date(2026, 3, 15)
    )
    assert validate(observation) == observation


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome is not Outcome.OFFERED])
def test_sane_observation_without_slots_goes_through_untouched(outcome: Outcome) -> None:
    observation = build_observation(outcome=outcome, counter_label="Guichet 4 B", note="a reason")
    assert validate(observation) == observation


@pytest.mark.parametrize(
    ("start", "kept"),
    [
        pytest.param(OBSERVED_AT - timedelta(hours=3), True, id="this-morning"),
        pytest.param(OBSERVED_AT - timedelta(days=1), True, id="yesterday"),
        pytest.param(OBSERVED_AT - timedelta(days=2), False, id="two-days-ago"),
        pytest.param(datetime(1973, 3, 3, tzinfo=UTC), False, id="nine-digits"),
        pytest.param(OBSERVED_AT + FARTHEST_SLOT, True, id="two-years-ahead"),
        pytest.param(OBSERVED_AT + FARTHEST_SLOT + timedelta(days=1), False, id="further"),
        pytest.param(datetime(2036, 3, 10, tzinfo=UTC), False, id="ten-years-ahead"),
        pytest.param(datetime(5138, 11, 16, tzinfo=UTC), False, id="eleven-digits"),
        pytest.param(date(2026, 3, 9), True, id="day-yesterday"),
        pytest.param(date(2026, 3, 8), False, id="day-before"),
        pytest.param(date(2036, 3, 10), False, id="day-in-ten-years"),
    ],
)
def test_slot_too_far_from_the_visit_is_left_out_and_told(start: datetime | date, kept: bool) -> None:
    checked = validate(build_observation(slots=slots(start, TOMORROW)))
    assert checked.outcome is Outcome.OFFERED
    assert set(checked.slots) == set(slots(start, TOMORROW) if kept else slots(TOMORROW))
    assert checked.first_slot == checked.slots[0].starts
    assert checked.second_slot == (checked.slots[1].starts if kept else None)
    if kept:
        assert checked.note is None
    else:
        assert checked.note == f"slot {start.isoformat()} left out: too far from the visit"


def test_offer_of_impossible_slots_only_is_unrecognised() -> None:
    checked = validate(build_observation(slots=slots(datetime(2036, 1, 1, tzinfo=UTC)), step="4"))
    assert (checked.outcome, checked.rule) == (Outcome.UNRECOGNISED, CONTRADICTION)
    assert checked.slots == ()
    assert (checked.first_slot, checked.second_slot, checked.slot_count) == (None, None, None)
    assert checked.note is not None
    assert checked.note.endswith("offered by ezbooking.test: every slot shown is too far from the visit")


@pytest.mark.parametrize("outcome", [Outcome.NONE, Outcome.CLOSED, Outcome.GONE])
def test_zero_with_slots_contradicts_itself_and_is_no_zero(outcome: Outcome) -> None:
    checked = validate(build_observation(outcome=outcome, slots=slots(TOMORROW)))
    assert (checked.outcome, checked.rule) == (Outcome.UNRECOGNISED, CONTRADICTION)
    assert checked.slots == ()
    assert checked.note == f"{outcome} by ezbooking.test: yet 1 slots were read"


def test_offer_whose_dates_are_not_shown_stays_an_offer() -> None:
    checked = validate(build_observation(outcome=Outcome.OFFERED, step="3"))
    assert (checked.outcome, checked.slot_count, checked.first_slot) == (Outcome.OFFERED, None, None)


@pytest.mark.parametrize("outcome", [Outcome.BLOCKED, Outcome.OVERLOADED, Outcome.OBSERVER_FAULT])
def test_failed_visit_keeps_its_outcome_and_shows_no_slot(outcome: Outcome) -> None:
    checked = validate(build_observation(outcome=outcome, slots=slots(TOMORROW)))
    assert (checked.outcome, checked.rule, checked.slots) == (outcome, "ezbooking.test", ())
    assert (checked.first_slot, checked.slot_count) == (None, None)


@pytest.mark.parametrize(
    ("count", "kept"), [(None, None), (2, 2), (29, 29), (1, 2), (0, 2), (-4, 2), (10_000_000, 2)]
)
def test_count_is_never_less_than_the_slots_seen_nor_absurd(count: int | None, kept: int | None) -> None:
    observation = build_observation(slots=slots(TOMORROW, TOMORROW + timedelta(hours=1)), slot_count=count)
    assert validate(observation).slot_count == kept


def test_first_and_second_are_the_earliest_of_the_slots_whatever_was_claimed() -> None:
    observation = build_observation(
        slots=slots(TOMORROW, TOMORROW + timedelta(hours=1)), first_slot=None, second_slot=TOMORROW
    )
    checked = validate(observation)
    assert (checked.first_slot, checked.second_slot) == (TOMORROW, TOMORROW + timedelta(hours=1))


def test_slots_out_of_order_or_twice_are_sorted_and_counted_once() -> None:
    later = TOMORROW + timedelta(hours=1)
    checked = validate(build_observation(slots=slots(later, TOMORROW, later.astimezone(UTC)), slot_count=3))
    assert [slot.starts for slot in checked.slots] == [TOMORROW, later]
    assert (checked.first_slot, checked.second_slot) == (TOMORROW, later)


def test_hours_of_the_october_night_stay_in_their_order() -> None:
    first = datetime(2026, 10, 25, 2, 30, tzinfo=PARIS)
    second = first.replace(fold=1)
    observation = build_observation(
        observed_at=datetime(2026, 10, 20, tzinfo=UTC), slots=slots(second, first)
    )
    checked = validate(observation)
    assert checked.first_slot is not None
    assert checked.second_slot is not None
    assert [slot.starts.isoformat() for slot in checked.slots] == [
        "2026-10-25T02:30:00+02:00",
        "2026-10-25T02:30:00+01:00",
    ]


def test_horizon_too_far_from_the_visit_is_left_out_and_told() -> None:
    checked = validate(build_observation(horizon_end=date(2062, 3, 10)))
    assert checked.horizon_end is None
    assert checked.note == "horizon 2062-03-10 left out: too far from the visit"


def test_reasons_are_added_to_the_note() -> None:
    checked = validate(build_observation(note="said before", horizon_end=date(1999, 1, 1)))
    assert checked.note == "said before; horizon 1999-01-01 left out: too far from the visit"


@pytest.mark.parametrize(
    ("label", "kept"),
    [
        (None, None),
        ("Guichet 4 B", "Guichet 4 B"),
        ("Gui\x00chet\x00", "Guichet"),
        ("Guichet \ud800", "Guichet ?"),
        ("x" * 10_000, "x" * LONGEST_TEXT),
    ],
)
def test_label_and_note_hold_only_what_a_table_can(label: str | None, kept: str | None) -> None:
    checked = validate(build_observation(counter="1", counter_label=label, note=label))
    assert (checked.counter_label, checked.note) == (kept, kept)


FAR = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=st.just(UTC))  # noqa: DTZ001
NEAR = st.datetimes(datetime(2026, 3, 1), datetime(2026, 4, 1), timezones=st.just(UTC))  # noqa: DTZ001
STARTS = st.one_of(
    FAR, NEAR, FAR.map(lambda instant: instant.date()), NEAR.map(lambda instant: instant.date())
)


@settings(derandomize=True, max_examples=300, deadline=None)
@given(
    outcome=st.sampled_from(Outcome),
    starts=st.lists(STARTS, max_size=5),
    count=st.one_of(st.none(), st.integers()),
    horizon=st.one_of(st.none(), st.dates()),
    label=st.one_of(st.none(), st.text()),
)
def test_whatever_comes_leaves_without_contradiction(
    outcome: Outcome, starts: list[Any], count: int | None, horizon: date | None, label: str | None
) -> None:
    observation = build_observation(
        outcome=outcome,
        slots=slots(*starts),
        slot_count=count,
        horizon_end=horizon,
        counter_label=label,
        first_slot=None,
        second_slot=None,
    )
    checked = validate(observation)
    assert (checked.id, checked.desk) == (observation.id, observation.desk)
    assert checked.outcome in {outcome, Outcome.UNRECOGNISED}
    assert not checked.slots or checked.outcome is Outcome.OFFERED
    assert checked.slot_count is None or checked.slot_count >= len(checked.slots) > 0
    assert validate(checked) == checked


# As a pipeline


def pipeline() -> ValidatePipeline:
    crawler = get_crawler(Spider)
    crawler.stats = crawler.stats or crawler._build_statscollector()  # type: ignore[attr-defined]
    return ValidatePipeline.from_crawler(crawler)


def test_same_observation_twice_is_dropped_once() -> None:
    stage = pipeline()
    observation = build_observation()
    assert stage.process_item(observation) == observation
    with pytest.raises(DropItem, match=rf"observation {observation.id} of {observation.desk} came twice"):
        stage.process_item(observation)
    assert isinstance(stage.process_item(build_observation()), Observation)


def test_anything_else_goes_through() -> None:
    assert pipeline().process_item({"not": "an observation"}) == {"not": "an observation"}
