"""Each request that no observer may send is answered, and counted against whoever sent it."""

from __future__ import annotations

from datetime import UTC, datetime

import aiohttp
import pytest
from sandbox_walker import BEGIN, NEXT

from guichets.sandbox import Options, Sandbox

START = datetime(2026, 3, 24, 10, 17, tzinfo=UTC)
TAKE = {"nextButton": "Première plage horaire libre"}
FORM = "/booking/create/{number}"
CASES = [
    ("POST", f"{FORM}/4", TAKE, "first-slot-button"),
    ("POST", f"{FORM}/4", {}, "post-step-4"),
    ("POST", f"{FORM}/4", NEXT, "post-step-4"),
    ("POST", f"/index.php{FORM}/4", NEXT, "post-step-4"),
    ("POST", f"/layout/set/print{FORM}/4", NEXT, "post-step-4"),
    ("GET", f"{FORM}/5/1/1893456000", None, "step-5"),
    ("HEAD", f"{FORM}/5/1/1893456000", None, "step-5"),
    ("GET", f"{FORM}/5", None, "step-5"),
    *[("GET", f"{FORM}/{step}", None, f"step-{step}") for step in range(6, 10)],
    *[("POST", f"{FORM}/{step}", None, f"step-{step}") for step in range(6, 10)],
    ("GET", "/booking/confirm/abc", None, "booking-confirm"),
    ("GET", "/ezjscore/call/bookingserver::captcha", None, "captcha"),
    ("GET", "/ezplanning-verification/1", None, "ezplanning-verification"),
    ("POST", f"{FORM}/0", {"manageButton": "x"}, "field-manageButton"),
    ("POST", f"{FORM}/1", {"createButton": "x", **NEXT}, "field-createButton"),
    *[
        ("POST", f"{FORM}/1", {name: "x"}, f"field-{name}")
        for name in (
            "g-recaptcha-response", "eZHumanCAPTCHACode", "firstname", "lastname", "email", "emailcheck",
            "number_agdref", "end_date_validity", "post_code", "is_foreign",
        )
    ],
    ("POST", f"{FORM}/3", BEGIN, "step-3-button"),
    ("POST", f"{FORM}/3", TAKE, "first-slot-button"),
    ("POST", f"{FORM}/0", TAKE, "first-slot-button"),
    ("PUT", f"{FORM}/0", {}, "method-PUT"),
    ("DELETE", f"{FORM}/0", None, "method-DELETE"),
]  # fmt: skip
PERMITTED = [
    ("GET", FORM, None),
    ("GET", f"{FORM}/0", None),
    ("GET", f"{FORM}/1", None),
    ("GET", f"{FORM}/4", None),
    ("POST", f"{FORM}/0", BEGIN),
    ("POST", f"{FORM}/1", {"planning": "1", **NEXT}),
    ("POST", f"{FORM}/2", {"finishButton": "Terminer"}),
    ("POST", f"{FORM}/3", NEXT),
    ("POST", f"{FORM}/3", {}),
    ("GET", "/ezjscore/call/bookingserver::planning::assign::{number}::1::7", None),
    ("GET", "/robots.txt", None),
    ("GET", "/", None),
]


@pytest.fixture
async def sandbox():
    options = Options(port=0, desks=2, departements=2, speed=0, start=START, mixture="offered")
    async with Sandbox(options) as sandbox:
        yield sandbox


async def _ask(sandbox, method, path, fields):
    desk = next(iter(sandbox.play.desks.values()))
    url = f"http://{sandbox.sites.states[desk.host].name}{path.format(number=desk.draft.number)}"
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, data=fields, allow_redirects=False) as answer,
    ):
        await answer.read()
        return answer.status


@pytest.mark.parametrize(("method", "path", "fields", "rule"), CASES)
async def test_forbidden_request_trips(sandbox, method, path, fields, rule):
    await _ask(sandbox, method, path, fields)
    assert sandbox.tripwire_counts() == {rule: 1}


@pytest.mark.parametrize(("method", "path", "fields"), PERMITTED)
async def test_permitted_request_does_not_trip(sandbox, method, path, fields):
    await _ask(sandbox, method, path, fields)
    assert sandbox.tripwire_counts() == {}
    assert sandbox.ledger.count == 1


async def test_pressing_the_first_slot_button_is_answered_as_a_site_would(sandbox):
    assert await _ask(sandbox, "POST", f"{FORM}/4", TAKE) == 302
    assert await _ask(sandbox, "GET", f"{FORM}/6", None) == 200


async def test_asking_a_desk_that_robots_txt_forbids_trips(sandbox):
    sandbox.set_scene("*", "robots-forbidden")
    assert await _ask(sandbox, "GET", "/robots.txt", None) == 200
    assert sandbox.tripwire_counts() == {}
    await _ask(sandbox, "GET", FORM, None)
    assert sandbox.tripwire_counts() == {"robots-ignored": 1}


async def test_asking_what_a_switched_robots_txt_forbids_trips(sandbox):
    sandbox.set_host("*", {"robots": "User-agent: *\nDisallow: /booking/\n"})
    await _ask(sandbox, "GET", FORM, None)
    assert sandbox.tripwire_counts() == {"robots-ignored": 1}


async def test_following_a_redirect_off_the_host_trips(sandbox):
    sandbox.set_scene("*", "redirect-off-host")
    desk = sandbox.desk_list()[0]
    async with aiohttp.ClientSession() as session, session.get(desk["url"]) as answer:
        await answer.read()
    assert sandbox.tripwire_counts() == {"off-host": 1}
