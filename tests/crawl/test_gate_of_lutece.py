"""What Lutece must never be asked, tried through a real crawl."""

from __future__ import annotations

import pytest

from tests.crawl_fixtures import Workshop
from tests.trespass_fixtures import Trespass, Tries, get, post, try_each

PORTAL = "/rdvtitres/jsp/site/Portal.jsp"
CALENDAR = f"{PORTAL}?page=appointment&view=getViewAppointmentCalendar&id_form=28"
FORM = f"{PORTAL}?page=appointment&view=getViewAppointmentForm&id_form=28"

FORBIDDEN = (
    # what holds, creates or changes an appointment
    get("hold-a-slot", f"{FORM}&starting_date_time=2030-01-01T09:00&anchor=step3"),
    get("hold-a-slot-without-date", FORM),
    get("hold-a-slot-without-lease", FORM, unleased=True),
    get("hold-a-slot-as-if-redirected", FORM, meta={"guichets_redirected": True}),
    get("hold-a-slot-as-if-robots", FORM, meta={"guichets_robots": True}),
    get("select-a-slot", f"{PORTAL}?page=appointment&action=doSelectSlot&idSlot=1"),
    get("two-views", f"{CALENDAR}&view=getViewAppointmentForm"),
    get("two-views-by-semicolon", f"{CALENDAR};view=getViewAppointmentForm"),
    get("slot-in-the-calendar", f"{CALENDAR}&starting_date_time=2030-01-01T09:00"),
    post("book", f"{PORTAL}?page=appointment", "action=doMakeAppointment&email=x"),
    post("calendar-posted", CALENDAR, "nbPlacesToTake=1"),
    post("search-posted", f"{PORTAL}?page=appointmentsearch", "action_search=x&from_date=01/01/2030"),
    get("cancel", f"{PORTAL}?page=appointment&view=getViewAppointmentCancel&ref=abc"),
    # accounts, other pages, other ways in
    get("sign-in", f"{PORTAL}?page=mylutece&action=login"),
    get("identity-search-action", f"{PORTAL}?page=appointmenttitresearch&action_presearch="),
    get("list-of-forms", f"{PORTAL}?page=appointment&view=getViewFormList"),
    get("back-office", "/rdvtitres/jsp/admin/AdminLogin.jsp"),
    get("rest", "/rdvtitres/rest/appointment/getAvailableTimeSlots"),
    get("home", "/"),
    # bodies, methods and addresses
    get("get-with-body", CALENDAR, body="nbPlacesToTake=1"),
    *(Trespass(f"method-{method}", method, "http://{host}" + CALENDAR) for method in ("HEAD", "PUT")),
    get("dots", f"/rdvtitres/jsp/site/../admin/AdminLogin.jsp?{CALENDAR.partition('?')[2]}"),
    get("many-places", f"{CALENDAR}&nbPlacesToTake=99"),
    Trespass("another-host", url="http://{other}" + CALENDAR),
    Trespass("account", url="https://moncompte.paris.fr/moncompte/"),
)


@pytest.fixture(scope="module")
def tries(module_workshop: Workshop) -> Tries:
    return try_each(module_workshop, "lutece", FORBIDDEN, mixture="offered")


def test_no_forbidden_request_reaches_the_portal(tries: Tries) -> None:
    assert tries.received == []
    assert tries.box.tripwires() == []


def test_each_forbidden_request_ends_its_probe_as_our_fault(tries: Tries) -> None:
    assert {tries.desks[desk].name for desk in tries.result.desks} == {one.name for one in FORBIDDEN}
    assert tries.let_through == {}
    assert tries.stats["guichets/gate_refused"] == len(FORBIDDEN)
