"""What is special to eAppointment: its calendar, and the order in which a visit asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from guichets.catalogue.model import Desk
from guichets.outcomes import Outcome
from guichets.page import Page
from guichets.replay.probe import walk_now
from guichets.sandbox.families._eappointment_pages import callback, failure, step_page
from guichets.visit import Asking, Line, Probe, R
from spiders.eappointment import EappointmentSpider, read_calendar, read_page

TODAY = date(2026, 11, 24)  # a Tuesday
ENTRY = "https://rdv.example.fr/eAppointment/appointment.do"


def days(start: date, end: date) -> list[date]:
    return [start + timedelta(days=ahead) for ahead in range((end - start).days + 1)]


def closed(*free: str, end: str = "2027-01-31") -> list[date]:
    """Every day from today to the end but those that are free."""
    return [day for day in days(TODAY, date.fromisoformat(end)) if day.isoformat() not in free]


@pytest.mark.parametrize(
    ("listed", "months", "free", "end", "is_whole"),
    [
        pytest.param(closed(), 3, [], "2027-01-31", True, id="all-closed"),
        pytest.param(closed("2026-12-01"), 3, ["2026-12-01"], "2027-01-31", True, id="one-free"),
        pytest.param(closed("2026-11-24"), 3, ["2026-11-24"], "2027-01-31", True, id="today-free"),
        pytest.param(closed("2026-12-06"), 3, [], "2026-12-05", False, id="a-sunday-is-missing"),
        pytest.param(closed("2027-01-31"), 3, [], "2027-01-30", False, id="the-last-sunday-is-missing"),
        pytest.param(closed("2027-01-29", "2027-01-30"), 3, ["2027-01-29", "2027-01-30"], "2027-01-31", True,
                     id="free-at-the-end"),
        pytest.param(closed(end="2026-12-20"), 3, [], "2026-12-20", False, id="the-list-ends-early"),
        pytest.param(closed("2026-12-01", end="2026-12-20"), 3, ["2026-12-01"], "2026-12-20", False,
                     id="free-before-an-early-end"),
        pytest.param(closed("2027-02-03", end="2027-02-24"), 3, ["2027-02-03"], "2027-02-24", True,
                     id="a-list-that-goes-further"),
        pytest.param([date(2026, 11, 30), date(2026, 12, 1)], 3, [], "2026-11-24", False, id="no-sunday"),
        pytest.param([*closed(), date(9999, 12, 26)], 3, [], "2027-01-31", True, id="a-day-beyond-time"),
        pytest.param([date(2026, 1, 4), date(2026, 1, 11)], 3, [], "2026-11-24", False, id="the-past"),
        pytest.param([], 3, [], "2026-11-24", False, id="nothing"),
        pytest.param(closed(end="2026-11-30"), 1, [], "2026-11-30", True, id="the-month-in-progress-alone"),
    ],
)  # fmt: skip
def test_calendar_is_what_is_not_closed_as_far_as_the_list_holds(
    listed: list[date], months: int, free: list[str], end: str, is_whole: bool
) -> None:
    found = read_calendar(listed, months=months, today=TODAY)
    assert [day.isoformat() for day in found.free] == free
    assert (found.end.isoformat(), found.is_whole) == (end, is_whole)


@pytest.mark.parametrize("shift", range(40))
def test_full_calendar_is_whole_whatever_the_day_of_the_visit(shift: int) -> None:
    today = TODAY + timedelta(days=shift)
    end = read_calendar(days(today, today + timedelta(days=400)), months=3, today=today).end
    shown = date(today.year + (today.month + 3 > 12), (today.month + 2) % 12 + 1, 1) - timedelta(days=1)
    found = read_calendar(days(today, shown), months=3, today=today)
    assert (found.free, found.end, found.is_whole) == ((), shown, True)
    assert end >= shown


class Scripted(Probe):
    """A visit of a server made of a few answers; ``asked`` are the names of the methods, in order."""

    def __init__(
        self, params: Mapping[str, Any], answers: Mapping[str, Any], *, dialect: int = 3, url: str = ENTRY
    ) -> None:
        desk = Desk(id="69-x", family="eappointment", departement="69", office="Mairie",
                    procedure="cni_passeport", label="CNI", url=url, params=params)  # fmt: skip
        super().__init__(desk, ZoneInfo("Europe/Paris"), read_page)
        self._answers = answers
        self._dialect = dialect
        self.asked: list[str] = []
        self.bodies: list[str] = []

    def now(self) -> datetime:
        return datetime(2026, 11, 24, 10, 0, tzinfo=UTC)

    async def _ask(self, url: str, asking: Asking, read: Callable[[Page], R]) -> R:
        name = url.rpartition(".dwr")[0].rpartition(".")[2] or "page"
        self.asked.append(name)
        self.bodies.append(asking.body.decode())
        is_3 = b"instanceId" in asking.body
        if name == "page":
            reply = self._answers.get("page") or step_page(title="CNI", site="", service="")
        elif is_3 != (self._dialect == 3):
            reply = failure(dialect=self._dialect, batch="0", whole_batch=True)
        else:
            value = self._answers.get(name)
            value = value.pop(0) if name == "getHoursProposalForADayJS" and value else value
            reply = callback(value, dialect=self._dialect, batch="0", built="inline")
        headers = {name.lower(): text for name, text in reply.headers}
        return read(Page(url, reply.status, headers, reply.body))


def visited(probe: Scripted) -> list[Line]:
    walk_now(EappointmentSpider().walk(probe))
    return probe.lines()


PLACE = {"site": "MA1", "service": "328", "dwr": 3}
MONTHS = {"numberOfMonthToDisplayInCalendar": 3}
BEANS = [{"key": "A", "label": "un"}, {"key": "B", "label": "deux"}]


def texts(listed: list[date]) -> list[str]:
    return [day.isoformat() for day in listed]


def test_service_without_motives_is_read_by_its_days_and_hours() -> None:
    listed = texts(closed("2026-12-01", "2026-12-03"))
    hours = [["10:00", "09:30"]]
    probe = Scripted(PLACE, {**MONTHS, "getClosedDaysList": listed, "getHoursProposalForADayJS": hours})
    (line,) = visited(probe)
    reading = line.reading
    assert (reading.outcome, reading.rule) == (Outcome.OFFERED, "eappointment.offered.free-day")
    assert [slot.starts.isoformat() for slot in reading.slots] == [
        "2026-12-01T09:30:00+01:00", "2026-12-01T10:00:00+01:00"
    ]  # fmt: skip
    assert (reading.slot_count, str(reading.horizon_end)) == (2, "2027-01-31")
    assert reading.facts == (("free_days", "2"),)
    assert probe.asked == [
        "page", "getMotiveBeanList", "numberOfMonthToDisplayInCalendar", "getClosedDaysList",
        "getHoursProposalForADayJS",
    ]  # fmt: skip
    assert "c0-param2=string:2026-12-01\n" in probe.bodies[-1]


def test_free_day_without_hours_leaves_the_next_one_to_be_asked() -> None:
    listed = texts(closed("2026-12-01", "2026-12-03", "2026-12-04"))
    answers = {**MONTHS, "getClosedDaysList": listed, "getHoursProposalForADayJS": [[], ["09:00"], ["11:00"]]}
    (line,) = visited(Scripted(PLACE, answers))
    assert [slot.starts.isoformat() for slot in line.reading.slots] == [
        "2026-12-03T09:00:00+01:00", "2026-12-04T11:00:00+01:00"
    ]  # fmt: skip


def test_unknown_hours_of_a_second_day_leave_the_first_as_it_is() -> None:
    listed = texts(closed("2026-12-01", "2026-12-03"))
    answers = {**MONTHS, "getClosedDaysList": listed, "getHoursProposalForADayJS": [["09:00"], [540]]}
    (line,) = visited(Scripted(PLACE, answers))
    assert [slot.starts.isoformat() for slot in line.reading.slots] == ["2026-12-01T09:00:00+01:00"]


def test_free_days_without_hours_are_no_offer_and_no_zero() -> None:
    listed = texts(closed(*texts(days(date(2026, 12, 7), date(2026, 12, 12)))))
    answers = {**MONTHS, "getClosedDaysList": listed, "getHoursProposalForADayJS": [[], [], [], ["09:00"]]}
    probe = Scripted(PLACE, answers)
    (line,) = visited(probe)
    assert line.reading.rule == "eappointment.unrecognised.free-days-without-hours"
    assert probe.asked.count("getHoursProposalForADayJS") == 3


def test_every_day_closed_is_none_up_to_the_end_of_the_calendar() -> None:
    (line,) = visited(Scripted(PLACE, {**MONTHS, "getClosedDaysList": texts(closed())}))
    assert (line.reading.outcome, str(line.reading.horizon_end)) == (Outcome.NONE, "2027-01-31")


def test_closed_days_that_end_early_are_no_zero() -> None:
    listed = texts(closed(end="2026-12-20"))
    (line,) = visited(Scripted(PLACE, {**MONTHS, "getClosedDaysList": listed}))
    assert line.reading.rule == "eappointment.unrecognised.days-end-early"


def test_length_of_the_calendar_must_be_known() -> None:
    (line,) = visited(Scripted(PLACE, {"getClosedDaysList": texts(closed())}))
    assert line.reading.rule == "eappointment.unrecognised.months"


@pytest.mark.parametrize(
    ("answers", "rule", "count"),
    [
        ({"getSiteBeanList": BEANS}, "eappointment.unrecognised.which-site", 2),
        ({"getSiteBeanList": []}, "eappointment.unrecognised.which-site", 2),
        (
            {"getSiteBeanList": BEANS[:1], "getServiceBeanList": BEANS},
            "eappointment.unrecognised.which-service",
            3,
        ),
        ({"getSiteBeanList": [{"code": 1}]}, "eappointment.unrecognised.beans", 2),
    ],
)
def test_place_that_nothing_names_is_not_guessed(answers: dict[str, Any], rule: str, count: int) -> None:
    probe = Scripted({"dwr": 3}, answers)
    (line,) = visited(probe)
    assert line.reading.rule == rule
    assert len(probe.asked) == count


@pytest.mark.parametrize("params", [{}, {"dwr": 3}, {"dwr": 2}])
@pytest.mark.parametrize("dialect", [2, 3])
def test_dialect_is_told_by_the_server(params: dict[str, int], dialect: int) -> None:
    answers = {**MONTHS, "getClosedDaysList": texts(closed())}
    probe = Scripted({"site": "1", "service": "2", **params}, answers, dialect=dialect)
    (line,) = visited(probe)
    assert line.reading.outcome is Outcome.NONE
    wrong = params.get("dwr", 3) != dialect
    assert len(probe.asked) == 4 + wrong


def test_each_motive_of_the_service_is_a_counter() -> None:
    answers = {
        "getMotiveBeanList": BEANS,
        "motiveMultiSiteSubmit": {"foundAvailabilities": False, "msg": "Aucun rendez-vous n'est possible."},
    }
    probe = Scripted(PLACE, answers)
    lines = visited(probe)
    assert [(line.counter.key, line.counter.label) for line in lines if line.counter] == [
        ("A", "un"), ("B", "deux")
    ]  # fmt: skip
    assert {line.reading.outcome for line in lines} == {Outcome.NONE}
    assert probe.asked.count("motiveMultiSiteSubmit") == 2
    assert "getClosedDaysList" not in probe.asked


def test_offer_of_a_motive_stands_without_its_dates() -> None:
    answers = {"getMotiveBeanList": BEANS[:1], "motiveMultiSiteSubmit": {"foundAvailabilities": True}}
    lines = visited(Scripted(PLACE, answers))
    assert {line.reading.outcome for line in lines} == {Outcome.OFFERED}
    assert {line.reading.note for line in lines} == {"no dates: eappointment.unrecognised.months"}


def test_service_that_the_answer_names_is_the_one_whose_days_are_asked() -> None:
    found = {"foundAvailabilities": True, "overrideValue": {"serviceKey": "999"}}
    answers = {**MONTHS, "getMotiveBeanList": BEANS[:1], "motiveMultiSiteSubmit": found}
    probe = Scripted(PLACE, answers)
    visited(probe)
    assert "c0-param1=string:999\n" in probe.bodies[probe.asked.index("getClosedDaysList")]


def test_address_of_no_application_is_our_fault() -> None:
    probe = Scripted({}, {}, url="https://rdv.example.fr/other/appointment.do")
    (line,) = visited(probe)
    assert line.reading.rule == "eappointment.fault.entry-url"
    assert probe.asked == []
