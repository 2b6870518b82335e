"""What may be asked of the consulates' API, and nothing else."""

from __future__ import annotations

import pytest

from guichets.gate import Ask
from spiders.troov import GATE

HOST = "api.consulat.gouv.fr"
API = f"https://{HOST}/api"
TEAM = "6230a987df141cedfef4a188"
SERVICE = "6346e242c47b29722d5f5f52"
SLUG = "ambassade-de-france-a-kinshasa"
WINDOW = f"/team/{TEAM}/reservations/get-interval?serviceId={SERVICE}"


def ask(method: str, path: str, body: bytes = b"", kind: str = "") -> str | None:
    return GATE.refusal(Ask(method, API + path, body, kind, host=HOST))


@pytest.mark.parametrize(
    ("method", "path"),
    [("HEAD", "/handshake"), ("GET", f"/team/slug/{SLUG}?lang=fr"), ("GET", WINDOW)],
)
def test_the_three_steps_before_the_human_check_may_be_asked(method: str, path: str) -> None:
    assert ask(method, path) is None
    assert ask(method, path, b"{}", "application/json") == "body"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/handshake"),
        ("HEAD", WINDOW),
        ("GET", f"/team/slug/{SLUG}"),
        ("GET", f"/team/slug/{SLUG}?lang=fr&lang=en"),
        ("GET", "/team/slug/../reservations-session?lang=fr"),
        ("GET", f"/team/{TEAM}?lang=fr"),
        ("GET", "/teams?lang=fr&name="),
        ("GET", f"/team/{TEAM}/reservations/get-interval"),
        ("GET", f"/team/{TEAM}/reservations/get-interval?serviceId=x"),
        ("GET", f"{WINDOW}&sessionId=1"),
        ("GET", "/captcha?locale=fr"),
        ("GET", f"/team/{TEAM}/reservations/availability?name=Visas&date=2026-09-01&places=1"),
        ("GET", f"/team/{TEAM}/reservations/avaibility?name=Visas"),
        ("GET", f"/team/{TEAM}/reservations-session?sessionId=1"),
        ("POST", f"/team/{TEAM}/reservations-session"),
        ("POST", f"/team/{TEAM}/reservations/exclude-days"),
        ("POST", f"/team/{TEAM}/reservations/family"),
        ("POST", f"/team/{TEAM}/reservations-session/1/update-step-value"),
        ("POST", f"/team/{TEAM}/reservations-session/1/update-dynamic-steps"),
        ("POST", "/test-turnstile"),
        ("POST", "/handshake"),
        ("POST", WINDOW),
        ("DELETE", WINDOW),
        ("OPTIONS", "/handshake"),
    ],
)
@pytest.mark.parametrize("body", [b"", b'{"captcha": "x"}'])
def test_all_else_is_refused(method: str, path: str, body: bytes) -> None:
    kind = "application/json" if body else ""
    assert ask(method, path, body, kind) == "not-allowed"


@pytest.mark.parametrize(
    "url",
    [
        f"https://consulat.gouv.fr/{SLUG}/rendez-vous",
        "https://challenges.cloudflare.com/turnstile/v0/api.js",
        f"https://api.consulat.gouv.fr.example.org/api/team/slug/{SLUG}?lang=fr",
    ],
)
def test_page_and_captcha_are_never_asked(url: str) -> None:
    assert GATE.refusal(Ask("GET", url, host=HOST)) == "off-host"
