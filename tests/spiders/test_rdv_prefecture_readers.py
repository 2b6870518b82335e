"""RDV-Préfecture: no secret is kept, calendars are read as they were drawn, the captcha is looked behind."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from guichets.catalogue.model import Desk
from guichets.outcomes import Outcome
from guichets.page import Page, Reading
from guichets.replay.probe import Answer, ReplayedProbe, walk_now
from guichets.sandbox.families import _rdv_prefecture_pages as pages
from guichets.sandbox.families import families
from guichets.sandbox.families.rdv_prefecture import displayed_week
from guichets.sandbox.plans import draw_desks, draw_hosts
from guichets.sandbox.play import Play
from guichets.sandbox.timing import SimulatedClock
from guichets.visit import is_drawn, verdict_fields
from spiders.rdv_prefecture import CANARY_ONE_IN, RdvPrefectureSpider, read_page
from tests.spiders.page_table import Expected, expected_pages

URL = "https://www.rdv-prefecture.interieur.gouv.fr/rdvpref/reservation/demarche/3771/"
SECRETS = ("tok3n0f0n3h0ur", "0123456789abcdef0123456789abcdef", "7f0c7c1e-0000-4000-8000", "1001", "trhId")
START = datetime(2026, 3, 24, 10, 17, tzinfo=UTC)


@pytest.mark.parametrize("expected", expected_pages("rdv_prefecture"), ids=lambda expected: expected.id)
def test_no_reading_holds_a_handle_a_context_or_a_token(expected: Expected) -> None:
    text = repr(read_page(expected.page))
    assert [secret for secret in SECRETS if secret in text] == []


# Calendars, drawn by the sandbox


def form_of(number: int, dates: str) -> pages.Form:
    return pages.Form("Isère", "Titre de séjour", number, "2", "4.3.1", dates, f"{number}")


def read_at(text: str) -> Reading:
    reading = read_page(Page(f"{URL}creneau/", 200, {"content-type": "text/html"}, text.encode()))
    assert reading.step == "creneau"
    return reading


def test_calendars_are_read_as_they_were_drawn() -> None:
    family = families()["rdv_prefecture"]
    hosts = draw_hosts(3, 10, [family])
    desks = draw_desks(seed=3, hosts=hosts, count=40, mixture="lives")
    found = set()
    for days in (0, 5, 12):  # around the night when clocks change
        play = Play(seed=3, desks=desks, clock=SimulatedClock(START + timedelta(days=days), speed=0))
        for desk in desks:
            situation = play.situation(desk)
            week = displayed_week(situation, situation.counters[0])
            form = form_of(desk.draft.number, desk.draft.manners.dates)
            reading = read_at(pages.slots_page(form, week, guarded=desk.draft.manners.guarded))
            fields = verdict_fields(reading, desk.zone)
            assert fields["horizon_end"] == week.last
            assert [slot.starts for slot in fields["slots"]] == (
                list(week.slots) or ([week.first_free] if week.first_free else [])
            )
            assert reading.outcome is (Outcome.OFFERED if week.first_free else Outcome.NONE)
            if week.next_release is not None:
                assert dict(reading.facts)["next_release"] == f"{week.next_release:%Y-%m-%dT%H:%M}"
            copied = read_at(pages.rendered_slots_page(form, week))
            assert copied.outcome is reading.outcome
            assert form.context not in repr(reading)
            found.add((reading.rule, copied.rule))
            if week.slots:  # the same desk, looked at in a week without any
                empty = replace(week, slots=(), monday=week.monday - timedelta(days=7))
                copied = read_at(pages.rendered_slots_page(form, empty))
                assert copied.slots[0].starts == week.first_free
                found.add((read_at(pages.slots_page(form, empty)).rule, copied.rule))
    assert {rule for rule, _ in found} == {
        "rdv_prefecture.none.blob",
        "rdv_prefecture.offered.blob-slots",
        "rdv_prefecture.offered.blob-first-date",
    }
    assert {rule for _, rule in found} == {
        "rdv_prefecture.none.heading",
        "rdv_prefecture.offered.rendered-slots",
        "rdv_prefecture.offered.next-date",
    }


# The walk


DESK = Desk(
    id="38-essai",
    family="rdv_prefecture",
    departement="38",
    office="Préfecture",
    procedure="autre",
    label="Essai",
    url=URL,
)
DUE = next(
    at for hours in range(5_000) if is_drawn(DESK.id, at := START + timedelta(hours=hours), CANARY_ONE_IN)
)
NOT_DUE = next(
    at for hours in range(99) if not is_drawn(DESK.id, at := START + timedelta(hours=hours), CANARY_ONE_IN)
)
FORM = form_of(3771, "iso")
LANDING, CONDITIONS = pages.landing_page(FORM), pages.conditions_page(FORM, conditions="a")
WEEK = pages.Week(
    monday=date(2026, 3, 30), earliest=date(2026, 3, 25), last=date(2026, 6, 1), first_free=date(2026, 3, 31)
)


def answer(path: str, text: str = "", *, at: datetime, status: int = 200, location: str = "") -> Answer:
    headers = {"content-type": "text/html", **({"location": location} if location else {})}
    page = Page(URL + path, status, headers, text.encode())
    return Answer("GET", URL + path, b"", False, at, 0.2, location or None, page, f"{path}{len(text)}")


def visit(*answers: Answer, url: str = URL) -> Reading:
    probe = ReplayedProbe(replace(DESK, url=url), ZoneInfo("Europe/Paris"), read_page, answers)
    walk_now(RdvPrefectureSpider().walk(probe))
    return probe.readings()[None]


def to_conditions(at: datetime) -> tuple[Answer, Answer]:
    return answer("", LANDING, at=at), answer("cgu/", CONDITIONS, at=at)


def test_captcha_ends_the_visit() -> None:
    reading = visit(*to_conditions(NOT_DUE))
    assert reading.rule == "rdv_prefecture.captcha.conditions"
    facts = dict(reading.facts)
    assert list(facts) == ["framework", "booking_link", "captcha", "conditions"]
    assert facts["conditions"].count("\n") > 5


def test_gate_that_still_stands_is_told() -> None:
    at = DUE
    error = "cgu/?error=errorSessionInvalide"
    reading = visit(
        *to_conditions(at),
        answer("creneau/", at=at, status=302, location=URL + error),
        answer(error, CONDITIONS, at=at),
    )
    assert reading.outcome is Outcome.CAPTCHA
    assert dict(reading.facts)["gate"] == "rdv_prefecture.captcha.session"
    assert "conditions" in dict(reading.facts)


def test_slots_shown_to_anybody_are_the_answer() -> None:
    reading = visit(*to_conditions(DUE), answer("creneau/", pages.slots_page(FORM, WEEK), at=DUE))
    assert reading.outcome is Outcome.OFFERED
    assert dict(reading.facts)["gate"] == "rdv_prefecture.offered.blob-first-date"
    assert "conditions" in dict(reading.facts)


def test_failure_behind_the_captcha_changes_nothing() -> None:
    reading = visit(*to_conditions(DUE), answer("creneau/", "x", at=DUE, status=503))
    assert (reading.outcome, dict(reading.facts)["gate"]) == (Outcome.CAPTCHA, "http.503")
    assert visit(*to_conditions(DUE)).outcome is Outcome.CAPTCHA  # nothing was asked then


def test_captcha_is_looked_behind_once_in_fifty_hours() -> None:
    hours = [START + timedelta(hours=hour) for hour in range(20_000)]
    due = sum(is_drawn("38-essai", at, CANARY_ONE_IN) for at in hours)
    assert len(hours) / due == pytest.approx(CANARY_ONE_IN, rel=0.15)
    paris = ZoneInfo("Europe/Paris")
    assert is_drawn(DESK.id, DUE.astimezone(paris), CANARY_ONE_IN)


def test_landing_in_place_of_the_conditions_is_out_of_order() -> None:
    reading = visit(answer("", LANDING, at=NOT_DUE), answer("cgu/", LANDING, at=NOT_DUE))
    assert (reading.rule, reading.step) == ("rdv_prefecture.unrecognised.out-of-order", "1")


def test_another_demarche_is_a_move() -> None:
    other = URL.replace("3771", "9999")
    there = Page(other, 200, {}, pages.landing_page(form_of(9999, "iso")).encode())
    reading = visit(
        answer("", at=NOT_DUE, status=301, location=other),
        Answer("GET", other, b"", False, NOT_DUE, 0.2, None, there, "there"),
    )
    assert (reading.rule, reading.note) == ("rdv_prefecture.moved.other-demarche", other)
    assert ("moved_to", other) in reading.facts


def test_address_that_is_no_demarche_asks_nothing() -> None:
    reading = visit(answer("", LANDING, at=NOT_DUE), url="https://www.example.fr/")
    assert reading.rule == "rdv_prefecture.fault.entry-url"
