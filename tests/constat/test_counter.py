"""The constat of one counter of a desk: its own lines, and nothing of the desk's other counters."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest

from guichets.constat import verify
from guichets.constat.wording import when
from guichets.sandbox.world import Temper
from guichets.sandbox.year import Story
from tests.constat.conftest import Made, World
from tests.constat.quarter import SENTENCES, make_quarter
from tests.database_fixtures import TEMPLATE, _fresh

pytestmark = [pytest.mark.xdist_group("constat"), pytest.mark.timeout(400)]

FIRST, LAST = date(2025, 3, 3), date(2025, 3, 23)
COUNTERS = {"17": "Étudiants", "18": "Salariés"}


@pytest.fixture(scope="module")
def counted(database_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Three weeks of a desk that offers dates now and then, at none of the two counters told of."""
    with contextmanager(_fresh)(database_server, TEMPLATE) as database:
        with database.connect() as connection:
            quarter = make_quarter(
                connection, tmp_path_factory.mktemp("counted"), seed=4, others=(), gap=None,
                story=Story(name="scarce", temper=Temper.SCARCE), first=FIRST, last=LAST,
                full_counters=COUNTERS,
            )  # fmt: skip
        yield World(database, quarter)


@pytest.fixture(scope="module")
def made(counted: World, tmp_path_factory: pytest.TempPathFactory) -> Made:
    out = tmp_path_factory.mktemp("made") / "constat"
    made = counted.constat(out, FIRST, LAST, "--counter", "17", GUICHETS_BROWSER="/nowhere/chromium")
    assert made.status == 0, made.stderr
    return made


def test_its_lines_are_those_of_the_counter_alone(counted: World, made: Made) -> None:
    truth = counted.quarter.of_counters["17"]
    assert len(truth) < len(counted.quarter.attempts)  # the desk was also visited in vain
    text = (made.out / "observations.csv").read_text(encoding="utf-8-sig")
    found = list(csv.DictReader(io.StringIO(text), delimiter=";"))
    assert [(row["observation"], row["resultat"], row["phrase"], row["preuve"]) for row in found] == [
        (str(one.id), "none", SENTENCES["none"], "scellée") for one in truth
    ]
    rows = (made.out / "preuves/lignes.jsonl").read_text(encoding="utf-8").splitlines()
    assert {json.loads(json.loads(row)["ligne"])["counter_key"] for row in rows} == {"17"}


def test_the_document_tells_of_the_counter_and_judges_it_apart(counted: World, made: Made) -> None:
    truth = counted.quarter.of_counters["17"]
    text = made.pdf_text()
    assert "Sous-choix Étudiants (17)" in text
    assert f"Tentatives {len(truth)} — avec offre 0 — aucun {len(truth)} " in text
    for one in truth:
        assert f"{when(one.at)} aucun rendez-vous proposé {SENTENCES['none']}" in text
    assert "des rendez-vous sont proposés [titre]" not in text
    assert "Les chiffres publiés sont ceux du guichet entier, tous sous-choix ensemble." in text
    assert counted.quarter.of("offered"), "the desk as a whole must offer for this to say anything"
    assert "Critère rempli. 3 semaines sans date" in made.stdout


def test_cover_archive_and_verification_name_the_counter(
    made: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    from pypdf import PdfReader

    (cover,) = PdfReader(made.out / "couverture.pdf").pages
    assert "sous-choix Étudiants (17)" in " ".join(cover.extract_text().split())
    for page in PdfReader(made.out / "constat.pdf").pages[1:]:
        assert ", sous-choix 17 · 03/03/2025" in page.extract_text()
    assert verify.main([str(made.zip)]) == 0
    assert "sous-choix 17, du 2025-03-03" in capsys.readouterr().out


def test_a_counter_without_a_line_in_the_period_is_one_line(counted: World, tmp_path: Path) -> None:
    made = counted.constat(tmp_path / "constat", FIRST, LAST, "--counter", "19")
    assert made.status == 2
    assert made.stderr.count("\n") == 1
    assert 'n\'a pas de sous-choix "19" ; ses sous-choix : "17" (Étudiants), "18" (Salariés)' in made.stderr


def test_lines_of_one_counter_do_not_pass_for_another_s(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "constat"
    shutil.copytree(made.out, folder)
    text = (
        (folder / "manifest.json").read_text(encoding="utf-8").replace('"counter": "17"', '"counter": "18"')
    )
    (folder / "manifest.json").write_text(text, encoding="utf-8")
    digest = hashlib.sha256(text.encode()).hexdigest()
    (folder / "manifest.sha256").write_text(f"{digest}  manifest.json\n", encoding="utf-8")
    assert verify.main([str(folder)]) == 1
    assert "la ligne est d'un autre guichet ou sous-choix" in capsys.readouterr().out
