"""What RDV Service Public must never be asked, tried through a real crawl."""

from __future__ import annotations

import pytest

from tests.crawl_fixtures import Workshop
from tests.trespass_fixtures import Trespass, Tries, get, post, try_each

STARTS = "starts_at=2030-01-01+09%3A00%3A00+%2B0100"
SEARCH = "/prendre_rdv?departement=92&public_link_organisation_id=1"

FORBIDDEN = (
    # the booking, however it is begun
    get("take-a-slot", f"/users/rdv_wizard_step/new?motif_id=1&{STARTS}"),
    get("take-a-slot-by-wizard", f"/creneaux?lieu_id=1&motif_id=1&{STARTS}"),
    get("take-a-slot-without-lease", f"/creneaux?lieu_id=1&motif_id=1&{STARTS}", unleased=True),
    get("take-a-slot-as-if-redirected", f"/creneaux?{STARTS}", meta={"guichets_redirected": True}),
    get("join-a-workshop", "/users/rdvs/1/participations/new"),
    post("join-a-workshop-posted", "/users/rdvs/1/participations", "rdv_id=1"),
    get("reschedule", "/users/rdvs/1/creneaux"),
    post("book", "/users/rdvs", "motif_id=1"),
    get("slot-in-the-search", f"{SEARCH}&{STARTS}"),
    # accounts, invitations, agents
    get("sign-in", "/users/sign_in"),
    post("sign-in-posted", "/users/sign_in", "user[email]=x&user[password]=x"),
    get("sign-up", "/users/sign_up"),
    get("agents", "/agents/sign_in"),
    get("prescripteur", "/prendre_rdv_prescripteur"),
    get("prescripteur-in-the-search", f"{SEARCH}&prescripteur=1"),
    get("invitation", "/invitation?invitation_token=ABC"),
    get("invitation-in-the-search", f"{SEARCH}&invitation_token=ABC"),
    # APIs that need a key, and the open one asked wrongly
    get("ants", "/api/ants/availableTimeSlots?meeting_point_ids=1"),
    get("visioplainte", "/api/visioplainte/creneaux"),
    get("organisations", "/api/v1/organisations"),
    get("links-of-everywhere", "/api/v1/public_links"),
    post("links-posted", "/api/v1/public_links?territory=92", "{}", "application/json"),
    # bodies, methods and addresses
    post("search-posted", SEARCH, "departement=92"),
    get("get-with-body", SEARCH, body="departement=92"),
    *(Trespass(f"method-{method}", method, "http://{host}" + SEARCH) for method in ("HEAD", "PUT", "DELETE")),
    get("home", "/"),
    get("dots", "/org/1/../../users/sign_in"),
    get("encoded", "/%75sers/sign_in"),
    get("unknown-name", f"{SEARCH}&utm_source=x"),
    Trespass("another-host", url="http://{other}" + SEARCH),
)


@pytest.fixture(scope="module")
def tries(module_workshop: Workshop) -> Tries:
    return try_each(module_workshop, "rdv_service_public", FORBIDDEN, mixture="offered")


def test_no_forbidden_request_reaches_the_platform(tries: Tries) -> None:
    assert tries.received == []
    assert tries.box.tripwires() == []


def test_each_forbidden_request_ends_its_probe_as_our_fault(tries: Tries) -> None:
    assert {tries.desks[desk].name for desk in tries.result.desks} == {one.name for one in FORBIDDEN}
    assert tries.let_through == {}
    assert tries.stats["guichets/gate_refused"] == len(FORBIDDEN)
