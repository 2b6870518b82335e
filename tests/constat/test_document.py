"""Every line of the document is the truth of the simulated quarter, in the order a person hears it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from datetime import date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from pypdf import PdfReader, PdfWriter

from guichets.french import OUTCOMES
from tests.constat.conformity import PLANTS, faults, objects
from tests.constat.conftest import CASE, Made, World
from tests.constat.quarter import SESSION, Truth

pytestmark = [pytest.mark.xdist_group("constat"), pytest.mark.timeout(400)]

PARIS = ZoneInfo("Europe/Paris")
DAYS = ["lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche"]
MONTHS = ["janvier", "février", "mars"]
ORDER = (
    "La question posée", "Comment on a observé", "Le critère de « plusieurs semaines »",
    "Semaine par semaine",
    "Plus longue période sans offre", "Interruptions de notre veille", "Comparaison", "Pages archivées",
    "Corrections", "Ce que ce document ne prouve pas", "Qui l’a fait, et comment le vérifier",
    "Toutes les tentatives",
)  # fmt: skip


@pytest.fixture(scope="module")
def text(whole: Made) -> str:
    return whole.pdf_text()


def written(at: datetime) -> str:
    local = at.astimezone(PARIS)
    day = "1er" if local.day == 1 else local.day
    return f"{DAYS[local.weekday()]} {day} {MONTHS[local.month - 1]} {local.year} à {local:%H:%M:%S}"


def lasting(length: timedelta) -> str:
    minutes = round(length.total_seconds() / 60)
    if minutes >= 1440:
        return f"{minutes // 1440} j {minutes % 1440 // 60} h"
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"


def without_date(attempts: list[Truth]) -> list[Truth]:
    return [one for one in attempts if one.outcome in ("none", "closed")]


def folded(words: str) -> str:
    return " ".join(words.split())


def test_the_table_of_attempts_is_the_truth_line_by_line(text: str, world: World) -> None:
    expected = []
    before = None
    for number, one in enumerate(world.quarter.attempts, start=1):
        ours = one.outcome != "observer_fault"
        if before is not None and ours and one.at - before > timedelta(hours=12):
            expected.append(f"interruption aucune tentative : {lasting(one.at - before)}")
        expected.append(f"{number} {written(one.at)} {OUTCOMES[one.outcome]} {one.sentence or '–'}")
        before = one.at if ours else before
    told = text[text.rindex(f" {len(world.quarter.attempts)} lignes.") :].partition("lignes. ")[2]
    assert told == folded(" ".join(expected))


def test_the_weeks_are_the_truth(text: str, world: World) -> None:
    columns = {
        "offered": 0, "none": 1, "closed": 2, "overloaded": 3, "unreachable": 3, "captcha": 4, "blocked": 5,
        "unrecognised": 6,
    }  # fmt: skip
    weeks: dict[str, Counter[int]] = {}
    for one in world.quarter.attempts:
        year, week, _ = one.at.astimezone(PARIS).isocalendar()
        counts = weeks.setdefault(f"{year}-S{week:02}", Counter())
        if one.outcome in columns:
            counts[columns[one.outcome]] += 1
    told = {line[0]: line[1:] for line in re.findall(r"(2025-S\d\d) \S+ – \S+ (\d+)((?: \d+){7}) ", text)}
    assert told == {
        week: (str(counts.total()), "".join(f" {counts[place]}" for place in range(7)))
        for week, counts in weeks.items()
    }
    assert len(told) == 14


def test_the_totals_are_the_truth(text: str, world: World) -> None:
    attempts = world.quarter.attempts
    counts = Counter(one.outcome for one in attempts)
    failing = counts["overloaded"] + counts["unreachable"]
    ours = counts["observer_fault"]
    assert (
        folded(
            f"Tentatives {len(attempts) - ours} — avec offre 0 — aucun {counts['none']} "
            f"— fermé {counts['closed']} "
            f"— panne {failing} — captcha {counts['captcha']} — refus {counts['blocked']} "
            f"— autre {counts['unrecognised']} Défaillances de notre côté {ours} "
        )
        in text
    )
    assert f"Prouvées {len(attempts)} sur {len(attempts)} lignes, dont {len(attempts)} sous sceau" in text


def test_the_criterion_is_judged_as_by_hand(text: str, world: World) -> None:
    without = without_date(world.quarter.attempts)
    weeks = {one.at.astimezone(PARIS).isocalendar()[:2] for one in without}
    apart = lasting(without[-1].at - without[0].at)
    assert (
        f"Résultat. Critère rempli. {len(weeks)} semaines sans date, {len(without)} tentatives sans date, "
        f"{apart} entre la première et la dernière. Aucune date n'a été vue de toute la période." in text
    )
    assert f"Première {written(without[0].at)} Dernière {written(without[-1].at)} Écart {apart}" in text
    assert "article L. 521-3 du code de justice administrative" in text
    assert "Conseil d’État, 10 juin 2020, n° 435594" in text
    assert "il n'est pas un conseil juridique" in text


def test_the_longest_time_without_an_offer_is_the_truth(text: str, world: World) -> None:
    runs: list[list[Truth]] = [[]]
    for one in without_date(world.quarter.attempts):
        if runs[-1] and one.at - runs[-1][-1].at > timedelta(days=3):
            runs.append([])
        runs[-1].append(one)
    longest = max(runs, key=lambda run: run[-1].at - run[0].at)
    pause = max(after.at - before.at for before, after in pairwise(longest))
    assert (
        f"Du {written(longest[0].at)} au {written(longest[-1].at)} : "
        f"{lasting(longest[-1].at - longest[0].at)}, "
        f"{len(longest)} tentatives, toutes sans date. Le plus long écart entre deux d'entre elles est de "
        f"{lasting(pause)} ;" in text
    )


def test_gaps_are_shown_as_gaps(text: str, world: World) -> None:
    ours = [one for one in world.quarter.attempts if one.outcome != "observer_fault"]
    gaps = [(a.at, b.at) for a, b in pairwise(ours) if b.at - a.at > timedelta(hours=12)]
    assert len(gaps) == 1
    (since, until) = gaps[0]
    assert f"Durée {written(since)} {written(until)} {lasting(until - since)} 7. Comparaison" in text


def test_the_comparison_is_the_published_one(text: str, world: World) -> None:
    counts = Counter(one.outcome for one in world.quarter.attempts)
    told = re.search(
        rf"Ce guichet \({world.quarter.desk}\) 1 (\S+) % \S+ % – \S+ % (\S+) % (\S+) % (\S+) %", text
    )
    assert told is not None
    due, made = world.quarter.slots_due, len(world.quarter.attempts) - counts["observer_fault"]
    observed = (
        counts["none"] + counts["closed"] + counts["overloaded"] + counts["unreachable"] + counts["captcha"]
    )
    failing = counts["overloaded"] + counts["unreachable"]
    expected = [0, observed / due, failing / made, (counts["captcha"] + counts["blocked"]) / made]
    assert list(told.groups()) == [f"{100 * share:.1f}".replace(".", ",") for share in expected]
    assert " Tout le pays 4 " in text


def test_every_distinct_message_is_shown_with_address_hour_and_hash(
    text: str, whole: Made, world: World
) -> None:
    chapter = text[text.index("8. Pages archivées") : text.index("9. Corrections")]
    shown = re.findall(r"Page (\d+) : tentative n° (\d+), .*? SHA-256 ([0-9a-f]{64})", chapter)
    numbers = [int(number) for _, number, _ in shown]
    with_page = [n for n, one in enumerate(world.quarter.attempts, 1) if one.sentence is not None]
    assert (numbers[0], numbers[-1]) == (with_page[0], with_page[-1])
    chosen = [world.quarter.attempts[number - 1] for number in numbers]
    assert {(one.outcome, one.sentence) for one in chosen} == {
        (one.outcome, one.sentence) for one in world.quarter.attempts if one.sentence is not None
    }
    assert len({one.at.astimezone(PARIS).isocalendar()[:2] for one in chosen}) == 14
    for (_, _, sha256), one in zip(shown, chosen, strict=True):
        observation = next(seen for seen in world.quarter.observations if seen.id == one.id)
        assert sha256 == observation.evidence[-1].sha256
        assert observation.evidence[-1].url in chapter
    pictures = {path.stem for path in (whole.out / "pages").glob("*.png")}
    assert len(pictures) == len({one.sentence for one in chosen})  # identical pages are drawn once
    assert chapter.count("Identique, à l'œil") == len(shown) - len(pictures)


def test_the_text_is_in_the_order_it_is_read(text: str, whole: Made) -> None:
    places = [text.index(f"{number}. {title}") for number, title in enumerate(ORDER, start=1)]
    assert places == sorted(places)
    assert "\xad" not in text  # no word is cut in two: search finds it


@pytest.mark.parametrize("name", ["constat.pdf", "couverture.pdf"])
def test_nothing_seen_stands_between_it_and_pdf_a_and_ua(whole: Made, name: str) -> None:
    assert faults(whole.out / name) == []
    for page in PdfReader(whole.out / name).pages:
        assert page.mediabox.width == pytest.approx(595.28, abs=0.1)  # A4
        assert page.mediabox.height == pytest.approx(841.89, abs=0.1)


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
def test_a_planted_fault_is_found_by_its_name(
    whole: Made, tmp_path: Path, plant: Callable[[PdfWriter], None]
) -> None:
    """A check that cannot fail would be worth nothing: one document, spoilt in one way at a time."""
    writer = PdfWriter(clone_from=whole.out / "couverture.pdf")
    plant(writer)
    writer.write(spoilt := tmp_path / "spoilt.pdf")
    assert any(PLANTS[plant] in fault for fault in faults(spoilt)), faults(spoilt)


def test_pictures_have_words_for_who_cannot_see_them_and_tables_have_heads(whole: Made) -> None:
    reader = PdfReader(whole.out / "constat.pdf")
    elements = [one for one in objects(reader) if one.get("/Type") == "/StructElem"]
    kinds = Counter(str(one.get("/S")) for one in elements)
    pictures = len(list((whole.out / "pages").glob("*.png")))
    figures = [one for one in elements if one.get("/S") == "/Figure"]
    assert len(figures) == pictures
    assert all("On y lit" in str(one.get("/Alt")) for one in figures if "/Alt" in one)
    assert sum("/Alt" in one for one in figures) == pictures
    assert kinds["/TH"] >= 4 + 11 + 3
    assert kinds["/H1"] >= len(ORDER)
    assert kinds["/TR"] > 1400


def test_pages_are_numbered(whole: Made) -> None:
    pages = PdfReader(whole.out / "constat.pdf").pages
    assert f"page {len(pages)} sur {len(pages)}" in pages[-1].extract_text()


def test_the_case_stands_on_the_cover_alone(whole: Made) -> None:
    cover = PdfReader(whole.out / "couverture.pdf").pages[0].extract_text()
    assert CASE in cover
    assert whole.stdout.split()[-1] in cover.replace("\n", "")  # the manifest's hash
    assert not [name for name, data in whole.everything() if CASE.encode() in data]
    assert CASE not in PdfReader(whole.out / "constat.pdf").pages[0].extract_text()


def test_no_session_of_the_robot_is_in_anything(whole: Made) -> None:
    assert not [name for name, data in whole.everything() if SESSION.encode() in data]


def test_it_is_small_enough(whole: Made) -> None:
    assert whole.zip.stat().st_size < 25_000_000


def test_the_same_data_have_the_same_hash_whatever_the_case(
    world: World, short: Made, tmp_path: Path
) -> None:
    other = world.constat(
        tmp_path / "autre", date(2025, 1, 1), date(2025, 1, 21), "--case", "un autre dossier"
    )
    assert other.status == 0, other.stderr
    names = ["observations.csv", "preuves/notes.warc.gz", "preuves/inclusions.jsonl", "preuves/lignes.jsonl"]
    for name in names:
        assert (other.out / name).read_bytes() == (short.out / name).read_bytes()
