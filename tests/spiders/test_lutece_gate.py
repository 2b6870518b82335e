"""What may be asked of Lutece, and nothing else."""

from __future__ import annotations

import pytest

from guichets.gate import Ask
from spiders.lutece import GATE

HOST = "teleservices.paris.fr"
PORTAL = f"https://{HOST}/rdvtitres/jsp/site/Portal.jsp"
CALENDAR = "?page=appointment&view=getViewAppointmentCalendar&id_form=28"


@pytest.mark.parametrize(
    "query",
    [
        "?page=appointmentsearch",
        "?page=appointmentsearch&view=search&category=titres",
        "?page=appointmentsearch&view=search&category=titres&nb_consecutive_slots=1&role=none",
        CALENDAR,
        f"{CALENDAR}&nbPlacesToTake=1",
        "?page=appointmenttitresearch",
    ],
)
@pytest.mark.parametrize("portal", [PORTAL, f"https://{HOST}/jsp/site/Portal.jsp"])
def test_searches_and_calendars_may_be_asked(portal: str, query: str) -> None:
    assert GATE.refusal(Ask("GET", portal + query, host=HOST)) is None


@pytest.mark.parametrize("redirected", [False, True])
@pytest.mark.parametrize(
    ("method", "query"),
    [
        ("GET", "?page=appointment&view=getViewAppointmentForm&id_form=28"),
        (
            "GET",
            "?page=appointment&view=getViewAppointmentForm&id_form=28&starting_date_time=2030-01-01T09:00",
        ),
        ("GET", f"{CALENDAR}&starting_date_time=2030-01-01T09:00"),
        ("GET", f"{CALENDAR}&view=getViewAppointmentForm"),
        ("GET", f"{CALENDAR}&id_form=29"),
        ("GET", f"{CALENDAR};view=getViewAppointmentForm"),
        ("GET", f"{CALENDAR}&anchor=step3"),
        ("GET", f"{CALENDAR}&nbPlacesToTake=0"),
        ("GET", "?page=appointment&action=doSelectSlot&idSlot=1"),
        ("GET", "?page=appointment&view=getViewFormList"),
        ("GET", "?page=appointmentsearch&action_search=x"),
        ("GET", "?page=appointmenttitresearch&action_presearch="),
        ("GET", "?page=mylutece&action=login"),
        ("GET", ""),
        ("HEAD", CALENDAR),
        ("POST", "?page=appointmentsearch"),
        ("POST", CALENDAR),
    ],
)
def test_all_else_is_refused(method: str, query: str, redirected: bool) -> None:
    assert GATE.refusal(Ask(method, PORTAL + query, host=HOST, redirected=redirected)) == "not-allowed"


def test_account_is_another_host() -> None:
    ask = Ask("GET", "https://moncompte.paris.fr/moncompte/", host=HOST, redirected=True)
    assert GATE.refusal(ask) == "off-host"


def test_no_row_has_a_body() -> None:
    assert {(row.method, row.fields, row.body) for row in GATE.rows} == {("GET", None, None)}
