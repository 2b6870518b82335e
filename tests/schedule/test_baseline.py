from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from guichets.catalogue import departements
from guichets.schedule.baseline import Pattern, Slot, instant_in, next_due, replanned
from tests.database_fixtures import Database

PARIS = ZoneInfo("Europe/Paris")
ZONES = sorted({departement.timezone for departement in departements().values()} | {"America/Miquelon"})
PATTERN = Pattern()
INSTANTS = st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - its own
DST_NIGHTS = [date(2026, 3, 29), date(2026, 10, 25), date(2026, 3, 8), date(2026, 11, 1)]


def slots_of(day: date, zone: ZoneInfo, pattern: Pattern = PATTERN) -> list[Slot]:
    """The slots that begin on a local day."""
    slot = pattern.slot_at(datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC), zone)
    found = []
    while slot.starts_at.astimezone(zone).date() <= day:
        if slot.starts_at.astimezone(zone).date() == day:
            found.append(slot)
        slot = pattern.slot_after(slot, zone)
    return found


def test_a_day_has_a_slot_each_hour_and_three_at_night() -> None:
    starts = [slot.starts_at.astimezone(PARIS).hour for slot in slots_of(date(2026, 5, 20), PARIS)]
    assert starts == [1, 4, *range(7, 22), 22]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("day", [*DST_NIGHTS, date(2026, 12, 31)], ids=str)
def test_every_day_has_eighteen_slots_without_gap_or_overlap(zone: str, day: date) -> None:
    days = [day + timedelta(days=n) for n in (-1, 0, 1)]
    slots = [slot for each in days for slot in slots_of(each, ZoneInfo(zone))]
    assert len(slots) == 3 * 18
    for one, later in pairwise(slots):
        assert one.ends_at == later.starts_at > one.starts_at


@pytest.mark.parametrize(
    ("day", "length"),
    [
        pytest.param(date(2026, 3, 28), timedelta(hours=8) / 3, id="dst-night-march"),
        pytest.param(date(2026, 10, 24), timedelta(hours=10) / 3, id="dst-night-october"),
        pytest.param(date(2026, 5, 20), timedelta(hours=3), id="ordinary-night"),
    ],
)
def test_a_night_of_another_length_has_slots_of_another_length(day: date, length: timedelta) -> None:
    last = slots_of(day, PARIS)[-1]
    assert last.starts_at.astimezone(PARIS).hour == 22
    assert last.ends_at - last.starts_at == length


@given(instant=INSTANTS, zone=st.sampled_from(ZONES), seconds=st.sampled_from([7.0, 600.0, 3600.0, 5400.0]))
@example(instant=datetime(2026, 10, 25, 0, 59, 59, 999999, UTC), zone="Europe/Paris", seconds=3600.0)
@example(instant=datetime(2026, 3, 29, 1, tzinfo=UTC), zone="Europe/Paris", seconds=7.0)
def test_a_slot_holds_its_instant_and_the_next_one_follows(
    instant: datetime, zone: str, seconds: float
) -> None:
    pattern = Pattern(day_slot_seconds=seconds, night_slot_seconds=2.5 * seconds)
    slot = pattern.slot_at(instant, ZoneInfo(zone))
    assert slot.starts_at <= instant < slot.ends_at
    assert pattern.slot_at(slot.starts_at, ZoneInfo(zone)) == slot
    assert pattern.slot_at(slot.ends_at - timedelta(microseconds=1), ZoneInfo(zone)) == slot
    assert pattern.slot_after(slot, ZoneInfo(zone)).starts_at == slot.ends_at
    drawn = instant_in(slot, "93-bobigny")
    assert slot.starts_at <= drawn < slot.ends_at
    assert drawn == instant_in(slot, "93-bobigny")


def test_instants_are_spread_evenly_over_slots_and_desks() -> None:
    """In tenths of a slot: 20 000 draws, each tenth within six standard deviations of its 2 000."""
    tenths: Counter[int] = Counter()
    for desk in range(100):
        slot = PATTERN.slot_at(datetime(2026, 5, 20, tzinfo=UTC), PARIS)
        for _ in range(200):
            share = (instant_in(slot, f"desk-{desk}") - slot.starts_at) / (slot.ends_at - slot.starts_at)
            tenths[int(share * 10)] += 1
            slot = PATTERN.slot_after(slot, PARIS)
    assert all(abs(tenths[tenth] - 2000) < 6 * 42.4 for tenth in range(10)), tenths


@given(now=INSTANTS, zone=st.sampled_from(ZONES))
def test_a_visited_desk_is_due_once_in_the_next_slot(now: datetime, zone: str) -> None:
    slot = PATTERN.slot_at(now, ZoneInfo(zone))
    due = next_due(PATTERN, "desk", ZoneInfo(zone), now)
    assert PATTERN.slot_at(due, ZoneInfo(zone)) == PATTERN.slot_after(slot, ZoneInfo(zone))


@given(due_at=INSTANTS, late=st.timedeltas(timedelta(0), timedelta(days=9)), zone=st.sampled_from(ZONES))
def test_a_missed_slot_stays_missed(due_at: datetime, late: timedelta, zone: str) -> None:
    now = due_at + late
    due = replanned(PATTERN, "desk", ZoneInfo(zone), due_at=due_at, now=now)
    if PATTERN.slot_at(due_at, ZoneInfo(zone)) == PATTERN.slot_at(now, ZoneInfo(zone)):
        assert due == due_at
    else:
        assert due == instant_in(PATTERN.slot_at(now, ZoneInfo(zone)), "desk")


def test_after_an_outage_desks_come_back_one_by_one_not_in_a_burst() -> None:
    """A night without workers: at 10:00 sharp nobody is due, and by 11:00 everybody was, evenly."""
    now = datetime(2026, 5, 20, 8, tzinfo=UTC)  # 10:00 in Paris
    yesterday = now - timedelta(hours=14)
    due = [replanned(PATTERN, f"desk-{n}", PARIS, due_at=yesterday, now=now) for n in range(1000)]
    assert all(now <= instant < now + timedelta(hours=1) for instant in due)
    assert max(Counter(instant.minute for instant in due).values()) < 40  # 17 on average


@pytest.mark.parametrize(
    "wrong",
    [{"day_from": 3}, {"day_from": 9, "day_until": 9}, {"day_until": 24}, {"day_slot_seconds": 0.5}],
    ids=str,
)
def test_a_day_that_cannot_be_cut_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"cannot be cut|a second at least"):
        Pattern(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("zone", ZONES)
def test_sql_cuts_days_as_python_does(database: Database, zone: str) -> None:
    patterns = [PATTERN, Pattern(day_from=6, day_until=21, day_slot_seconds=2700, night_slot_seconds=7)]
    with database.connect() as connection:
        for pattern in patterns:
            connection.execute("DELETE FROM baseline_patterns")
            connection.execute(
                "INSERT INTO baseline_patterns VALUES ('2000-01-01', %s, %s, %s, %s)",
                [
                    pattern.day_from,
                    pattern.day_until,
                    timedelta(seconds=pattern.day_slot_seconds),
                    timedelta(seconds=pattern.night_slot_seconds),
                ],
            )
            for day in DST_NIGHTS:
                rows = connection.execute(
                    "SELECT starts_at, ends_at FROM baseline_slots(%s, %s, %s)", [zone, day, day]
                ).fetchall()
                assert [Slot(*row) for row in rows] == slots_of(day, ZoneInfo(zone), pattern)
