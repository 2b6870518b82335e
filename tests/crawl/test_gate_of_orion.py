"""What Orion's host must never be asked, tried through a real crawl, by us and by its own page."""

from __future__ import annotations

import pytest

from tests.crawl_fixtures import Workshop
from tests.trespass_fixtures import Trespass, Tries, get, post, try_each

API = "/orion/api/1"
JSON = "application/json"
MAY_NOT = {  # scenes whose page sends by itself what no observer may: the gate's word, and what it did
    "odd-booking": ("gate.not-allowed", "createBooking"),
    "odd-person-in-request": ("gate.body", "availableSlotByDay"),
    "odd-beacon": ("gate.not-allowed", "createBooking"),
    "odd-form": ("gate.not-allowed", "confirm"),
    "odd-booking-window": ("gate.not-allowed", "createBooking"),
    "odd-socket": ("gate.not-allowed", "/live"),
    "odd-worker": ("gate.not-allowed", "hold"),
    "odd-leaves": ("gate.off-host", "/away"),
}

FORBIDDEN = (
    post("book", f"{API}/rdv/bookings/createBooking", '{"slot": 1}', JSON),
    post("confirm", f"{API}/rdv/bookings/confirm", "{}", JSON),
    post("slots-for-somebody", f"{API}/rdv/bookings/availableSlotByDay", '{"usagerUid": "0e9f"}', JSON),
    post("slots-without-anything", f"{API}/rdv/bookings/availableSlotByDay", "{}", JSON),
    get("hold", f"{API}/rdv/bookings/hold"),
    get("captcha", f"{API}/captcha"),
    get("person", f"{API}/usager/12"),
    get("account", f"{API}/auth/login"),
    get("picture", "/orion-reservation/logo.png"),
    get("confirmation-page", "/orion-reservation/confirmation"),
    *(Trespass(f"method-{method}", method) for method in ("PUT", "DELETE", "OPTIONS")),
    Trespass("another-host", url="http://{other}{form}"),
)


@pytest.fixture(scope="module")
def tries(module_workshop: Workshop) -> Tries:
    return try_each(module_workshop, "orion", FORBIDDEN, mixture="none")


def test_no_forbidden_request_reaches_the_host(tries: Tries) -> None:
    assert tries.received == []
    assert tries.box.tripwires() == []


def test_each_forbidden_request_ends_its_probe_as_our_fault(tries: Tries) -> None:
    assert {tries.desks[desk].name for desk in tries.result.desks} == {one.name for one in FORBIDDEN}
    assert tries.let_through == {}
    assert tries.stats["guichets/gate_refused"] == len(FORBIDDEN)


def test_page_that_books_by_itself_is_stopped_and_nothing_leaves(workshop: Workshop) -> None:
    box = workshop.sandbox(desks=len(MAY_NOT), departements=4, mixture="none", family="orion")
    scenes = dict(zip([desk["id"] for desk in box.desks()], MAY_NOT, strict=True))
    for desk, scene in scenes.items():
        box.set_scene(desk, scene)
    result = workshop.crawler(box.catalogue).run("orion")
    assert box.tripwires() == []
    found = {scenes[desk]: (line["outcome"], line["rule"]) for desk, line in result.desks.items()}
    assert found == {scene: ("observer_fault", rule) for scene, (rule, _) in MAY_NOT.items()}
    refused = [line for line in result.log.splitlines() if "the gate refused a request" in line]
    for scene, (_, address) in MAY_NOT.items():
        assert any(address in line for line in refused), scene
    asked = {entry["path"].rpartition("/")[2] for entry in box.ledger()}
    assert not asked & {"createBooking", "confirm", "hold", "live", "away"}
