"""The catalogue that comes with the program."""

from __future__ import annotations

from importlib.resources import files
from zoneinfo import ZoneInfo

import pytest

import guichets.catalogue
from guichets.catalogue import CHANNELS, FAMILIES, PROCEDURES, Catalogue, departements, load


@pytest.fixture(scope="module")
def bundled() -> Catalogue:
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("GUICHETS_CATALOGUE", raising=False)
        return load()


def test_the_101_departements_and_the_consulates_are_there() -> None:
    codes = list(departements())
    assert len(codes) == 102
    assert {"01", "2A", "2B", "971", "976", "99"} <= set(codes)
    assert "20" not in codes
    assert departements()["974"].zone == ZoneInfo("Indian/Reunion")


@pytest.mark.parametrize(
    ("family", "desks", "departements"),
    [
        ("ezbooking", 209, 98),
        ("rdv_prefecture", 26, 10),
        ("demarche_numerique", 1, 1),
        ("rdv_service_public", 1, 1),
        ("eappointment", 24, 5),
        ("troov", 9, 1),
        ("lutece", 21, 1),
        ("ants", 1, 1),
    ],
)
def test_every_verified_entry_is_a_desk(
    bundled: Catalogue, family: str, desks: int, departements: int
) -> None:
    known = [desk for desk in bundled.desks if desk.family == family]
    assert len(known) == desks
    assert len({desk.departement for desk in known}) == departements


def test_no_desk_stands_where_none_is_known(bundled: Catalogue) -> None:
    assert not {"972", "974"} & {desk.departement for desk in bundled.desks}


def test_every_row_is_dated_and_sourced_and_none_claims_to_be_closed(bundled: Catalogue) -> None:
    for desk in bundled.desks:
        assert desk.source, desk.id
        assert desk.note, desk.id
        assert desk.valid_to is None, desk.id
        assert desk.id.startswith(f"{desk.departement.lower()}-"), desk.id


def test_a_disabled_form_is_kept_with_what_was_seen(bundled: Catalogue) -> None:
    desk = bundled.desk("93-formulaire-9497")
    assert desk is not None
    assert "Ce lien a été désactivé définitivement" in (desk.note or "")


def test_the_known_channel_of_the_vienne_is_there(bundled: Catalogue) -> None:
    (channel,) = bundled.channels
    assert (channel.departement, channel.office) == ("86", "Préfecture de la Vienne")
    assert channel.channel == "phone"


def test_every_file_opens_with_a_word_to_volunteers() -> None:
    folder = files("guichets.catalogue").joinpath("data")
    for entry in folder.iterdir():
        if entry.name.endswith(".toml"):
            assert entry.read_text("utf-8").startswith("# "), entry.name


def test_the_documentation_names_every_closed_list_member() -> None:
    page = files("guichets").joinpath("../docs/catalogue.md").read_text("utf-8")
    for name in (*PROCEDURES, *FAMILIES, *CHANNELS):
        assert f"`{name}`" in page, name


def test_the_front_door_exists_as_announced() -> None:
    for name in guichets.catalogue.__all__:
        assert hasattr(guichets.catalogue, name)
