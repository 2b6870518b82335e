"""How the search of RDV Service Public is walked: what is asked, what is not, and what becomes of it."""

from __future__ import annotations

from datetime import datetime

import pytest

from guichets.gate import Ask
from guichets.outcomes import Outcome
from guichets.page import Page, Redirect
from spiders import rdv_service_public
from spiders.rdv_service_public import (
    GATE,
    MAX_MOTIVES,
    MAX_PLACES_VISITED,
    RdvServicePublicSpider,
    read_page,
    read_public_links,
)
from tests.spiders.page_table import PAGES
from tests.spiders.walk_probe import walk

BASE = "https://rdv.example.fr"
SEARCH = f"{BASE}/prendre_rdv?departement=92&public_link_organisation_id=2458"
NO_DEPARTMENT = f"{BASE}/prendre_rdv?departement=&public_link_organisation_id=2458"
LINKS = f"{BASE}/api/v1/public_links?territory=92"
NONE = "<p>Malheureusement, aucun créneau correspondant à votre recherche n'a été trouvé.</p>"


@pytest.fixture(autouse=True)
def presence_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rdv_service_public, "PRESENCE_ONE_IN", 1)


def page(body: str) -> str:
    return f'<html><body><a href="/users/sign_in">Connexion</a>{body}</body></html>'


def services(*numbers: int) -> str:
    cards = "".join(
        f'<div class="card"><a href="{SEARCH}&service_id={n}"><h3>Service {n}</h3></a></div>' for n in numbers
    )
    return page(f"<h2>Sélectionnez le service avec qui vous voulez prendre un RDV :</h2>{cards}")


def motives(base: str, *slugs: str) -> str:
    cards = "".join(
        f'<div class="card"><a href="{base}&motif_name_with_location_type={slug}"><h3>{slug}</h3></a></div>'
        for slug in slugs
    )
    return page(f"<h3>Sélectionnez le motif de votre RDV :</h3>{cards}")


def places(base: str, *numbers: int) -> str:
    cards = "".join(
        f'<div class="card"><h4>Lieu {n}</h4><a href="{base}&lieu_id={n}&date=2021-12-13">'
        "Prochaine disponibilité le <strong>lundi 13 décembre 2021 à 08h50</strong></a></div>"
        for n in numbers
    )
    return page(f"<h3>Sélectionnez un lieu de RDV :</h3>{cards}")


def week(*starts: str, following: str = "") -> str:
    links = "".join(f'<a href="/users/rdv_wizard_step/new?starts_at={text}">x</a>' for text in starts)
    more = f'<a href="{following}" aria-label="semaine suivante">&gt;</a>' if following else ""
    return page(f'<h3>Sélectionnez un créneau :</h3><div id="creneaux-lieu-1">{links}{more}</div>')


def wall(line: object) -> list[str]:
    return [slot.starts.strftime("%d %H:%M") for slot in line.reading.slots]  # type: ignore[attr-defined]


def test_no_slot_at_all_is_one_request_and_one_for_the_presence() -> None:
    links = Page(LINKS, 200, {}, b'{"public_links":[{"public_link":"https://rdv.example.fr/org/2458"}]}')
    probe, lines = walk(RdvServicePublicSpider, SEARCH, {SEARCH: page(NONE), LINKS: links})
    assert probe.asked == [SEARCH, LINKS]
    assert lines[None].reading.outcome is Outcome.NONE
    assert dict(lines[None].reading.facts) == {"public_link": "listed"}


@pytest.mark.parametrize(
    ("body", "facts"),
    [
        (b'{"public_links":[]}', {"public_link": "not listed"}),
        (b"<html>", {}),
        (b'{"public_links":{}}', {}),
        (None, {}),
    ],
)
def test_presence_is_told_only_by_a_sound_list(body: bytes | None, facts: dict[str, str]) -> None:
    pages: dict[str, str | Page] = {SEARCH: page(NONE)}
    if body is not None:
        pages[LINKS] = Page(LINKS, 200, {}, body)
    _, lines = walk(RdvServicePublicSpider, SEARCH, pages)
    assert lines[None].reading.outcome is Outcome.NONE
    assert dict(lines[None].reading.facts) == facts


@pytest.mark.parametrize("query", ["departement=&public_link_organisation_id=2458", "departement=92"])
def test_presence_is_not_asked_without_department_and_organisation(query: str) -> None:
    url = f"{BASE}/prendre_rdv?{query}"
    probe, _ = walk(RdvServicePublicSpider, url, {url: page(NONE)})
    assert probe.asked == [url]


