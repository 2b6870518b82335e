"""The press release of July 2017 in five kinds of statement, regenerated from a simulated second quarter."""

from __future__ import annotations

import csv
import io
import re

import pytest

from guichets.statistics import Statement, statements_of
from tests.site.conftest import Q1, Q2, World


@pytest.fixture(scope="module")
def told(world: World) -> dict[str, Statement]:
    report = world.reports.of(Q2)
    return {one.kind: one for one in statements_of(report, world.observatory, world.reports.rules)}


def test_coverage_counts_what_was_seen_enough(world: World, told: dict[str, Statement]) -> None:
    unseen = {*world.places_of("captcha"), *world.places_of("hardly-seen")}
    seen = sorted({desk.desk.departement for desk in world.year.desks} - unseen)
    assert list(told["coverage"].places) == seen
    assert re.search(
        r"sur 9 guichets de préfecture dans 9 départements, en \d+\W\d+ visites", told["coverage"].french
    )


def test_never_any_appointment_names_the_desks_without_one(world: World, told: dict[str, Statement]) -> None:
    assert list(told["never"].places) == world.places_of("never")
    assert told["never"].french.startswith(
        "Dans 2 départements, aucun rendez-vous n'a jamais été proposé de tout le trimestre"
    )
    assert len(told["never"].desks) == 2


def test_worsened_is_told_with_its_list(world: World, told: dict[str, Statement]) -> None:
    assert list(told["worse"].places) == world.places_of("worse")
    assert list(told["better"].places) == world.places_of("better")
    assert told["worse"].french == (
        "Par rapport au 1er trimestre 2017, la situation s'est aggravée dans 2 départements sur 9 "
        "comparables."
    )
    assert "became worse in 2 départements" in told["worse"].english


def test_late_appointments_are_those_beyond_the_limit(world: World, told: dict[str, Statement]) -> None:
    assert list(told["late"].places) == world.places_of("late")
    assert "la première date est le plus souvent à plus de 60 jours" in told["late"].french


def test_alternatives_come_from_the_catalogue(world: World, told: dict[str, Statement]) -> None:
    found = re.match(
        r"(\d+) services imposent internet, .* ; (\d+) services acceptent", told["alternatives"].french
    )
    assert found is not None
    # every fifth, ninth and thirteenth office has another way; and the hostile one a telephone
    assert (int(found[1]), int(found[2])) == (7, 5)
    assert len(told["alternatives"].offices) == 12


def test_the_page_of_the_quarter_says_each_sentence_and_leads_to_its_rows(
    world: World, told: dict[str, Statement]
) -> None:
    page = world.page("trimestres/2017-Q2.html")
    for one in told.values():
        assert one.french.replace("'", "&#39;") in page
    assert world.page("en/trimestres/2017-Q2.html").count('class="text"') == 6
    for link in re.findall(r'href="(\.\./donnees/[^"]+)"', page):
        assert (world.folder / "trimestres" / link).resolve().is_file()


def test_a_reader_can_count_the_worsened_again(world: World, told: dict[str, Statement]) -> None:
    text = (world.folder / f"donnees/comparaisons-{Q2}.csv").read_text(encoding="utf-8")
    rows = [row for row in csv.DictReader(io.StringIO(text)) if row["scope"] == "departement"]
    assert {row["against"] for row in rows} == {str(Q1)}
    ranked = sorted((row for row in rows if row["chance"]), key=lambda row: float(row["chance"]))
    kept = max(
        (
            rank
            for rank, row in enumerate(ranked, start=1)
            if float(row["chance"]) <= 0.05 * rank / len(ranked)
        ),
        default=0,
    )
    worse = sorted(row["name"] for row in ranked[:kept] if float(row["after"]) < float(row["before"]))
    assert worse == list(told["worse"].places)
