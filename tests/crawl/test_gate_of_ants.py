"""What the hub of town halls must never be asked, tried through a real crawl."""

from __future__ import annotations

import json

import pytest

from guichets.crawl import meta
from tests.crawl_fixtures import Workshop
from tests.trespass_fixtures import Trespass, Tries, get, post, try_each

JSON = "application/json"
SLOTS = "meeting_point_ids=201&start_date=2026-11-30&end_date=2027-04-29&reason=CNI&documents_number=1"
SAID = {
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


def say(
    name: str, path: str = "/api/SlotsFromPositionStreaming", host: str = "{host}", **more: object
) -> Trespass:
    marks = {meta.UNTIL: ".*"}
    return Trespass(name, url=f"ws://{host}{path}", body=json.dumps({**SAID, **more}), meta=marks)


FORBIDDEN = (
    # named applicants
    get("applicants", "/api/searchApplicationIds?application_ids=6123155111"),
    post("applicants-by-post", "/api/searchApplicationIds", "{}", JSON),
    # the human check and its tokens
    get("captcha", "/api/initCaptchaJWT"),
    post("captcha-answer", "/api/validateCaptchaJWT", "{}", JSON),
    post("antibot", "/api/send_antibot_info", "{}", JSON),
    say("antibot-token", antibot_token="x"),
    say("captcha-token", reCAPTCHA_token="x"),
    # what takes a slot
    get("form-of-a-town", "/rendez-vous/201?creneau=202612211000"),
    # more than a visit needs
    get("every-mairie", "/api/getManagedMeetingPoints"),
    get("every-town-around", "{form}?longitude=3.0348&latitude=50.5491&radius_km=60"),
    say("every-town-of-60-km", radius_km=60),
    say("a-whole-departement", department_code="59"),
    say("without-a-department", department_code=""),
    say("search-that-widens-itself", smart_search=True),
    say("another-conversation", "/api/status"),
    get("two-mairies-at-once", f"/api/availableTimeSlots?{SLOTS}&meeting_point_ids=202"),
    Trespass("page-over-a-websocket", url="ws://{host}/api/status", meta={meta.UNTIL: ".*"}),
    *(
        Trespass(f"method-{method}", method, url="http://{host}/api/status")
        for method in ("POST", "PUT", "OPTIONS")
    ),
    say("another-host", host="{other}"),
    get("another-host-s-status", "/x", unleased=True),
)


@pytest.fixture(scope="module")
def tries(module_workshop: Workshop) -> Tries:
    return try_each(module_workshop, "ants", FORBIDDEN, mixture="none")


def test_no_forbidden_request_reaches_the_hub(tries: Tries) -> None:
    assert tries.received == []
    assert tries.box.tripwires() == []


def test_each_forbidden_request_ends_its_probe_as_our_fault(tries: Tries) -> None:
    assert {tries.desks[desk].name for desk in tries.result.desks} == {one.name for one in FORBIDDEN}
    assert tries.let_through == {}
    assert tries.stats["guichets/gate_refused"] == len(FORBIDDEN)
