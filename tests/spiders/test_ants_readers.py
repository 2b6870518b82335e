"""What is special to mairies: an empty list proves nothing by itself, and which mairie a desk is about."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from guichets.catalogue.model import Desk
from guichets.messages import join_messages
from guichets.page import Page
from guichets.visit import Asking, Line, ProbeStopped, R, verdict_fields
from spiders.ants import AntsSpider, search_of
from tests.spiders.walk_probe import TableProbe

API = "https://api.rendezvouspasseport.ants.gouv.fr/api"
SEARCH = f"{API}/SlotsFromPosition?longitude=3.0348&latitude=50.5491&radius_km=20&reason=CNI"
ENTRY = f"{SEARCH}&documents_number=1&address=Seclin%2059113"
AROUND = f"{API}/MeetingPointsFromPosition?longitude=3.0348&latitude=50.5491&radius_km=20"
STREAMING = "wss" + API.removeprefix("https") + "/SlotsFromPositionStreaming"
STATUS = f"{API}/status"
DAYS = "start_date=2026-11-30&end_date=2027-04-29"
NOW = datetime(2026, 11, 30, 9, 0, tzinfo=UTC)
JSON = {"content-type": "application/json"}


def slots_of(number: str) -> str:
    return f"{API}/availableTimeSlots?meeting_point_ids={number}&{DAYS}&reason=CNI&documents_number=1"


def mairie(number: str, zip_code: str = "59113", **more: Any) -> dict[str, Any]:
    return {"id": number, "name": f"Mairie {number}", "zip_code": zip_code, **more}


def slots(*dates: str) -> list[dict[str, str]]:
    return [{"datetime": written, "callback_url": "https://rdv.example/x"} for written in dates]


def answer(value: Any, status: int = 200) -> Page:
    return Page("", status, JSON, json.dumps(value).encode())


def said(*lists: Any, failed: int = 0) -> Page:
    end = {"step": "end_of_search", "editors_number": 54, "editor_errors_number": failed, "settings": {}}
    return Page("", 101, {}, join_messages(json.dumps(one).encode() for one in (*lists, end)))


def editors(**down: Any) -> Page:
    """Two softwares, up and never down but for what is said of them: False, or when they went down."""
    known = [
        {
            "slug": slug,
            "status": down.get(slug) is not False,
            "api_down_datetime": down[slug].isoformat() if down.get(slug) else None,
        }
        for slug in ("citopia", "rdv360")
    ]
    return answer({"editors": known})


class Visit(TableProbe):
    """A visit of Seclin on 30 November 2026; ``elapsed``: how long each answer takes."""

    def __init__(self, desk: Desk, pages: Mapping[str, Page], *, elapsed: float, signed: bool) -> None:
        super().__init__(desk, pages, AntsSpider().read)
        self._elapsed_seconds = elapsed
        self._signed = signed
        self.sent: list[Asking] = []

    def now(self) -> datetime:
        return NOW

    def is_signed_for(self, url: str) -> bool:
        return self._signed

    async def _ask(self, url: str, asking: Asking, read: Callable[[Page], R]) -> R:
        self.sent.append(asking)
        found = self.pages.get(url)
        page = found if isinstance(found, Page) else Page(url, 404, {}, b"")
        return read(Page(url, page.status, page.headers, page.body))


def walk(
    pages: Mapping[str, Page], *, elapsed: float = 1.0, signed: bool = False, **params: str
) -> tuple[Visit, dict[str | None, Line]]:
    desk = Desk(id="59-x", family="ants", departement="59", office="Mairie", procedure="cni_passeport",
                label="x", url=ENTRY, params=params)  # fmt: skip
    visit = Visit(desk, pages, elapsed=elapsed, signed=signed)
    try:
        asyncio.run(AntsSpider().walk(visit))
    except ProbeStopped as stop:
        visit.stop(stop.reading)
    return visit, {line.counter.key if line.counter else None: line for line in visit.lines()}


def outcome(pages: Mapping[str, Page], **more: Any) -> tuple[str, str]:
    _, lines = walk(pages, **more)
    return str(lines[None].reading.outcome), lines[None].reading.rule


ONE = {AROUND: answer([mairie("201"), mairie("202", "59000")])}
LATELY = NOW - timedelta(minutes=2)
LONG_AGO = NOW - timedelta(days=2)


@pytest.mark.parametrize(
    ("search", "status", "more", "found"),
    [
        pytest.param(said([]), None, {}, ("none", "ants.none.search"), id="every-software-answered"),
        pytest.param(said([], failed=1), None, {}, ("overloaded", "ants.overloaded.search"), id="it-failed"),
        pytest.param(
            said([], [], failed=2), None, {}, ("overloaded", "ants.overloaded.search"), id="all-failed"
        ),
        pytest.param(said(), None, {}, ("unrecognised", "ants.unrecognised.nobody-asked"), id="nobody-asked"),
        # a time-out is not counted: a slow search proves nothing
        pytest.param(
            said([]), editors(), {"elapsed": 16.0}, ("none", "ants.none.status"), id="slow-and-all-are-up"
        ),
        pytest.param(
            said([]),
            editors(citopia=LONG_AGO),
            {"elapsed": 16.0},
            ("none", "ants.none.status"),
            id="slow-and-one-was-down-long-ago",
        ),
        pytest.param(
            said([]),
            editors(citopia=False),
            {"elapsed": 16.0},
            ("unrecognised", "ants.unrecognised.which-editor"),
            id="slow-and-some-software-is-down",
        ),
        pytest.param(
            said([]),
            editors(citopia=LATELY),
            {"elapsed": 16.0},
            ("unrecognised", "ants.unrecognised.which-editor"),
            id="slow-and-some-software-was-down-just-now",
        ),
        pytest.param(
            said([]),
            editors(citopia=False),
            {"elapsed": 16.0, "editor": "citopia"},
            ("overloaded", "ants.overloaded.editor"),
            id="slow-and-the-desk-s-software-is-down",
        ),
        pytest.param(
            said([]),
            editors(citopia=False),
            {"elapsed": 16.0, "editor": "rdv360"},
            ("none", "ants.none.status"),
            id="slow-and-another-software-is-down",
        ),
        pytest.param(
            said([]),
            editors(rdv360=LATELY),
            {"elapsed": 16.0, "editor": "rdv360"},
            ("unrecognised", "ants.unrecognised.which-editor"),
            id="slow-and-the-desk-s-software-was-down-just-now",
        ),
        pytest.param(
            said([]),
            editors(),
            {"elapsed": 16.0, "editor": "ypok"},
            ("unrecognised", "ants.unrecognised.which-editor"),
            id="slow-and-the-desk-s-software-is-unknown",
        ),
        pytest.param(
            said([]),
            editors(citopia=False, rdv360=False),
            {"elapsed": 16.0},
            ("overloaded", "ants.overloaded.editor"),
            id="slow-and-every-software-is-down",
        ),
        pytest.param(
            said([], [], failed=1),
            editors(),
            {},
            ("unrecognised", "ants.unrecognised.which-editor"),
            id="one-of-two-failed",
        ),
        pytest.param(
            said([], [], failed=1),
            editors(citopia=False),
            {"editor": "citopia"},
            ("overloaded", "ants.overloaded.editor"),
            id="one-of-two-failed-and-it-is-the-desk-s",
        ),
        pytest.param(
            said([], [], failed=1),
            answer({"detail": "X-HUB-RDV-FRONT-AUTH-TOKEN header invalid"}, 401),
            {},
            ("blocked", "ants.blocked.token"),
            id="one-of-two-failed-and-status-is-for-others",
        ),
        pytest.param(
            said([], [], failed=1),
            answer("no such page", 404),
            {},
            ("unrecognised", "ants.unrecognised.which-editor"),
            id="a-desk-is-not-gone-because-status-is",
        ),
    ],
)
def test_empty_list_is_none_only_when_the_town_s_software_answered(
    search: Page, status: Page | None, more: dict[str, Any], found: tuple[str, str]
) -> None:
    pages = {**ONE, STREAMING: search} | ({STATUS: status} if status else {})
    assert outcome(pages, **more) == found


@pytest.mark.parametrize(
    ("status", "more", "found"),
    [
        pytest.param(editors(), {}, ("none", "ants.none.status"), id="all-are-up"),
        pytest.param(
            editors(citopia=False), {}, ("unrecognised", "ants.unrecognised.which-editor"), id="some-are-down"
        ),
        pytest.param(
            editors(citopia=False), {"editor": "citopia"}, ("overloaded", "ants.overloaded.editor"), id="down"
        ),
        pytest.param(
            editors(citopia=False), {"editor": "rdv360"}, ("none", "ants.none.status"), id="another-is-down"
        ),
    ],
)
def test_with_a_token_an_empty_answer_is_none_only_by_status(
    status: Page, more: dict[str, str], found: tuple[str, str]
) -> None:
    pages = {**ONE, slots_of("201"): answer({}), STATUS: status}
    assert outcome(pages, signed=True, **more) == found


CAPTCHA = Page("", 101, {}, join_messages([b'{"Erreur": "Captcha invalide"}']))


@pytest.mark.parametrize(
    ("search", "more", "found"),
    [
        pytest.param(said([]), {}, ("none", "ants.none.search"), id="every-software-answered"),
        pytest.param(said([], failed=1), {}, ("overloaded", "ants.overloaded.search"), id="it-failed"),
        pytest.param(CAPTCHA, {}, ("captcha", "ants.captcha.search"), id="a-captcha"),
        pytest.param(said([]), {"elapsed": 16.0}, ("blocked", "ants.blocked.token"), id="a-time-out-perhaps"),
    ],
)
def test_with_a_token_and_without_status_the_public_search_settles_what_is_empty(
    search: Page, more: dict[str, float], found: tuple[str, str]
) -> None:
    """As in version 3.4.1: else such a visitor would see offers, and never a zero."""
    refused = answer({"detail": "X-HUB-RDV-FRONT-AUTH-TOKEN header invalid"}, 401)
    pages = {**ONE, slots_of("201"): answer({}), STATUS: refused, STREAMING: search}
    assert outcome(pages, signed=True, **more) == found


def test_with_a_token_slots_are_asked_for_by_number_and_signed() -> None:
    pages = {**ONE, slots_of("201"): answer({"201": slots("2026-12-21T10:00:00Z")})}
    visit, lines = walk(pages, signed=True)
    assert [asking.signed for asking in visit.sent] == [True, True]
    assert lines[None].reading.rule == "ants.offered.time-slots"


def test_without_a_token_the_message_of_the_search_asks_the_postcode_alone() -> None:
    visit, _ = walk({**ONE, STREAMING: said([])})
    around, search = visit.sent
    assert (around.signed, around.body) == (True, b"")
    assert json.loads(search.body) == {
        "longitude": 3.0348,
        "latitude": 50.5491,
        "start_date": "2026-11-30",
        "end_date": "2027-04-29",
        "radius_km": 20,
        "reason": "CNI",
        "documents_number": 1,
        "address": "Seclin 59113",
        "department_code": "59113",
    }
    assert not search.signed


def listed(number: str, *dates: str) -> dict[str, Any]:
    return mairie(number, available_slots=slots(*dates))


@pytest.mark.parametrize("zone", ["Europe/Paris", "America/Guadeloupe", "Indian/Reunion"])
@pytest.mark.parametrize("suffix", [":00Z", "Z", ":00+00:00", ":00+02:00"])
def test_dates_are_the_wall_clock_of_the_town_whatever_their_suffix(zone: str, suffix: str) -> None:
    _, lines = walk({**ONE, STREAMING: said([listed("201", f"2027-02-01T10:20{suffix}")])})
    first = verdict_fields(lines[None].reading, ZoneInfo(zone))["first_slot"]
    assert first == datetime(2027, 2, 1, 10, 20, tzinfo=ZoneInfo(zone))


def test_days_before_today_are_left_out() -> None:
    dates = ("2026-11-01T10:00Z", "2026-11-29T23:50Z", "2026-11-30T08:00Z", "2027-04-30T10:00Z")
    _, lines = walk({**ONE, STREAMING: said([listed("201", *dates)])})
    reading = lines[None].reading
    assert [f"{slot.starts:%Y-%m-%d %H:%M}" for slot in reading.slots] == [
        "2026-11-30 08:00",
        "2027-04-30 10:00",
    ]
    assert (reading.slot_count, dict(reading.facts)) == (2, {"software": "rdv.example"})


@pytest.mark.parametrize(
    ("listed_slots", "found"),
    [
        (["2026-11-29T10:00Z"], ("unrecognised", "ants.unrecognised.past-slots")),
        (["2026-11-30T10:00Z", "2026-11-30T10:00Z"], ("offered", "ants.offered.search")),
    ],
)
def test_only_days_that_are_over_are_no_offer(listed_slots: Sequence[str], found: tuple[str, str]) -> None:
    assert outcome({**ONE, STREAMING: said([listed("201", *listed_slots)])}) == found


def test_slots_of_another_mairie_are_not_the_desk_s() -> None:
    assert outcome({**ONE, STREAMING: said([listed("999", "2026-12-01T10:00Z")])})[0] == "none"


TOWN = {AROUND: answer([mairie("201"), mairie("203"), mairie("202", "59000")])}


def test_mairies_of_a_postcode_are_counters_and_each_rests_on_the_search() -> None:
    pages = {**TOWN, STREAMING: said([listed("203", "2026-12-01T10:00Z")])}
    _, lines = walk(pages)
    assert {key: str(line.reading.outcome) for key, line in lines.items()} == {
        "201": "none",
        "203": "offered",
        None: "offered",
    }


def test_param_chooses_one_of_the_mairies() -> None:
    pages = {**TOWN, STREAMING: said([listed("203", "2026-12-01T10:00Z")])}
    assert outcome(pages, meeting_point="201") == ("none", "ants.none.search")
    assert outcome(pages, meeting_point="203") == ("offered", "ants.offered.search")


UNKNOWN = answer({"detail": "Unknown Meeting Point ID : 999"}, 404)


@pytest.mark.parametrize(
    ("pages", "more", "found"),
    [
        pytest.param({STATUS: editors()}, {}, ("gone", "ants.gone.not-listed"), id="not-listed"),
        pytest.param(
            {STATUS: editors(rdv360=False)}, {}, ("unrecognised", "ants.unrecognised.not-listed"),
            id="not-listed-and-a-software-is-down",
        ),
        pytest.param({STATUS: answer({}, 429)}, {}, ("blocked", "http.429"), id="status-refuses"),
        pytest.param(
            {slots_of("999"): UNKNOWN}, {"signed": True}, ("gone", "ants.gone.unknown-meeting-point"),
            id="the-api-does-not-know-the-number",
        ),
        pytest.param(
            {slots_of("999"): answer({"999": slots("2026-12-01T10:00Z")})}, {"signed": True},
            ("unrecognised", "ants.unrecognised.renumbered"), id="the-number-is-another-mairie-s",
        ),
    ],
)  # fmt: skip
def test_mairie_that_is_not_around_is_gone_only_when_the_api_says_so(
    pages: dict[str, Page], more: dict[str, Any], found: tuple[str, str]
) -> None:
    assert outcome({AROUND: answer([mairie("202", "59000")]), **pages}, meeting_point="999", **more) == found


@pytest.mark.parametrize(
    "url",
    [
        f"{API}/SlotsFromPosition",
        f"{SEARCH}&documents_number=1",
        f"{SEARCH}&documents_number=1&address=Seclin",
        ENTRY.replace("radius_km=20", "radius_km=60"),
        ENTRY.replace("3.0348", "est"),
        ENTRY.replace("/SlotsFromPosition", "/searchApplicationIds"),
        "https://rendezvouspasseport.ants.gouv.fr/",
    ],
)
def test_address_that_is_no_search_is_no_entry(url: str) -> None:
    desk = Desk(id="59-x", family="ants", departement="59", office="Mairie", procedure="cni_passeport",
                label="x", url=url)  # fmt: skip
    assert search_of(desk) is None
