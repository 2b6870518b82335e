"""What the consulates' API must never be asked, tried through a real crawl."""

from __future__ import annotations

import pytest

from tests.crawl_fixtures import Workshop
from tests.trespass_fixtures import Trespass, Tries, get, post, try_each

TEAM = "/api/team/000000000000000000000001"
JSON = "application/json"
SESSION = '{"standaloneServiceName": "Visas", "sessionId": null, "captcha": "x"}'

FORBIDDEN = (
    # what opens a session, holds or books
    post("open-a-session", f"{TEAM}/reservations-session", SESSION, JSON),
    post("open-a-session-without-captcha", f"{TEAM}/reservations-session", "{}", JSON),
    post("step-value", f"{TEAM}/reservations-session/1/update-step-value", "{}", JSON),
    post("dynamic-steps", f"{TEAM}/reservations-session/1/update-dynamic-steps", "{}", JSON),
    post("book", f"{TEAM}/reservations/family", '{"reservations": {}}', JSON),
    post("who-has-booked", f"{TEAM}/reservations/family/already-reserved-by-users", "{}", JSON),
    # the human check
    post("turnstile", "/api/test-turnstile", '{"captcha": "x"}', JSON),
    get("captcha", "/api/captcha?locale=fr"),
    # what stands behind it
    post("closed-days", f"{TEAM}/reservations/exclude-days", '{"session": {}}', JSON),
    get("slots", f"{TEAM}/reservations/availability?name=Visas&date=2026-09-01&places=1"),
    get("slots-of-2022", f"{TEAM}/reservations/avaibility?name=Visas"),
    get("session", f"{TEAM}/reservations-session?sessionId=1"),
    # nearly right
    get("handshake-by-get", "/api/handshake"),
    get("window-of-no-service", f"{TEAM}/reservations/get-interval"),
    get("window-with-a-session", f"{TEAM}/reservations/get-interval?serviceId={1:024x}&sessionId=1"),
    get("every-team", "/api/teams?lang=fr&name="),
    get("page", "{form}"),
    *(
        Trespass(f"method-{method}", method, url="http://{host}/api/handshake")
        for method in ("POST", "PUT", "OPTIONS")
    ),
    Trespass("another-host", "HEAD", url="http://{other}/api/handshake"),
)


@pytest.fixture(scope="module")
def tries(module_workshop: Workshop) -> Tries:
    return try_each(module_workshop, "troov", FORBIDDEN, mixture="captcha")


def test_no_forbidden_request_reaches_the_api(tries: Tries) -> None:
    assert tries.received == []
    assert tries.box.tripwires() == []


def test_each_forbidden_request_ends_its_probe_as_our_fault(tries: Tries) -> None:
    assert {tries.desks[desk].name for desk in tries.result.desks} == {one.name for one in FORBIDDEN}
    assert tries.let_through == {}
    assert tries.stats["guichets/gate_refused"] == len(FORBIDDEN)
