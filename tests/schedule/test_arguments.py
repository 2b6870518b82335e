"""The arguments of a crawl: what they select, and the one line a wrong one stops with."""

from __future__ import annotations

from typing import Any

import pytest

from guichets.errors import ArgumentError
from guichets.schedule.arguments import check_known, read_arguments
from guichets.schedule.lease import Selection

DESKS = {"92-nanterre-remise-titre": "ezbooking", "75-paris-troov": "troov"}
DEPARTEMENTS = ("01", "2A", "92", "971")


def test_no_argument_selects_what_is_due_everywhere() -> None:
    arguments = read_arguments("ezbooking", {})
    assert arguments.selection == Selection(family="ezbooking")
    assert arguments.minutes is None


@pytest.mark.parametrize(
    ("given", "field", "value"),
    [
        ({"departements": "92,93"}, "departements", ("92", "93")),
        ({"departements": " 92 , ,93, "}, "departements", ("92", "93")),
        ({"departements": "1,2a,971"}, "departements", ("01", "2A", "971")),
        ({"departements": 92}, "departements", ("92",)),
        ({"desks": "92-Nanterre-Remise-Titre"}, "desks", ("92-nanterre-remise-titre",)),
        ({"due": "all"}, "everything", True),
        ({"due": "due"}, "everything", False),
    ],
)
def test_argument_narrows_the_selection(given: dict[str, Any], field: str, value: object) -> None:
    assert getattr(read_arguments("ezbooking", given).selection, field) == value


@pytest.mark.parametrize(("given", "minutes"), [("10", 10.0), (0.5, 0.5), ("1e3", 1000.0), (" 5 ", 5.0)])
def test_minutes_are_a_number_above_zero(given: object, minutes: float) -> None:
    assert read_arguments("ezbooking", {"minutes": given}).minutes == minutes


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"departement": "92"}, r"^-a departement: unknown argument; .* Did you mean departements\?$"),
        ({"xyz": "1"}, r"^-a xyz: unknown argument; known: departements, desks, due, minutes\.$"),
        ({"due": "yes"}, r"^-a due='yes': expected due .* or all .*$"),
        ({"due": "All"}, r"^-a due='All': expected"),
        ({"departements": ""}, r"^-a departements='': expected values separated by commas$"),
        ({"desks": " , "}, r"^-a desks=' , ': expected values separated by commas$"),
        *(
            ({"minutes": wrong}, rf"^-a minutes={wrong!r}: expected a number of minutes above 0$")
            for wrong in ("ten", "0", "-1", "nan", "inf", "-inf", "", "1e99", "1,5")
        ),
    ],
)
def test_wrong_argument_stops_with_one_line_that_quotes_it(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message) as caught:
        read_arguments("ezbooking", given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        (Selection(family="ezbooking", departements=("2B",)), r"^-a departements='2B': unknown département"),
        (
            Selection(family="ezbooking", departements=("XX",)),
            r"`guichets catalogue list` shows what there is",
        ),
        (
            Selection(family="ezbooking", desks=("92-nanterre-remise-titres",)),
            r"^-a desks='92-nanterre-remise-titres': unknown desk\. Did you mean 92-nanterre-remise-titre\?$",
        ),
        (
            Selection(family="ezbooking", desks=("75-paris-troov",)),
            r"is of family troov: scrapy crawl troov -a desks=75-paris-troov$",
        ),
    ],
)
def test_unknown_place_or_desk_stops_with_one_line(selection: Selection, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        check_known(selection, desks=DESKS, departements=DEPARTEMENTS)


def test_known_places_and_desks_pass() -> None:
    check_known(
        Selection(family="ezbooking", departements=("2A", "971"), desks=("92-nanterre-remise-titre",)),
        desks=DESKS,
        departements=DEPARTEMENTS,
    )


def test_what_scrapyd_adds_to_every_job_is_no_mistake() -> None:
    assert read_arguments("ezbooking", {"_job": "3f2c", "_version": "1", "minutes": "5"}).minutes == 5
