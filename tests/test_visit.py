"""What readings become on an observation: hours shown without a zone are the desk's own."""

from __future__ import annotations

import copy
from dataclasses import replace
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from guichets.items import DESK_TIME, Evidence, Slot
from guichets.outcomes import Outcome
from guichets.page import CounterChoice, Page, Reading, text_lines
from guichets.visit import Probe, desk_reading, verdict_fields
from spiders.base import DeskSpider
from tests.spiders.walk_probe import walk


def offering(*starts: datetime | date) -> Reading:
    return Reading(outcome=Outcome.OFFERED, rule="x.offered", slots=tuple(map(Slot, starts)))


@pytest.mark.parametrize(
    ("zone", "instant"),
    [
        ("Europe/Paris", datetime(2026, 5, 20, 7, 30, tzinfo=UTC)),
        ("Indian/Mayotte", datetime(2026, 5, 20, 6, 30, tzinfo=UTC)),
        ("America/Cayenne", datetime(2026, 5, 20, 12, 30, tzinfo=UTC)),
    ],
)
def test_hour_without_a_zone_is_the_desk_s_own(zone: str, instant: datetime) -> None:
    fields = verdict_fields(offering(datetime(2026, 5, 20, 9, 30, tzinfo=DESK_TIME)), ZoneInfo(zone))
    assert fields["first_slot"] == instant
    assert fields["first_slot"].hour == 9


def test_hour_that_does_not_exist_becomes_a_real_one() -> None:
    paris = ZoneInfo("Europe/Paris")
    fields = verdict_fields(offering(datetime(2026, 3, 29, 2, 30, tzinfo=DESK_TIME)), paris)
    assert fields["first_slot"].isoformat() == "2026-03-29T03:30:00+02:00"


def test_desk_time_is_known_again_after_a_copy() -> None:
    copied = copy.deepcopy(offering(datetime(2026, 5, 20, 9, 30, tzinfo=DESK_TIME)))
    assert verdict_fields(copied, ZoneInfo("Europe/Paris"))["first_slot"].utcoffset().seconds == 7200


def test_lines_of_a_text_are_its_blocks() -> None:
    page = Page(
        "",
        200,
        {},
        b"<div id=x>a <b>b</b>\nc<p>d <q-btn>left<i>out</i></q-btn> e</p>t<ul><li>1<li>2</ul></div>",
    )
    assert page.root is not None
    (element,) = page.root.iter("div")
    assert text_lines(element, {"q-btn"}) == ["a b c", "d e", "t", "1", "2"]


def test_instant_of_two_counters_is_one_slot_but_two_places() -> None:
    at = datetime(2026, 5, 20, 9, 30, tzinfo=DESK_TIME)
    seen = Reading(outcome=Outcome.OFFERED, rule="x.offered", slots=(Slot(at),), slot_count=1)
    assert desk_reading([seen, seen]).slot_count == 1
    places = replace(seen, slot_count=4, counts_places=True)
    assert desk_reading([places, places]).slot_count == 8


def test_page_that_lists_the_counters_belongs_to_each_line() -> None:
    url = "https://www.example.fr/"
    proof = Evidence(url, 200, "0" * 64, 1)

    class Listing(DeskSpider):
        name = "ezbooking"

        async def walk(self, probe: Probe) -> None:
            await probe.get(url)
            probe._evidence.append(proof)
            probe._requests += 1
            probe.announce([CounterChoice("1", ""), CounterChoice("2", "")], listed=True)
            for key in "12":
                probe.conclude(offering(date(2026, 5, 20)), CounterChoice(key, ""))

        def read(self, page: Page) -> Reading:
            return offering(date(2026, 5, 20))

    _, lines = walk(Listing, url, {url: "x"})
    assert [(lines[key].evidence, lines[key].requests) for key in ("1", "2", None)] == [((proof,), 1)] * 3
