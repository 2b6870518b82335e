"""What an Orion visit concludes from its two signals: the answer about slots, and what the page shows."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest

from guichets.outcomes import Outcome
from guichets.page import Page, Reading
from guichets.visit import SHOWN, View
from spiders.orion import read_view

SITE = "https://esii-orion.com"
ENTRY = f"{SITE}/orion-reservation/slots?account=EVMSPI&config=SEJ&usemode=app"
SLOTS = f"{SITE}/orion/api/1/rdv/bookings/availableSlotByDay"
CONFIGURATION = f"{SITE}/orion/api/1/public/configuration"
DAYS: list[Any] = [{"day": "2026-12-03"}, {"day": "2026-12-01"}]
NONE = '<div class="user-msg">Aucun créneau.</div>'
ERROR = '<div class="user-msg error">Une erreur est survenue.</div>'
CALENDAR = "<p>mardi 1er décembre</p>"


def shown(body: str) -> Page:
    text = f"<!DOCTYPE html><html><body>{body}</body></html>"
    return Page(SHOWN + ENTRY, 200, {"content-type": "text/html; charset=utf-8"}, text.encode())


def answer(days: Any, status: int = 200) -> Page:
    body = json.dumps({"daySlots": days}).encode()
    return Page(SLOTS, status, {"content-type": "application/json"}, body)


def other(status: int, url: str = CONFIGURATION, body: bytes = b"{}") -> Page:
    return Page(url, status, {"content-type": "application/json"}, body)


def read(body: str, *answers: Page) -> Reading:
    document = Page(ENTRY, 200, {"content-type": "text/html"}, b"<html><script></script></html>")
    return read_view(View(shown=shown(body), answers=(document, *answers)))


@pytest.mark.parametrize(
    ("body", "answers", "outcome", "rule"),
    [
        pytest.param(NONE, [answer([])], "none", "none.empty-and-message", id="none"),
        pytest.param(CALENDAR, [answer(DAYS)], "offered", "offered.days", id="offered"),
        pytest.param(
            CALENDAR, [answer(DAYS), answer(DAYS)], "offered", "offered.days", id="asked-twice-the-same"
        ),
        pytest.param(
            CALENDAR, [answer(None, 500), answer(DAYS)], "offered", "offered.days", id="asked-again-after-500"
        ),
        pytest.param(
            CALENDAR, [answer([]), answer(DAYS)], "unrecognised", "unrecognised.answers-differ", id="differ"
        ),
        pytest.param(
            NONE + CALENDAR, [answer(DAYS)], "unrecognised", "unrecognised.days-beside-message",
            id="days-beside-message",
        ),
        pytest.param(
            ERROR, [answer(DAYS)], "unrecognised", "unrecognised.days-beside-message", id="days-beside-error"
        ),
        pytest.param(
            CALENDAR, [answer([])], "unrecognised", "unrecognised.empty-without-message", id="in-silence"
        ),
        pytest.param(
            ERROR, [answer([])], "unrecognised", "unrecognised.empty-beside-error", id="empty-beside-error"
        ),
        pytest.param(
            NONE + ERROR, [answer([])], "unrecognised", "unrecognised.empty-beside-error", id="both-messages"
        ),
        pytest.param(NONE, [answer(None)], "unrecognised", "unrecognised.answer", id="no-list"),
        pytest.param(NONE, [answer(None, 404)], "unrecognised", "unrecognised.answer-missing", id="404"),
        pytest.param(
            ERROR, [other(404)], "unrecognised", "unrecognised.part-missing", id="configuration-404"
        ),
        pytest.param(ERROR, [other(200)], "overloaded", "overloaded.error-message", id="error-alone"),
        pytest.param(NONE, [other(200)], "unrecognised", "unrecognised.never-asked", id="message-alone"),
        pytest.param("", [], "unrecognised", "unrecognised.never-asked", id="nothing-at-all"),
    ],
)  # fmt: skip
def test_both_signals_decide_together(body: str, answers: list[Page], outcome: str, rule: str) -> None:
    reading = read(body, *answers)
    assert (reading.outcome, reading.rule) == (Outcome(outcome), f"orion.{rule}")


@pytest.mark.parametrize("status", [500, 502, 503])
@pytest.mark.parametrize("page", [answer, lambda _, status: other(status)], ids=["slots", "configuration"])
def test_request_of_the_page_that_failed_is_the_platform_failing(page: Any, status: int) -> None:
    reading = read(ERROR, page([], status))
    assert (reading.outcome, reading.rule) == (Outcome.OVERLOADED, f"http.{status}")


def test_failed_part_does_not_matter_once_the_slots_are_known() -> None:
    assert read(NONE, other(404, f"{SITE}/orion-reservation/theme.css"), answer([])).outcome is Outcome.NONE


def test_dates_are_told_in_order_and_the_message_is_kept() -> None:
    reading = read(CALENDAR, answer(DAYS))
    assert [slot.starts.isoformat() for slot in reading.slots] == ["2026-12-01", "2026-12-03"]
    assert (reading.slot_count, reading.facts) == (2, ())
    assert dict(read(NONE, answer([])).facts) == {"messages": "Aucun créneau."}
    assert dict(read(ERROR, answer(DAYS)).facts) == {"messages": "Une erreur est survenue."}


def test_no_contradiction_keeps_a_date() -> None:
    for body in (NONE, ERROR):
        reading = read(body, answer(DAYS))
        assert (reading.slots, reading.slot_count) == ((), None)


@pytest.mark.parametrize("address", [SLOTS + "/", f"{SITE}/x/availableSlotByDay", SLOTS + "s"])
def test_only_the_platforms_own_address_answers_about_slots(address: str) -> None:
    page = Page(address, 200, {"content-type": "application/json"}, b'{"daySlots":[]}')
    assert read(NONE, page).rule == "orion.unrecognised.never-asked"


def test_outcome_does_not_depend_on_what_else_was_asked() -> None:
    others = [other(200), other(304), other(200, f"{SITE}/orion-reservation/main.js", b"x()")]
    for before, after in pairwise([[], *([one] for one in others), others]):
        assert read(NONE, *before, answer([]), *after).rule == "orion.none.empty-and-message"
