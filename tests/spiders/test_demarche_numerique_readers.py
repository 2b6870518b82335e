"""Démarche numérique: the walk, what the descriptor adds, and what a hop to one's own name is not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from guichets.catalogue.model import Desk
from guichets.outcomes import Outcome
from guichets.page import Page, Reading
from guichets.replay.probe import Answer, ReplayedProbe, walk_now
from guichets.visit import is_drawn
from spiders.demarche_numerique import DESCRIPTOR_ONE_IN, DemarcheNumeriqueSpider, read_page
from tests.spiders.page_table import PAGES

SITE = "https://demarche.numerique.gouv.fr"
START = datetime(2026, 3, 24, 10, 17, tzinfo=UTC)
DESK = Desk(
    id="78-essai",
    family="demarche_numerique",
    departement="78",
    office="Préfecture",
    procedure="aes",
    label="Essai",
    url=f"{SITE}/commencer/rendez-vous-aes",
)


def hour(*, due: bool) -> datetime:
    hours = (START + timedelta(hours=number) for number in range(500))
    return next(at for at in hours if is_drawn(DESK.id, at, DESCRIPTOR_ONE_IN) is due)


def answer(path: str, file: str = "", *, at: datetime, status: int = 200, location: str = "") -> Answer:
    body = (PAGES / "demarche_numerique" / file).read_bytes() if file else b""
    kind = "application/json" if file.endswith(".json") else "text/html"
    headers = {"content-type": kind, **({"location": location} if location else {})}
    page = Page(SITE + path, status, headers, body)
    return Answer("GET", SITE + path, b"", False, at, 0.2, location or None, page, f"{path} {file}")


def visit(*answers: Answer, url: str = DESK.url) -> Reading:
    probe = ReplayedProbe(replace(DESK, url=url), ZoneInfo("Europe/Paris"), read_page, answers)
    walk_now(DemarcheNumeriqueSpider().walk(probe))
    return probe.readings()[None]


def test_open_procedure_is_open() -> None:
    reading = visit(answer("/commencer/rendez-vous-aes", "open.html", at=hour(due=False)))
    assert reading.outcome is Outcome.OPEN
    assert [name for name, _ in reading.facts] == ["title"]


def test_descriptor_adds_facts_once_in_a_while() -> None:
    at = hour(due=True)
    page = answer("/commencer/rendez-vous-aes", "open.html", at=at)
    reading = visit(page, answer("/preremplir/rendez-vous-aes/schema", "descriptor.json", at=at))
    assert reading.rule == "demarche_numerique.open.callout"
    assert dict(reading.facts)["number"] == "88444"
    missing = answer("/preremplir/rendez-vous-aes/schema", "descriptor.json", at=at, status=404)
    assert [name for name, _ in visit(page, missing).facts] == ["title"]
    assert visit(page).outcome is Outcome.OPEN


def test_hop_to_its_own_name_is_no_move() -> None:
    at, http = hour(due=False), "http://demarche.numerique.gouv.fr/commencer/rendez-vous-aes"
    hop = replace(answer("", at=at, status=302, location=DESK.url), url=http)
    hop = replace(hop, page=replace(hop.page, url=http))
    reading = visit(hop, answer("/commencer/rendez-vous-aes", "open.html", at=at), url=http)
    assert reading.outcome is Outcome.OPEN


def test_replaced_procedure_has_moved_and_says_where() -> None:
    at = hour(due=True)  # a procedure that has moved is not described
    reading = visit(
        answer("/commencer/ancienne", at=at, status=302, location=DESK.url),
        answer("/commencer/rendez-vous-aes", "open.html", at=at),
        url=f"{SITE}/commencer/ancienne",
    )
    assert (reading.outcome, reading.note) == (Outcome.MOVED, DESK.url)
    assert reading.facts == (("moved_to", DESK.url),)


def test_address_that_is_no_procedure_asks_nothing() -> None:
    page = answer("/commencer/rendez-vous-aes", "open.html", at=START)
    assert visit(page, url=f"{SITE}/users/sign_in").rule == "demarche_numerique.fault.entry-url"
