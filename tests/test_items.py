"""Observations: their identifiers, what they refuse to hold, and how they are exported."""

from __future__ import annotations

import json
import time
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guichets.items import (
    EXPORT_FIELDS,
    Evidence,
    Slot,
    counter_observation_id,
    new_probe_id,
)
from guichets.outcomes import Outcome
from tests.observation_builders import OBSERVED_AT, build_observation

PARIS = ZoneInfo("Europe/Paris")


def milliseconds(value: UUID) -> int:
    return value.int >> 80


# Identifiers


def test_probe_id_is_a_uuid7_of_now() -> None:
    before = time.time_ns() // 1_000_000
    probe = new_probe_id()
    assert (probe.version, probe.variant) == (7, "specified in RFC 4122")
    assert before <= milliseconds(probe) <= time.time_ns() // 1_000_000


def test_probe_ids_grow_and_never_repeat() -> None:
    probes = [new_probe_id() for _ in range(5000)]
    assert len(set(probes)) == len(probes)
    assert probes == sorted(probes)


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.text(max_size=40), st.text(max_size=40))
def test_counter_ids_are_uuid7s_of_the_probe_and_the_counter_alone(first: str, second: str) -> None:
    probe = UUID("0197a7b0-0000-7000-8000-000000000001")
    identifier = counter_observation_id(probe, first)
    assert identifier == counter_observation_id(probe, first)
    assert (identifier.version, identifier.variant) == (7, "specified in RFC 4122")
    assert milliseconds(identifier) == milliseconds(probe)
    assert identifier != probe
    assert (identifier == counter_observation_id(probe, second)) == (first == second)
    assert identifier != counter_observation_id(new_probe_id(), first)


# Refusals


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"observed_at": datetime(2026, 3, 10)}, "observed_at .* has no time zone"),  # noqa: DTZ001
        ({"purpose": "curiosity"}, "purpose 'curiosity' is not one of"),
        ({"outcome": "none"}, "'none' is not an Outcome"),
        ({"rule": ""}, "an outcome needs the rule that decided it"),
    ],
)
def test_observation_refuses_nonsense(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_observation(**fields)


def test_slot_refuses_an_instant_without_zone() -> None:
    with pytest.raises(ValueError, match="has no time zone"):
        Slot(datetime(2026, 3, 10, 9))  # noqa: DTZ001
    assert Slot(date(2026, 3, 10)).starts == date(2026, 3, 10)


def test_observation_never_changes() -> None:
    with pytest.raises(AttributeError):
        build_observation().outcome = Outcome.OFFERED  # type: ignore[misc]


# Export


def test_exported_line_holds_the_fields_of_the_design_in_their_order() -> None:
    assert (
        *("id", "desk", "counter", "counter_label", "family", "departement", "observed_at", "outcome"),
        *("rule", "purpose", "step", "first_slot", "second_slot", "slot_count", "horizon_end"),
        *("http_status", "latency_ms", "requests", "evidence", "parser", "worker"),
    ) == EXPORT_FIELDS
    observation = build_observation(
        slots=(Slot(datetime(2026, 3, 17, 9, tzinfo=PARIS)), Slot(date(2026, 3, 18))),
        evidence=(Evidence("https://www.example.fr/booking/create/1", 200, "ab" * 32, 1200),),
        horizon_end=date(2026, 3, 22),
        note="kept inside",
    )
    line = observation.exported()
    assert tuple(line) == EXPORT_FIELDS
    assert json.loads(json.dumps(line)) == line
    assert (line["id"], line["outcome"]) == (str(observation.id), "offered")
    assert line["observed_at"] == OBSERVED_AT.isoformat()
    assert (line["first_slot"], line["second_slot"]) == ("2026-03-17T09:00:00+01:00", "2026-03-18")
    assert line["horizon_end"] == "2026-03-22"
    assert line["evidence"][0]["sha256"] == "ab" * 32
    assert "kept inside" not in json.dumps(line)


@pytest.mark.parametrize(
    ("zone", "instant", "exported"),
    [
        ("Europe/Paris", "2026-03-29T00:59:00Z", "2026-03-29T01:59:00+01:00"),
        ("Europe/Paris", "2026-03-29T01:00:00Z", "2026-03-29T03:00:00+02:00"),
        ("Europe/Paris", "2026-10-25T00:30:00Z", "2026-10-25T02:30:00+02:00"),
        ("Europe/Paris", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00+01:00"),
        ("America/Martinique", "2026-03-29T01:00:00Z", "2026-03-28T21:00:00-04:00"),
        ("America/Cayenne", "2026-10-25T01:30:00Z", "2026-10-24T22:30:00-03:00"),
        ("Indian/Reunion", "2026-10-25T00:30:00Z", "2026-10-25T04:30:00+04:00"),
        ("Indian/Mayotte", "2026-03-29T01:00:00Z", "2026-03-29T04:00:00+03:00"),
        ("America/Miquelon", "2026-03-08T05:00:00Z", "2026-03-08T03:00:00-02:00"),
    ],
)
def test_exported_slot_keeps_its_instant_and_its_zone_on_dst_nights(
    zone: str, instant: str, exported: str
) -> None:
    starts = datetime.fromisoformat(instant).astimezone(ZoneInfo(zone))
    line = build_observation(slots=(Slot(starts),)).exported()
    assert line["first_slot"] == exported
    assert datetime.fromisoformat(line["first_slot"]) == datetime.fromisoformat(instant)


def test_two_half_past_twos_of_the_october_night_are_two_instants() -> None:
    first = datetime(2026, 10, 25, 2, 30, tzinfo=PARIS)
    second = first.replace(fold=1)
    line = build_observation(slots=(Slot(first), Slot(second))).exported()
    assert line["first_slot"] != line["second_slot"]
    gap = datetime.fromisoformat(line["second_slot"]) - datetime.fromisoformat(line["first_slot"])
    assert gap == timedelta(hours=1)


def test_observed_at_is_exported_with_its_zone() -> None:
    assert (
        build_observation(observed_at=OBSERVED_AT.astimezone(UTC))
        .exported()["observed_at"]
        .endswith("+00:00")
    )


# Slots

NAIVE = datetime.fromisoformat("2026-03-02T09:00")


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (NAIVE, None, "first_slot .* has no time zone"),
        (None, NAIVE, "second_slot .* has no time zone"),
        (date(2026, 3, 3), date(2026, 3, 2), "second_slot 2026-03-02 comes before first_slot 2026-03-03"),
        (datetime(2026, 3, 2, 9, tzinfo=PARIS), datetime(2026, 3, 2, 8, 59, tzinfo=PARIS), "comes before"),
        (datetime(2026, 3, 2, 9, tzinfo=PARIS), date(2026, 3, 1), "comes before"),
    ],
)
def test_slots_that_cannot_be_are_refused(first: Any, second: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_observation(slots=(), first_slot=first, second_slot=second)


def test_second_slot_may_fall_in_the_hour_that_comes_twice() -> None:
    first = datetime(2026, 10, 25, 2, 30, tzinfo=PARIS)
    assert build_observation(first_slot=first, second_slot=first.replace(minute=0, fold=1)).second_slot
    with pytest.raises(ValueError, match="comes before"):
        build_observation(first_slot=first.replace(fold=1), second_slot=first.replace(minute=45))
