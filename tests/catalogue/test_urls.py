"""Entry URLs: the bad ones and what they are told, the same ones and the different ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guichets.catalogue.urls import canonical_url, entry_key, host_problem, url_problem

GOOD = (
    "https://www.hauts-de-seine.gouv.fr/booking/create/12083",
    "http://127.0.0.20:8001/booking/create/12083",
    "http://[::1]:8001/booking/create/1/0",
    "http://localhost:8001/index.php/booking/create/1/",
    "https://www.haute-savoie.gouv.fr/layout/set/print/booking/create/29396",
)


@pytest.mark.parametrize("url", GOOD)
def test_real_entries_are_accepted(url: str) -> None:
    assert url_problem(url, "ezbooking") is None


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("www.ain.gouv.fr/booking/create/1", "has no scheme"),
        ("javascript:alert(1)", 'has the scheme "javascript"'),
        ("https:///booking/create/1", "has no host name"),
        ("https://user:word@www.ain.gouv.fr/booking/create/1", "holds a user name or password"),
        ("https://www.ain.gouv.fr/booking/create/1#top", 'holds a "#"'),
        ("https://www.ain.gouv.fr/booking/create/1 ", "holds a space or line break at position"),
        ("https://www.ain.gouv.fr/book\ning/create/1", "holds a space or line break"),
        ("https://www.ain.gouv.fr/\x01", "holds the character '\\x01'"),
        ("https://www.ain.gouv.fr:0/booking/create/1", "has no usable port"),
        ("https://www.ain.gouv.fr:/booking/create/1", "has no usable port"),
        ("https://www.ain.gouv.fr:99999/booking/create/1", "cannot be read: Port out of range"),
        ("https://www.ain.gouv.fr:http/booking/create/1", "cannot be read: Port could not be cast"),
        ("https://[::1/booking/create/1", "cannot be read: Invalid IPv6 URL"),
        ("https://préfecture.fr/booking/create/1", 'write the host in ASCII ("xn--prfecture-c4a.fr")'),
        (
            "https://www.ain.gouv.fr/réservation",
            'percent-encoded, "https://www.ain.gouv.fr/r%C3%A9servation"',
        ),
        ("https://www.ain.gouv.fr/%zz", "two hexadecimal digits"),
        ("https://300.1.1.1/booking/create/1", "is not an IP address"),
        ("https://127.0.0.0x1/booking/create/1", "is not an IP address"),
        ("https://-ain-.gouv.fr/booking/create/1", "is not a host name"),
        ("https://www.ain.gouv.fr./booking/create/1", "is not a host name"),
        ("https://www.ain.gouv.fr/a/../booking/create/1", 'a "." or ".." step'),
        ("https://www.ain.gouv.fr/booking/create/1?x=1", "holds a query string"),
        (
            "https://www.ain.gouv.fr/booking/create/804/4",
            'points inside the funnel: write its entry, "https://www.ain.gouv.fr/booking/create/804"',
        ),
        ("https://www.ain.gouv.fr/booking/confirm/1", "is not an EZBooking entry"),
        ("https://www.ain.gouv.fr/booking/create/", "is not an EZBooking entry"),
        ("https://www.ain.gouv.fr/" + "a" * 2000, "is longer than 2000 characters"),
    ],
)
def test_a_bad_url_is_told_what_to_change(url: str, problem: str) -> None:
    assert problem in (url_problem(url, "ezbooking") or "")


def test_other_families_keep_their_query() -> None:
    url = "https://rdv.example/appointment.do?sitekey="
    assert url_problem(f"{url}P941", "eappointment") is None
    assert entry_key("eappointment", f"{url}P941", {}) != entry_key("eappointment", f"{url}P942", {})
    assert entry_key("eappointment", f"{url}P941", {}) != entry_key("eappointment", f"{url}P941", {"dwr": 2})


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("HTTPS://WWW.Ain.Gouv.FR:443/Booking?A=B", "https://www.ain.gouv.fr/Booking?A=B"),
        ("http://127.0.0.20:8001/x", "http://127.0.0.20:8001/x"),
        ("http://[::1]:80/x", "http://[::1]/x"),
    ],
)
def test_one_host_has_one_spelling(url: str, canonical: str) -> None:
    assert canonical_url(url) == canonical


@pytest.mark.parametrize("host", ["www.ain.gouv.fr", "127.0.0.1:8001", "localhost"])
def test_hosts_are_accepted_with_or_without_a_port(host: str) -> None:
    assert host_problem(host) is None


@pytest.mark.parametrize("host", ["https://www.ain.gouv.fr", "a@b", "a b", "a:99999", "é.fr", "a:", ":8001"])
def test_what_is_not_a_host_is_refused(host: str) -> None:
    assert host_problem(host)


@given(st.text() | st.text().map(lambda text: f"https://{text}"))
def test_no_text_makes_the_check_fail(text: str) -> None:
    for family in ("ezbooking", "troov", "ants"):
        if url_problem(text, family) is None:
            canonical = canonical_url(text)
            assert url_problem(canonical, family) is None
            assert entry_key(family, canonical, {}) == entry_key(family, text, {})
    host_problem(text)


RDV_PREFECTURE = "https://www.rdv-prefecture.interieur.gouv.fr/rdvpref/reservation/demarche/3771"


@pytest.mark.parametrize("end", ["", "/"])
def test_entries_of_rdv_prefecture_are_accepted(end: str) -> None:
    assert url_problem(RDV_PREFECTURE + end, "rdv_prefecture") is None
    assert entry_key("rdv_prefecture", RDV_PREFECTURE + end, {}) == entry_key(
        "rdv_prefecture", RDV_PREFECTURE, {}
    )


@pytest.mark.parametrize(
    ("end", "problem"),
    [
        ("/cgu/", f'points inside the funnel: write its entry, "{RDV_PREFECTURE}/"'),
        ("/creneau", f'points inside the funnel: write its entry, "{RDV_PREFECTURE}/"'),
        ("/?error=x", "holds a query string"),
        ("x/", "is not a RDV-Préfecture entry"),
    ],
)
def test_wrong_entries_of_rdv_prefecture_are_explained(end: str, problem: str) -> None:
    assert problem in (url_problem(RDV_PREFECTURE + end, "rdv_prefecture") or "")


RDV = "https://rdv.anct.gouv.fr"


@pytest.mark.parametrize(
    "entry",
    [
        "/prendre_rdv?departement=&public_link_organisation_id=2458",
        "/prdv?departement=62",
        "/org/12",
        "/org/12/ccas-de-lille",
        "/org/ext/26/abc",
        "/org/ext/2A/abc/mairie",
    ],
)
def test_entries_of_rdv_service_public_are_accepted(entry: str) -> None:
    assert url_problem(RDV + entry, "rdv_service_public") is None


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("/users/rdv_wizard_step/new?starts_at=2030-01-01", "begins a booking"),
        ("/creneaux?lieu_id=1&starts_at=2030-01-01", "begins a booking"),
        ("/prendre_rdv?departement=62&invitation_token=ABC", 'holds "invitation_token"'),
        ("/org/12?departement=62", "holds a query string"),
        ("/", "is not an entry of RDV Service Public"),
        ("/org/ccas", "is not an entry of RDV Service Public"),
    ],
)
def test_wrong_entries_of_rdv_service_public_are_explained(entry: str, problem: str) -> None:
    assert problem in (url_problem(RDV + entry, "rdv_service_public") or "")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (
            "/prendre_rdv?departement=&public_link_organisation_id=1",
            "/prendre_rdv?public_link_organisation_id=1",
            True,
        ),
        ("/prendre_rdv?service_id=2&departement=62", "/prendre_rdv?departement=62&service_id=2", True),
        ("/prendre_rdv?departement=62", "/prendre_rdv?departement=59", False),
        ("/org/12", "/org/12/ccas", True),
        ("/org/12", "/org/13", False),
        ("/org/ext/26/abc", "/org/ext/26/abc/mairie", True),
        ("/org/ext/26/abc", "/org/ext/26/abd", False),
    ],
)
def test_same_search_of_rdv_service_public_is_one_entry(one: str, other: str, same: bool) -> None:
    keys = {entry_key("rdv_service_public", RDV + entry, {}) for entry in (one, other)}
    assert (len(keys) == 1) == same


LUTECE = "https://teleservices.paris.fr/rdvtitres/jsp/site/Portal.jsp"


@pytest.mark.parametrize(
    "query",
    [
        "?page=appointmentsearch&view=search&category=titres",
        "?page=appointment&view=getViewAppointmentCalendar&id_form=28&nbPlacesToTake=1",
        "?page=appointmenttitresearch",
    ],
)
def test_entries_of_lutece_are_accepted(query: str) -> None:
    assert url_problem(LUTECE + query, "lutece") is None


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("?page=appointment&view=getViewAppointmentForm&id_form=28", "holds a place in the calendar"),
        ("?page=appointmentsearch&starting_date_time=2030-01-01T09:00", "holds a place in the calendar"),
        ("?page=appointment&view=getViewAppointmentCalendar", "is not an entry of Lutece"),
        ("?page=appointment", "is not an entry of Lutece"),
        ("", "is not an entry of Lutece"),
    ],
)
def test_wrong_entries_of_lutece_are_explained(query: str, problem: str) -> None:
    assert problem in (url_problem(LUTECE + query, "lutece") or "")


ANTS = "https://api.rendezvouspasseport.ants.gouv.fr/api/SlotsFromPosition"
WHERE = "longitude=3.0348&latitude=50.5491&radius_km=20"
SECLIN = f"{WHERE}&reason=CNI&documents_number=1&address=Seclin%2059113"


@pytest.mark.parametrize(
    "query",
    [
        SECLIN,
        "address=L%27Ha%C3%BF-les-Roses%2094240&documents_number=2&reason=CNI-PASSPORT&" + WHERE,
        SECLIN.replace("3.0348", "-61.5"),
    ],
)
def test_searches_of_the_ants_api_are_accepted(query: str) -> None:
    assert url_problem(f"{ANTS}?{query}", "ants") is None


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://rendezvouspasseport.ants.gouv.fr/", "is not a search of the ANTS API"),
        (f"{ANTS}/?{SECLIN}", "is not a search of the ANTS API"),
        (f"{ANTS}?{SECLIN}&start_date=2026-11-30", 'holds "start_date": a search is longitude'),
        (f"{ANTS}?{SECLIN}&antibot_token=x", 'holds "antibot_token"'),
        (f"{ANTS}?{WHERE}&reason=CNI&documents_number=1", "must hold address once, such as address=Seclin"),
        (f"{ANTS}?{SECLIN.replace('59113', '')}", "must hold address once"),
        (f"{ANTS}?{SECLIN}&reason=PASSPORT", "must hold reason once"),
        (
            f"{ANTS}?{SECLIN.replace('CNI', 'TITRE')}",
            "must hold reason once, reason=CNI|PASSPORT|CNI-PASSPORT",
        ),
        (f"{ANTS}?{SECLIN.replace('=20', '=60')}", "must hold radius_km once, radius_km=20"),
        (f"{ANTS}?{SECLIN.replace('3.0348', 'est')}", "must hold longitude once, such as longitude=3.0348"),
    ],
)
def test_other_addresses_of_ants_are_explained(url: str, problem: str) -> None:
    assert problem in (url_problem(url, "ants") or "")


def test_order_of_a_search_of_ants_does_not_count() -> None:
    turned = "&".join(reversed(SECLIN.split("&")))
    assert entry_key("ants", f"{ANTS}?{SECLIN}", {}) == entry_key("ants", f"{ANTS}?{turned}", {})
    assert entry_key("ants", f"{ANTS}?{SECLIN}", {}) != entry_key("ants", f"{ANTS}?{SECLIN}", {"editor": "x"})
