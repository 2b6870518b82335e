"""``guichets catalogue mairies``: desks from the hub's own list, which a catalogue takes as they are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from guichets.catalogue import load
from guichets.catalogue.mairies import departement_of_postcode

Run = Callable[..., tuple[int, str, str]]


def mairie(
    city: Any, zip_code: Any, longitude: Any = 3.0348016639327, latitude: Any = 50.549140395451
) -> dict[str, Any]:
    return {
        "id": "201",
        "name": "Mairie",
        "city_name": city,
        "zip_code": zip_code,
        "longitude": longitude,
        "latitude": latitude,
    }


LISTED = [
    mairie("Seclin", "59113"),
    mairie("Seclin", "59113", 3.04),  # an annexe: the town is one desk
    mairie("L'Haÿ-les-Roses", "94240"),
    mairie("Sainte-Rose", "97115", -61.7, 16.33),
    mairie("Bonifacio", "20169", 9.16, 41.39),
    mairie("Romorantin-Lanthenay", "41200", 1.751597, 47.349797),  # the bundled desk
]


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("GUICHETS_CATALOGUE", raising=False)
    path = tmp_path / "mairies.json"
    path.write_text(json.dumps(LISTED, ensure_ascii=False), encoding="utf-8")
    return path


def test_towns_that_are_not_known_become_desks_that_a_catalogue_takes(
    run: Run, file: Path, tmp_path: Path
) -> None:
    status, out, err = run("catalogue", "mairies", str(file))
    assert status == 0, err
    assert err.endswith("4 desks proposed of 5 towns; review them.\n")
    folder = tmp_path / "catalogue"
    folder.mkdir()
    for table in out.split("[[desk]]")[1:]:
        code = table.partition('departement = "')[2].partition('"')[0]
        (folder / f"{code}.toml").write_text(f"[[desk]]{table}", encoding="utf-8")
    assert [(desk.id, desk.office, desk.label) for desk in load(folder).desks] == [
        ("2a-ants-bonifacio-20169-cni", "Mairie de Bonifacio", "Carte nationale d'identité"),
        ("59-ants-seclin-59113-cni", "Mairie de Seclin", "Carte nationale d'identité"),
        ("94-ants-l-hay-les-roses-94240-cni", "Mairie de L'Haÿ-les-Roses", "Carte nationale d'identité"),
        ("971-ants-sainte-rose-97115-cni", "Mairie de Sainte-Rose", "Carte nationale d'identité"),
    ]


def test_another_reason_is_another_desk(run: Run, file: Path) -> None:
    status, out, err = run("catalogue", "mairies", str(file), "--reason", "PASSPORT")
    assert (status, out.count("[[desk]]")) == (0, 5), err
    assert 'label = "Passeport"' in out


def test_what_cannot_be_a_desk_is_left_out_and_said(run: Run, file: Path) -> None:
    odd = [
        mairie(None, "59113"),
        mairie("Seclin", None),
        mairie("Seclin", "2A000"),
        mairie("Monaco", "98000"),
        mairie("Seclin", "59113", "est"),
        mairie("Seclin", "59113", 3.0, 91.0),
        mairie("Sec#lin", "59113"),
        "Seclin",
    ]
    file.write_text(json.dumps(odd), encoding="utf-8")
    status, out, err = run("catalogue", "mairies", str(file))
    assert (status, out) == (0, "")
    assert err.splitlines() == [
        *(
            f"mairie {place}: without a town, a postcode of a département, or a position"
            for place in range(1, 9)
        ),
        "0 desks proposed of 0 towns; review them.",
    ]


@pytest.mark.parametrize(
    ("text", "words", "said"),
    [
        ("{", [], "no JSON: the API's answer is a list of mairies"),
        ('{"detail": "X-HUB-RDV-AUTH-TOKEN header invalid"}', [], "no list: the API's answer"),
        ("[" * 90_000, [], "no JSON"),
        ("[]", ["--reason", "TITRE"], '--reason "TITRE" is unknown: choose CNI, PASSPORT, CNI-PASSPORT'),
        ("[]", ["--api", "api.example"], '--api "api.example" has no scheme'),
    ],
)
def test_mistake_is_one_line(run: Run, file: Path, text: str, words: list[str], said: str) -> None:
    file.write_text(text, encoding="utf-8")
    status, out, err = run("catalogue", "mairies", str(file), *words)
    assert (status, out) == (2, "")
    assert said in err
    assert "Traceback" not in err
    assert len(err.splitlines()) == 1


def test_file_that_is_not_there_is_one_line(run: Run, tmp_path: Path) -> None:
    status, _, err = run("catalogue", "mairies", str(tmp_path / "none.json"))
    assert (status, len(err.splitlines())) == (2, 1)
    assert "none.json" in err


@pytest.mark.parametrize(
    ("code", "departement"),
    [("59113", "59"), ("01000", "01"), ("20000", "2A"), ("20169", "2A"), ("20200", "2B"), ("20620", "2B"),
     ("97115", "971"), ("97600", "976"), ("98000", None), ("99999", None), ("5911", None), ("2A000", None),
     ("", None)],
)  # fmt: skip
def test_departement_is_told_by_the_postcode(code: str, departement: str | None) -> None:
    assert departement_of_postcode(code) == departement