def test_places_of_one_motive_are_counters_with_both_dates() -> None:
    first, second = f"{SEARCH}&lieu_id=31&date=2021-12-13", f"{SEARCH}&lieu_id=32&date=2021-12-13"
    probe, lines = walk(
        RdvServicePublicSpider,
        SEARCH,
        {
            SEARCH: places(SEARCH, 31, 32),
            first: week("2021-12-13+08:50", "2021-12-15+10:00"),
            second: week("2021-12-13+08:50", following=f"{SEARCH}&lieu_id=32&date=2021-12-20"),
            f"{SEARCH}&lieu_id=32&date=2021-12-20": week("2021-12-21+11:00"),
        },
    )
    assert probe.asked == [SEARCH, first, second, f"{SEARCH}&lieu_id=32&date=2021-12-20"]
    assert set(lines) == {"lieu-31", "lieu-32", None}
    assert wall(lines["lieu-31"]) == ["13 08:50", "15 10:00"]
    assert wall(lines["lieu-32"]) == ["13 08:50", "21 11:00"]
    assert wall(lines[None]) != []
    assert lines[None].reading.slot_count == 3


def test_empty_department_refused_in_2024_is_filled_in_by_the_short_link() -> None:
    slug = "recepisse-public_office"
    entry = f"{NO_DEPARTMENT}&motif_name_with_location_type={slug}"
    landed = f"{BASE}/prendre_rdv?public_link_organisation_id=2458&departement=92"
    asked = f"{landed}&motif_name_with_location_type={slug}"
    address = (PAGES / "rdv_service_public" / "address.html").read_text(encoding="utf-8")
    redirected = Page(landed, 200, {}, motives(landed, slug, "x-phone").encode(), (Redirect(302, landed),))
    probe, lines = walk(
        RdvServicePublicSpider,
        entry,
        {entry: address, f"{BASE}/org/2458": redirected, asked: places(asked, 31)},
    )
    assert probe.asked[:3] == [entry, f"{BASE}/org/2458", asked]
    assert set(lines) == {f"{slug}.lieu-31", None}
    assert wall(lines[f"{slug}.lieu-31"]) == ["13 08:50"]


def test_empty_department_ignored_in_2026_needs_one_request() -> None:
    entry = (
        f"{BASE}/prendre_rdv?departement=&motif_name_with_location_type=x-phone&public_link_organisation_id=1"
    )
    probe, lines = walk(RdvServicePublicSpider, entry, {entry: page(NONE)})
    assert probe.asked == [entry]
    assert lines[None].reading.rule == "rdv_service_public.none.search"


def test_presence_is_not_asked_at_every_visit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rdv_service_public, "PRESENCE_ONE_IN", 10**9)
    probe, _ = walk(RdvServicePublicSpider, SEARCH, {SEARCH: page(NONE)})
    assert probe.asked == [SEARCH]


def test_params_complete_the_address() -> None:
    entry = f"{SEARCH}&service_id=7&motif_name_with_location_type=x-phone"
    probe, _ = walk(
        RdvServicePublicSpider,
        SEARCH,
        {entry: page(NONE)},
        service_id=7,
        motif_name_with_location_type="x-phone",
    )
    assert probe.asked[0] == entry


def test_params_complete_the_address_that_a_short_link_leads_to() -> None:
    landed = Page(SEARCH, 200, {}, services(7, 8).encode(), (Redirect(302, SEARCH),))
    asked = f"{SEARCH}&service_id=7&motif_name_with_location_type=x-phone"
    probe, _ = walk(
        RdvServicePublicSpider,
        f"{BASE}/org/2458",
        {f"{BASE}/org/2458": landed, asked: page(NONE)},
        service_id="7",
        motif_name_with_location_type="x-phone",
    )
    assert probe.asked[:2] == [f"{BASE}/org/2458", asked]


def test_motives_without_slot_are_counters_beside_the_places_of_the_others() -> None:
    one, other = (f"{SEARCH}&motif_name_with_location_type={slug}" for slug in ("a-phone", "b-public_office"))
    probe, lines = walk(
        RdvServicePublicSpider,
        SEARCH,
        {SEARCH: motives(SEARCH, "a-phone", "b-public_office"), one: page(NONE), other: places(other, 31)},
    )
    assert {key: line.reading.outcome for key, line in lines.items()} == {
        "a-phone": Outcome.NONE,
        "b-public_office.lieu-31": Outcome.OFFERED,
        None: Outcome.OFFERED,
    }
    assert LINKS not in probe.asked


def test_same_motive_of_two_services_has_two_counters() -> None:
    seven, eight = f"{SEARCH}&service_id=7", f"{SEARCH}&service_id=8"
    pages = {SEARCH: services(7, 8), seven: motives(seven, "a-phone"), eight: motives(eight, "a-phone")}
    pages |= {f"{url}&motif_name_with_location_type=a-phone": page(NONE) for url in (seven, eight)}
    _, lines = walk(RdvServicePublicSpider, SEARCH, pages)
    assert set(lines) == {"a-phone", "service-8.a-phone", None}


def test_services_that_come_again_prove_nothing() -> None:
    seven = f"{SEARCH}&service_id=7"
    _, lines = walk(RdvServicePublicSpider, SEARCH, {SEARCH: services(7), seven: services(7, 9)})
    assert lines["service-7"].reading.rule == "rdv_service_public.unrecognised.choice-again"


