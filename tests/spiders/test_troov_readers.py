"""What is special to consulates: which service a desk is about, and what is sent to the API."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from guichets.catalogue.model import Desk
from guichets.outcomes import Outcome
from guichets.page import Page
from guichets.replay.probe import walk_now
from guichets.visit import Asking, Line, Probe, R
from spiders.troov import TroovSpider, read_team, target_of

SITE = "https://consulat.gouv.fr"
SLUG = "ambassade-de-france-a-kinshasa"
TEAM = "6230a987df141cedfef4a188"
SHAKEN = {"x-gouv-handshake": "0123", "x-gouv-app-id": "fr.gouv$+a-meae-ttc"}
WINDOW = {"start": "2026-09-01", "end": "2026-10-29"}


def desk(url: str = f"{SITE}/{SLUG}/rendez-vous", **params: str) -> Desk:
    return Desk(id="99-x", family="troov", departement="99", office="Ambassade",
                procedure="consulaire", label="x", url=url, params=params)  # fmt: skip


def service(number: int, name: str, *, is_open: bool = True) -> dict[str, Any]:
    return {"_id": f"{number:024x}", "name": name, "is_open": is_open}


@pytest.mark.parametrize(
    ("url", "params", "slug", "name"),
    [
        (f"/{SLUG}/rendez-vous", {}, SLUG, ""),
        (f"/{SLUG}/rendez-vous/", {}, SLUG, ""),
        (f"/{SLUG}/rendez-vous?name=Visas", {}, SLUG, "Visas"),
        (f"/en/{SLUG}/appointment?name=Visas", {}, SLUG, "Visas"),
        (f"/{SLUG}/rendez-vous?name=R%C3%A9ception%20des%20%20demandes", {}, SLUG, "Réception des demandes"),
        (f"/{SLUG}/rendez-vous?name=Visas", {"service": "État civil"}, SLUG, "État civil"),
        ("/", {"slug": SLUG}, SLUG, ""),
        (f"/{SLUG}", {}, "", ""),
        (f"/{SLUG}/../x/rendez-vous", {}, "", ""),
        ("/", {"slug": "a/b"}, "", ""),
        ("/", {"slug": "É"}, "", ""),
    ],
)
def test_slug_and_service_come_from_params_or_address(
    url: str, params: dict[str, str], slug: str, name: str
) -> None:
    assert target_of(desk(SITE + url, **params)) == (slug, name)


class Scripted(Probe):
    """A visit of an API made of a few answers; ``asked`` are its requests."""

    def __init__(self, desk: Desk, services: list[dict[str, Any]], window: Any = WINDOW) -> None:
        super().__init__(desk, ZoneInfo("Europe/Paris"), read_team)
        team = {"_id": TEAM, "timezone": "Africa/Kinshasa", "reservations_shop_availabilty": services}
        self._answers = {"handshake": None, "slug": team, "get-interval": window}
        self.asked: list[tuple[str, str, Mapping[str, str]]] = []

    def now(self) -> datetime:
        return datetime(2026, 8, 31, 10, 0, tzinfo=UTC)

    async def _ask(self, url: str, asking: Asking, read: Callable[[Page], R]) -> R:
        self.asked.append((asking.method, url, dict(asking.headers)))
        name = next(word for word in self._answers if word in url)
        headers = {"content-type": "application/json"}
        if name == "handshake":
            return read(Page(url, 200, {**headers, **SHAKEN}))
        return read(Page(url, 200, headers, json.dumps(self._answers[name]).encode()))


def visited(probe: Scripted) -> list[Line]:
    walk_now(TroovSpider().walk(probe))
    return probe.lines()


VISAS = f"{SITE}/{SLUG}/rendez-vous?name=Visas"


def test_open_service_is_known_up_to_its_last_day_and_no_further() -> None:
    probe = Scripted(desk(VISAS), [service(1, "État civil"), service(2, " visas")])
    (line,) = visited(probe)
    reading = line.reading
    assert (reading.outcome, str(reading.horizon_end)) == (Outcome.CAPTCHA, "2026-10-29")
    assert dict(reading.facts) == {
        "timezone": "Africa/Kinshasa", "window_start": "2026-09-01", "window_days": "59"
    }  # fmt: skip
    api = "https://api.consulat.gouv.fr/api"
    assert [(method, url) for method, url, _ in probe.asked] == [
        ("HEAD", f"{api}/handshake"),
        ("GET", f"{api}/team/slug/{SLUG}?lang=fr"),
        ("GET", f"{api}/team/{TEAM}/reservations/get-interval?serviceId={2:024x}"),
    ]


def test_headers_of_the_handshake_are_sent_from_then_on() -> None:
    probe = Scripted(desk(VISAS), [service(1, "Visas")])
    visited(probe)
    plain = {"x-gouv-web": "fr.gouv.consulat", "Origin": SITE, "Referer": VISAS}
    shaken = {**plain, "x-csrf-token": "0123", "x-gouv-app-id": "fr.gouv$+a-meae-ttc"}
    assert [headers for _, _, headers in probe.asked] == [plain, shaken, shaken]


def test_closed_service_is_closed_and_its_window_not_asked() -> None:
    probe = Scripted(desk(VISAS), [service(1, "Visas", is_open=False), service(2, "Visas longs")])
    (line,) = visited(probe)
    assert (line.reading.outcome, line.reading.rule) == (Outcome.CLOSED, "troov.closed.service")
    assert len(probe.asked) == 2


def test_service_that_is_not_listed_is_neither_closed_nor_gone() -> None:
    (line,) = visited(Scripted(desk(VISAS), [service(1, "Visa"), service(2, "État civil")]))
    assert line.reading.rule == "troov.unrecognised.service-not-listed"
    assert line.reading.note == "listed: Visa, État civil"


def test_services_are_counters_where_the_desk_names_none() -> None:
    services = [service(1, "Visas"), service(2, "État civil", is_open=False), service(3, "CNI")]
    lines = visited(Scripted(desk(), services))
    assert [(line.counter.label, line.reading.outcome) for line in lines if line.counter] == [
        ("Visas", Outcome.CAPTCHA), ("État civil", Outcome.CLOSED), ("CNI", Outcome.CAPTCHA)
    ]  # fmt: skip
    assert lines[-1].reading.outcome is Outcome.CAPTCHA


def test_consulate_whose_services_are_all_closed_is_closed() -> None:
    services = [service(1, "Visas", is_open=False), service(2, "CNI", is_open=False)]
    (line,) = visited(Scripted(desk(), services))
    assert (line.counter, line.reading.rule) == (None, "troov.closed.every-service")


def test_broken_window_of_an_open_service_is_told_as_it_is() -> None:
    (line,) = visited(Scripted(desk(VISAS), [service(1, "Visas")], window=[]))
    assert line.reading.rule == "troov.unrecognised.window"


def test_other_api_is_asked_where_the_desk_names_one() -> None:
    probe = Scripted(desk(VISAS, api="http://127.0.0.9:8000/api/"), [service(1, "Visas")])
    visited(probe)
    assert {url.partition("/api/")[0] for _, url, _ in probe.asked} == {"http://127.0.0.9:8000"}


def test_address_without_a_slug_is_our_fault() -> None:
    probe = Scripted(desk(f"{SITE}/"), [])
    (line,) = visited(probe)
    assert (line.reading.rule, probe.asked) == ("troov.fault.entry-url", [])
