"""What may be asked of RDV Service Public, and nothing else."""

from __future__ import annotations

import pytest

from guichets.gate import Ask
from spiders.rdv_service_public import GATE

HOST = "rdv.anct.gouv.fr"
BASE = f"https://{HOST}"
SEARCH = "/prendre_rdv?departement=92&public_link_organisation_id=2458"


@pytest.mark.parametrize(
    "path",
    [
        SEARCH,
        "/prendre_rdv",
        "/prendre_rdv?departement=&public_link_organisation_id=2458",
        f"{SEARCH}&service_id=7&motif_name_with_location_type=recepisse_-public_office",
        f"{SEARCH}&lieu_id=3&date=2021-12-13",
        f"{SEARCH}&lieu_id=3&date=2021-12-13+08%3A50%3A00+%2B0100",
        f"{SEARCH}&lieu_id=3&date=2021-12-13T08%3A50%3A00.000%2B01%3A00",
        f"{SEARCH}&organisation_ids%5B%5D=1&organisation_ids%5B%5D=2",
        "/prendre_rdv?departement=62&city_code=62041&latitude=50.28&longitude=2.78&address=Arras+62000",
        "/prdv?departement=62",
        "/org/2458",
        "/org/2458/prefecture-des-hauts-de-seine",
        "/org/ext/26/abc",
        "/api/v1/public_links?territory=2A",
    ],
)
def test_search_and_short_links_may_be_asked(path: str) -> None:
    assert GATE.refusal(Ask("GET", BASE + path, host=HOST)) is None


def test_home_is_only_followed() -> None:
    assert GATE.refusal(Ask("GET", f"{BASE}/", host=HOST)) == "not-allowed"
    assert GATE.refusal(Ask("GET", f"{BASE}/", host=HOST, redirected=True)) is None


@pytest.mark.parametrize("redirected", [False, True])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/users/rdv_wizard_step/new?motif_id=1&starts_at=2030-01-01+09%3A00%3A00+%2B0100"),
        ("GET", "/users/sign_in"),
        ("GET", "/users/rdvs/12/participations/new"),
        ("GET", "/users/rdvs/12/creneaux"),
        ("GET", "/creneaux?starts_at=2030-01-01+09%3A00%3A00+%2B0100&lieu_id=1&motif_id=1"),
        ("GET", "/creneaux"),
        ("GET", f"{SEARCH}&starts_at=2030-01-01"),
        ("GET", f"{SEARCH}&invitation_token=ABC"),
        ("GET", f"{SEARCH}&prescripteur=1"),
        ("GET", f"{SEARCH}&referent_ids%5B%5D=1"),
        ("GET", f"{SEARCH}&departement=93"),
        ("GET", f"{SEARCH};lieu_id=1"),
        ("GET", f"{SEARCH}&motif_id=1+or+1"),
        ("GET", f"{SEARCH}&address=moi%40example.fr"),
        ("GET", "/prendre_rdv_prescripteur"),
        ("GET", "/agents/sign_in"),
        ("GET", "/invitation?invitation_token=ABC"),
        ("GET", "/api/v1/public_links"),
        ("GET", "/api/v1/public_links?territory=92&x=1"),
        ("GET", "/api/v1/organisations"),
        ("GET", "/api/ants/availableTimeSlots?meeting_point_ids=1"),
        ("GET", "/api/visioplainte/creneaux"),
        ("GET", "/org/2458?departement=92"),
        ("GET", "/org/2458/x/y"),
        ("GET", "/org/"),
        ("HEAD", SEARCH),
        ("POST", "/prendre_rdv"),
        ("DELETE", SEARCH),
    ],
)
def test_all_else_is_refused(method: str, path: str, redirected: bool) -> None:
    assert GATE.refusal(Ask(method, BASE + path, host=HOST, redirected=redirected)) == "not-allowed"


def test_no_row_has_a_body() -> None:
    assert {(row.method, row.fields, row.body) for row in GATE.rows} == {("GET", None, None)}
