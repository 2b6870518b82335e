"""Which contributed pages are a desk's own."""

from __future__ import annotations

import pytest

from guichets.catalogue.model import Desk
from guichets.contribution import belongs
from spiders.lutece import GATE

PORTAL = "https://teleservices.example.fr/rdvtitres/jsp/site/Portal.jsp"
CALENDAR = f"{PORTAL}?page=appointment&view=getViewAppointmentCalendar&id_form=28"
DESK = Desk(
    id="75-essai",
    family="lutece",
    departement="75",
    office="Mairie",
    procedure="cni_passeport",
    label="Essai",
    url=CALENDAR,
)


@pytest.mark.parametrize(
    ("url", "is_own"),
    [
        (CALENDAR, True),
        (f"{CALENDAR}&nbPlacesToTake=1", True),
        (f"{PORTAL}?id_form=28&view=getViewAppointmentCalendar&page=appointment", True),
        (CALENDAR.replace("28", "29"), False),
        (f"{PORTAL}?page=appointmentsearch&view=search", False),
        (PORTAL, False),
        (CALENDAR.replace("teleservices", "www"), False),
    ],
)
def test_page_of_another_form_under_the_same_path_is_not_the_desk_s(url: str, is_own: bool) -> None:
    assert belongs(DESK, url, GATE) is is_own
