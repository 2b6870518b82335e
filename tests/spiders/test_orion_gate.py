"""What an Orion page may ask of its host, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from guichets.gate import Ask
from spiders.orion import GATE

HOST = "esii-orion.com"
SITE = f"https://{HOST}"
API = "/orion/api/1"
SLOTS = f"{API}/rdv/bookings/availableSlotByDay"
PURPOSE = {
    "id": "6321bfa7f3e9db3bed5fed0d",
    "businessId": "SEJ04",
    "groupPurposeId": None,
    "name": "Demande de renouvellement de titre de séjour",
    "duration": "00:20:00",
    "visibility": "PUBLIC",
}
ASKED: dict[str, Any] = {
    "date": None,
    "maxElement": 100,
    "maxElementBySite": 10,
    "numberOfDay": 60,
    "accountId": "EVMSPI",
    "usagerUid": None,
    "purposes": [PURPOSE],
    "configId": "6321bfa7f3e9db3bed5fed0d",
    "duration": "00:20:00",
    "filterRequest": {
        "filterChannel": ["PHYSICAL"],
        "filterDay": [1, 2, 3, 4, 5],
        "filterPlaceCode": ["REN1"],
        "filterPlaceUrlCode": "REN1",
        "filterPlaceCodeCanChange": False,
        "filterResources": [],
    },
    "ignoreResource": False,
    "external": True,
    "indexPagination": 0,
    "slotsPerPage": 20,
}


def get(path: str) -> str | None:
    return GATE.refusal(Ask("GET", SITE + path, host=HOST))


def post(value: object, path: str = SLOTS, kind: str = "application/json") -> str | None:
    body = value if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False).encode()
    return GATE.refusal(Ask("POST", SITE + path, body, kind, host=HOST))


@pytest.mark.parametrize(
    "path",
    [
        "/orion-reservation/slots?account=EVMSPI&config=SEJOURUSARNVT&usemode=app&code=REN1",
        "/orion-reservation/slots?account=EVMSPI&config=SEJOURREMISE&usemode=app",
        "/orion-reservation/main.3f9c2d1a.js",
        "/orion-reservation/assets/i18n/fr.json?v=12",
        "/orion-reservation/styles.css",
        f"{API}/public/accounts/EVMSPI/configs/SEJOURUSARNVT",
        f"{API}/rdv/bookings/configuration?account=EVMSPI&code=REN1",
        "/robots.txt",
    ],
)
def test_page_its_parts_and_its_configuration_may_be_asked(path: str) -> None:
    assert get(path) is None


def test_the_published_call_may_be_sent() -> None:
    assert post(ASKED) is None
    assert post(ASKED, kind="application/json;charset=UTF-8") is None
    assert post({**ASKED, "date": "2026-12-01T00:00:00.000Z", "duration": 20}) is None


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/orion-reservation/",
        "/orion-reservation/slots",
        "/orion-reservation/slots?account=EVMSPI",
        "/orion-reservation/slots?account=EVMSPI&config=SEJ&slot=12",
        "/orion-reservation/slots?account=EVMSPI&config=SEJ&config=OTHER",
        "/orion-reservation/confirmation?account=EVMSPI&config=SEJ",
        "/orion-reservation/logo.png",
        "/orion-reservation/../orion/api/1/x.js",
        "/orion-reservation/main.js?user=12",
        f"{API}/rdv/bookings/createBooking",
        f"{API}/rdv/bookings/confirm/12",
        f"{API}/rdv/bookings/cancel?code=12",
        f"{API}/rdv/bookings/12/HOLD",
        f"{API}/rdv/booking/12",
        f"{API}/captcha",
        f"{API}/usager/12",
        f"{API}/users",
        f"{API}/auth/login",
        f"{API}/public/configs/SEJ?token=12",
        f"{API}/",
        f"{API}/a//b",
        f"{API}/a/../rdv",
        "/orion/api/2/public/configs",
        "/orion/live",
    ],
)
def test_no_other_address_may_be_asked(path: str) -> None:
    assert get(path) == "not-allowed"


@pytest.mark.parametrize(
    "change",
    [
        {"usagerUid": "0e9f"},
        {"usagerUid": ""},
        {"purposes": []},
        {"purposes": None},
        {"purposes": "all"},
        {"configId": None},
        {"accountId": "x y"},
        {"filterRequest": {"a": {"b": 1}}},
        {"external": "true"},
        {"email": "a@b.fr"},
        {"slot": 12},
    ],
    ids=str,
)
def test_call_that_says_more_or_names_a_person_is_refused(change: dict[str, Any]) -> None:
    assert post({**ASKED, **change}) == "body"


@pytest.mark.parametrize("name", sorted(ASKED))
def test_call_that_says_less_is_refused(name: str) -> None:
    assert post({key: value for key, value in ASKED.items() if key != name}) == "body"


@pytest.mark.parametrize(
    "path",
    [
        f"{API}/rdv/bookings/createBooking",
        f"{API}/rdv/bookings/confirm",
        f"{API}/rdv/bookings",
        f"{API}/rdv/bookings/availableSlotByDay/12",
        f"{API}/public/configs/SEJ",
        "/orion-reservation/slots?account=EVMSPI&config=SEJ",
    ],
)
def test_nothing_else_may_be_posted(path: str) -> None:
    assert post(ASKED, path) == "not-allowed"


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"])
def test_no_other_method_is_let_through(method: str) -> None:
    body = json.dumps(ASKED).encode()
    assert GATE.refusal(Ask(method, SITE + SLOTS, body, "application/json", host=HOST)) == "not-allowed"


@pytest.mark.parametrize(
    "url",
    [
        "https://www.googletagmanager.com/gtag.js",
        "https://esii-orion.com.example.org/orion-reservation/main.js",
        "https://www.esii-orion.com/orion-reservation/main.js",
    ],
)
def test_no_other_host_is_asked(url: str) -> None:
    assert GATE.refusal(Ask("GET", url, host=HOST)) == "off-host"


def test_a_connection_is_no_request() -> None:
    assert GATE.refusal(Ask("GET", f"wss://{HOST}/orion/live", host=HOST)) == "not-allowed"
