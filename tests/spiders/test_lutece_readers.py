"""How the pages of Lutece are taken apart, and what a visit asks."""

from __future__ import annotations

import pytest

from guichets.outcomes import Outcome
from guichets.page import Page
from spiders.lutece import MAX_EVENTS, LuteceSpider, _read_objects, read_page
from tests.spiders.page_table import PAGES
from tests.spiders.walk_probe import walk

SEARCH = (
    "https://teleservices.example.fr/rdvtitres/jsp/site/Portal.jsp"
    "?page=appointmentsearch&view=search&category=titres"
)


def body(file: str) -> str:
    return (PAGES / "lutece" / file).read_text(encoding="utf-8")


def redirect(location: str) -> Page:
    return Page(SEARCH, 302, {"location": location})


def test_places_of_a_search_are_counters_of_one_request() -> None:
    probe, lines = walk(LuteceSpider, SEARCH, {SEARCH: body("search.html")})
    assert probe.asked == [SEARCH]
    assert {key: line.reading.slot_count for key, line in lines.items()} == {"29": 13, "30": 1, None: 14}
    assert dict(lines["29"].reading.facts) == {"total_places.29": "40"}
    assert len(lines[None].reading.slots) == 2  # both have something at 9:15


def test_places_that_are_not_counted_share_their_instants() -> None:
    _, lines = walk(LuteceSpider, SEARCH, {SEARCH: body("search-without-numbers.html")})
    assert {key: line.reading.slot_count for key, line in lines.items()} == {"29": 2, "30": 1, None: 2}


@pytest.mark.parametrize("file", ["none-search.html", "calendar.html", "numbers-alone.html", "account.html"])
def test_what_lists_no_place_is_the_desk_s_own_line(file: str) -> None:
    _, lines = walk(LuteceSpider, SEARCH, {SEARCH: body(file)})
    assert set(lines) == {None}


def test_account_is_not_asked_for() -> None:
    probe, lines = walk(LuteceSpider, SEARCH, {SEARCH: redirect("https://moncompte.paris.fr/moncompte/")})
    assert probe.asked == [SEARCH]
    assert lines[None].reading.rule == "lutece.blocked.account-elsewhere"


def test_any_other_redirect_is_followed() -> None:
    probe, _ = walk(LuteceSpider, SEARCH, {SEARCH: redirect("/elsewhere")})
    assert probe.asked == [SEARCH, SEARCH]


@pytest.mark.parametrize(
    ("script", "objects"),
    [
        ("[]", []),
        ("[ ]x", []),
        ("[{}]", [{}]),
        ("[{a:'b',},]", [{"a": "b"}]),
        ("[{a:b+'c'+1+\"d\"}]", [{"a": "c1d"}]),
        (r"['x']", None),
        (r"[{'a':'l\'heure \u00e9\\'}]", [{"a": "l'heure é\\"}]),
        ("[{a:[1]}]", None),
        ("[{a:{b:1}}]", None),
        ("[{a:f()}]", None),
        ("[{a:1-1}]", None),
        ("[{a:'x'", None),
        ("[{a:'x\n'}]", None),
        ("[{a}]", None),
        ("[{a:,}]", None),
        ("[{a:1 b:2}]", None),
        ("[{}{}]", None),
        ("[,]", None),
        ("{}", None),
        ("", None),
        ("[{a:" + "9" * 400 + "}]", None),
        ("[" * 50_000, None),
    ],
)
def test_script_is_plain_data_or_nothing(script: str, objects: list[dict[str, str]] | None) -> None:
    assert _read_objects(script, 0) == objects


def test_endless_list_is_no_calendar() -> None:
    assert _read_objects("[" + "{}," * (MAX_EVENTS + 1) + "]", 0) is None


def test_calendar_of_a_year_is_read() -> None:
    event = "{{ className : '', start : '20{:02}-{:02}-{:02}T{:02}:{:02}' }},"
    events = "".join(
        event.format(27, month, day, hour, minute)
        for month in range(1, 13)
        for day in range(1, 29)
        for hour in range(9, 17)
        for minute in (0, 15, 30, 45)
    )
    page = f"<html><body><script>var events = [{events}];</script></body></html>"
    reading = read_page(Page(SEARCH, 200, {}, page.encode()))
    assert (reading.outcome, reading.slot_count) == (Outcome.OFFERED, 12 * 28 * 8 * 4)