def test_motives_that_come_again_prove_nothing() -> None:
    one = f"{SEARCH}&motif_name_with_location_type=a-phone"
    pages = {SEARCH: motives(SEARCH, "a-phone"), one: motives(SEARCH, "a-phone", "b-phone")}
    _, lines = walk(RdvServicePublicSpider, SEARCH, pages)
    assert lines["a-phone"].reading.rule == "rdv_service_public.unrecognised.choice-again"


def test_too_many_motives_over_all_services_are_not_walked() -> None:
    half = [f"m{n}-phone" for n in range(MAX_MOTIVES // 2 + 1)]
    seven, eight = f"{SEARCH}&service_id=7", f"{SEARCH}&service_id=8"
    pages = {SEARCH: services(7, 8), seven: motives(seven, *half), eight: motives(eight, *half)}
    probe, lines = walk(RdvServicePublicSpider, SEARCH, pages)
    assert len(probe.asked) == 3
    assert lines[None].reading.rule == "rdv_service_public.unrecognised.too-many-counters"


def test_places_beyond_the_cap_keep_the_date_of_their_card() -> None:
    numbers = range(1, MAX_PLACES_VISITED + 4)
    probe, lines = walk(RdvServicePublicSpider, SEARCH, {SEARCH: places(SEARCH, *numbers)})
    assert len(probe.asked) == 1 + MAX_PLACES_VISITED
    assert all(wall(lines[f"lieu-{n}"]) == ["13 08:50"] for n in numbers)
    assert "no second date" in (lines[f"lieu-{max(numbers)}"].reading.note or "")


def test_place_without_a_readable_date_is_unrecognised_beside_the_others() -> None:
    body = places(SEARCH, 31, 32).replace("lundi 13 décembre", "mardi 31 février", 1)
    _, lines = walk(RdvServicePublicSpider, SEARCH, {SEARCH: body})
    assert lines["lieu-31"].reading.outcome is Outcome.UNRECOGNISED
    assert lines["lieu-32"].reading.outcome is Outcome.OFFERED


def test_motive_that_is_taken_when_its_week_is_looked_at_is_none() -> None:
    first = f"{SEARCH}&lieu_id=31&date=2021-12-13"
    taken = (PAGES / "rdv_service_public" / "motif-retired.html").read_text(encoding="utf-8")
    _, lines = walk(RdvServicePublicSpider, SEARCH, {SEARCH: places(SEARCH, 31), first: taken})
    assert lines["lieu-31"].reading.outcome is Outcome.NONE


def test_answer_that_does_not_come_leaves_the_other_motives_their_line() -> None:
    pages = {SEARCH: motives(SEARCH, "a-phone", "b-phone")}
    _, lines = walk(RdvServicePublicSpider, SEARCH, pages)
    assert {line.reading.rule for line in lines.values()} == {"network.timeout"}
    assert set(lines) == {"a-phone", "b-phone", None}


def test_every_address_the_walk_makes_passes_the_gate() -> None:
    slug = "a-public_office"
    motive = f"{SEARCH}&motif_name_with_location_type={slug}"
    body = places(motive, 31).replace("date=2021-12-13", "date=2021-12-13+08%3A50%3A00+%2B0100")
    probe, _ = walk(RdvServicePublicSpider, SEARCH, {SEARCH: motives(SEARCH, slug), motive: body})
    assert len(probe.asked) == 3
    for url in probe.asked:
        assert GATE.refusal(Ask("GET", url, host="rdv.example.fr")) is None, url


def test_offset_of_the_link_is_kept_where_it_is_the_hour_shown() -> None:
    body = (PAGES / "rdv_service_public" / "lieu.html").read_text(encoding="utf-8")
    reunion = body.replace("%2B0100", "%2B0400")
    starts = read_page(Page(SEARCH, 200, {}, reunion.encode())).slots[0].starts
    assert isinstance(starts, datetime)
    assert starts.isoformat() == "2021-12-01T14:00:00+04:00"


@pytest.mark.parametrize("depth", [10, 100, 20_000])
def test_deep_json_is_no_list_of_links(depth: int) -> None:
    for body in ('{"public_links":' + "[" * depth, '{"public_links":' + "[" * depth + "]" * depth + "}"):
        assert read_public_links(Page(LINKS, 200, {}, body.encode())).outcome is Outcome.UNRECOGNISED


def test_service_of_one_motive_is_a_counter_of_its_own() -> None:
    seven, eight = f"{SEARCH}&service_id=7", f"{SEARCH}&service_id=8"
    pages = {SEARCH: services(7, 8), seven: page(NONE), eight: places(eight, 31)}
    _, lines = walk(RdvServicePublicSpider, SEARCH, pages)
    assert set(lines) == {"service-7", "service-8.lieu-31", None}
