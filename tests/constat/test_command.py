"""``guichets constat`` as a person runs it: what it refuses in one line, what it says is missing."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from guichets.constat import verify
from guichets.database.observations import insert_observations
from guichets.evidence import ArchiveWriter, Exchange, carry_out, plan_prune, seal_until
from guichets.items import new_probe_id
from guichets.outcomes import Outcome
from guichets.rows import note_of, record_of
from tests.constat.conftest import Made, World
from tests.constat.quarter import FIRST

pytestmark = [pytest.mark.xdist_group("constat"), pytest.mark.timeout(400)]

UNTIL = date(2025, 1, 14)
NO_PICTURES = {"GUICHETS_BROWSER": "/nowhere/chromium"}  # quicker, where pictures are not what is looked at


def lines(text: str) -> list[str]:
    return [line for line in text.split("\n") if line]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--desk", "77-anne-1"], '--desk : aucun guichet "77-anne-1". Vouliez-vous dire "77-annee-1" ?'),
        (["--counter", "9"], "n'a pas de sous-choix \"9\" ; ce guichet n'en a aucun"),
        (["--from", "2024-01-01", "--to", "2024-02-01"], "aucune observation du 2024-01-01 au 2024-02-01 ;"),
        (["--from", "2025-02-01", "--to", "2025-01-01"], "la période finirait avant de commencer"),
        (["--to", "2999-01-01"], '--to : "2999-01-01" n\'est pas un jour'),
        (["--to", "2199-01-01"], "ce jour est à venir ; un constat ne dit que le passé"),
        (["--from", "hier"], '--from : "hier" n\'est pas un jour ; écrire 2026-03-01'),
        (["--out", "/nowhere/x"], "--out : /nowhere n'est pas un dossier ; le créer d'abord"),
        (["--out", "/etc"], "--out : /etc existe déjà et n'est pas un dossier vide"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said_in_one_line(
    arguments: list[str], told: str, world: World, tmp_path: Path
) -> None:
    made = world.constat(tmp_path / "constat", FIRST, UNTIL, *arguments)
    assert made.status == 2
    assert len(lines(made.stderr)) == 1
    assert told in made.stderr
    assert not list(tmp_path.iterdir())


def test_a_day_too_fresh_to_be_told_is_refused_with_the_latest_one(world: World, tmp_path: Path) -> None:
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    made = world.constat(tmp_path / "constat", FIRST, yesterday)
    assert made.status == 2
    assert re.search(
        r"trop récent ; .* 48 heures après sa fin : au plus tard --to \d{4}-\d\d-\d\d", made.stderr
    )


def test_nothing_is_ever_replaced(world: World, short: Made) -> None:
    before = {path: path.stat().st_mtime_ns for path in short.out.rglob("*")}
    made = world.constat(short.out, FIRST, UNTIL)
    assert made.status == 2
    assert "existe déjà et n'est pas un dossier vide" in made.stderr
    assert {path: path.stat().st_mtime_ns for path in short.out.rglob("*")} == before


def test_two_at_once_leave_one_whole_and_one_line(world: World, tmp_path: Path) -> None:
    command = [
        *(sys.executable, "-m", "guichets", "constat", "--desk", world.quarter.desk, "--from", str(FIRST)),
        *("--to", "2025-01-03", "--out", str(tmp_path / "constat")),
    ]
    environment = world.environment() | NO_PICTURES
    both = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    ends = [(one.communicate(), one.returncode) for one in both]
    assert sorted(status for _, status in ends) == [0, 2], ends
    assert {path.name for path in tmp_path.iterdir()} == {"constat", "constat.zip"}
    assert verify.main([str(tmp_path / "constat.zip")]) == 0


def test_killed_midway_it_leaves_nothing_that_looks_whole(world: World, tmp_path: Path) -> None:
    doing = subprocess.Popen(
        [
            *(sys.executable, "-m", "guichets", "constat", "--desk", world.quarter.desk),
            *("--from", "2025-01-01", "--to", "2025-03-31", "--out", str(tmp_path / "constat")),
        ],
        env=world.environment(),
        stderr=subprocess.DEVNULL,
    )
    while not list(tmp_path.glob(".constat.*.part/pages")) and doing.poll() is None:
        time.sleep(0.02)
    doing.send_signal(signal.SIGKILL)
    doing.wait()
    assert not (tmp_path / "constat").exists()
    assert not (tmp_path / "constat.zip").exists()
    assert world.constat(tmp_path / "constat", FIRST, date(2025, 1, 3), **NO_PICTURES).status == 0


def test_without_a_browser_there_are_no_pictures_and_it_is_said(world: World, tmp_path: Path) -> None:
    made = world.constat(tmp_path / "constat", FIRST, UNTIL, **NO_PICTURES)
    assert made.status == 0, made.stderr
    assert "Pas d'images des pages : GUICHETS_BROWSER='/nowhere/chromium'" in made.stderr
    assert not list(made.out.rglob("*.png"))
    text = made.pdf_text()
    assert "Pas d'images : GUICHETS_BROWSER='/nowhere/chromium'" in text
    assert "Texte de la page : pages/page-" in text
    assert verify.main([str(made.zip)]) == 0


def test_a_period_that_begins_before_the_desk_was_observed_says_so(world: World, tmp_path: Path) -> None:
    made = world.constat(tmp_path / "constat", date(2024, 12, 1), date(2025, 1, 9), **NO_PICTURES)
    assert made.status == 0, made.stderr
    assert (
        "Ce guichet n'est observé que depuis le 01/01/2025 : avant, ce document ne dit rien." in made.stderr
    )
    text = made.pdf_text()
    assert "Ce guichet n'est observé que depuis le 01/01/2025" in text
    assert "2024-S50 09/12 – 15/12 0 0 0 0 0 0 0 0 7 j 0 h" in text
    assert "début de la période aucune tentative : 31 j 2 h" in text


def test_a_desk_that_offers_now_and_then_meets_it_for_some_weeks_only(
    offering: World, tmp_path: Path
) -> None:
    made = offering.constat(tmp_path / "constat", date(2025, 3, 3), date(2025, 4, 6), **NO_PICTURES)
    assert made.status == 0, made.stderr
    offers = offering.quarter.of("offered")
    assert offers
    weeks = {one.at.isocalendar()[:2] for one in offers}
    assert 0 < len(weeks) <= 3
    assert (
        f"Critère rempli pour certaines semaines seulement. {5 - len(weeks)} semaines sans date"
        in made.stdout
    )
    text = made.pdf_text()
    assert f"— avec offre {len(offers)} " in text
    assert text.count("des rendez-vous sont proposés [titre]") == len(offers)
    assert "premières dates : " in text  # they are past
    # what the page of an offer shows may be told once it is past, but never the handle that takes the slot
    assert not [name for name, data in made.everything() if b"/5/1/17" in data]


def test_an_offer_the_day_before_the_period_takes_its_week_out(offering: World, tmp_path: Path) -> None:
    offer = offering.quarter.of("offered")[-1].at.date()
    after = offer + timedelta(days=1)
    assert after.weekday() > 0, "the simulated offer must not be on a Sunday"
    made = offering.constat(tmp_path / "constat", after, after + timedelta(days=1), **NO_PICTURES)
    assert made.status == 0, made.stderr
    assert "une date a été vue hors de la période, dans une semaine qu'elle entame" in made.stderr
    assert (
        "Critère non rempli. Aucune semaine de la période n'est sans date au sens de la règle." in made.stdout
    )


def test_a_broken_record_marks_its_rows_and_they_count_no_more(
    changeable: Callable[[], World], tmp_path: Path
) -> None:
    world = changeable()
    (path, *_) = sorted(world.quarter.home.glob("archive/2025/01/03/*T08*.warc.gz"))
    data = bytearray(path.read_bytes())
    for place in range(40, len(data), 150):
        data[place] ^= 1
    path.write_bytes(data)
    made = world.constat(tmp_path / "constat", FIRST, UNTIL, **NO_PICTURES)
    assert made.status == 0, made.stderr
    found = re.search(r"^(\d+) lignes ont une preuve rompue", made.stderr, re.MULTILINE)
    assert found is not None
    text = made.pdf_text()
    assert text.count(" · preuve rompue") == int(found[1]) > 0
    assert "Elles ne comptent pas comme tentatives sans date." in text
    assert verify.main([str(made.zip)]) == 0


def test_an_edited_row_is_marked(changeable: Callable[[], World], tmp_path: Path) -> None:
    world = changeable()
    victim = world.quarter.of("none")[3]
    with world.database.connect() as connection:
        connection.execute("UPDATE observations SET outcome = 'offered' WHERE id = %s", [victim.id])
    made = world.constat(tmp_path / "constat", FIRST, date(2025, 1, 5), **NO_PICTURES)
    assert made.status == 0, made.stderr
    assert "la ligne n'est pas celle qui fut archivée" in made.stderr
    assert made.pdf_text().count(" · preuve rompue") == 1


def test_a_chain_of_seals_that_does_not_hold_stops_it(
    changeable: Callable[[], World], tmp_path: Path
) -> None:
    world = changeable()
    seals = world.quarter.home / "seals.txt"
    seals.write_text(seals.read_text().replace("2025-01-02 ", "2025-01-02 1", 1))
    made = world.constat(tmp_path / "constat", FIRST, UNTIL, **NO_PICTURES)
    assert made.status == 2
    assert len(lines(made.stderr)) == 1
    assert "restore the file from its published copy" in made.stderr
    assert not (tmp_path / "constat").exists()


def test_what_retention_took_is_said_row_by_row(changeable: Callable[[], World], tmp_path: Path) -> None:
    world = changeable()
    now = datetime(2025, 2, 6, tzinfo=UTC)
    plan = plan_prune(world.quarter.home, now=now, keep=[], keep_ids=frozenset(), retention_days=31)
    carry_out(world.quarter.home, plan, now=now)
    made = world.constat(tmp_path / "constat", FIRST, UNTIL, **NO_PICTURES)
    assert made.status == 0, made.stderr
    gone = [one for one in world.quarter.attempts if one.at.date() < plan.cutoff and one.sentence is not None]
    assert "n'ont plus leur preuve : l'archive l'a retirée après sa durée de garde" in made.stderr
    assert made.pdf_text().count(" · preuve retirée après sa durée de garde") >= len(gone) > 0
    assert verify.main([str(made.zip)]) == 0


def test_days_not_sealed_yet_are_marked_and_verify_says_so(
    changeable: Callable[[], World], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = changeable()
    for path in [world.quarter.home / "seals.txt", *world.quarter.home.glob("archive/*/*/*/*.records.gz")]:
        path.unlink()
    seal_until(world.quarter.home, datetime(2025, 1, 4, tzinfo=UTC))
    made = world.constat(tmp_path / "constat", FIRST, date(2025, 1, 6), **NO_PICTURES)
    assert made.status == 0, made.stderr
    late = [one for one in world.quarter.attempts if date(2025, 1, 4) <= one.at.date() <= date(2025, 1, 6)]
    late = [one for one in late if one.at < datetime(2025, 1, 6, 23, tzinfo=UTC)]
    assert f"{len(late)} lignes sont d'un jour qui n'est pas encore scellé." in made.stderr
    assert made.pdf_text().count(" · jour non scellé") == len(late)
    capsys.readouterr()
    assert verify.main([str(made.zip)]) == 0
    assert f"{len(late)} observations n'ont pas de preuve scellée" in capsys.readouterr().out


def test_a_given_page_is_marked_counted_apart_and_its_giver_unknown(
    changeable: Callable[[], World], tmp_path: Path
) -> None:
    world = changeable()
    seen = datetime(2025, 1, 4, 10, 11, 12, tzinfo=UTC)
    with world.database.connect() as connection:
        row = connection.execute("SELECT url FROM desks WHERE id = %s", [world.quarter.desk]).fetchone()
    assert row is not None
    markup = (
        '<!DOCTYPE html><html lang="fr"><head><meta charset="utf-8"><title>Rendez-vous</title></head><body>'
        f'<h2>Vérification de disponibilité</h2><form id="FormBookingCreate" action="{row[0]}/2">'
        "Il n'existe plus de plage horaire libre pour votre demande de rendez-vous. Veuillez recommencer "
        'ultérieurement.<input type="submit" name="finishButton" value="Terminer"></form></body></html>'
    )
    with ArchiveWriter(tmp_path / "theirs", "browser", now=lambda: seen) as writer:
        writer.write_exchange(
            Exchange(
                method="GET", url=f"{row[0]}/2", request_headers=((b"Host", b"x"),), status=200,
                response_headers=((b"Content-Type", b"text/html; charset=utf-8"),), raw_body=markup.encode(),
                started_at=seen, finished_at=seen,
            )
        )  # fmt: skip
    (warc,) = (tmp_path / "theirs").rglob("*.warc.gz")
    command = ("import", str(warc), "--desk", world.quarter.desk, "--contributor", "benevole-7")
    done = subprocess.run(
        [sys.executable, "-m", "guichets", *command],
        env=world.environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    made = world.constat(tmp_path / "constat", FIRST, UNTIL, **NO_PICTURES)
    assert made.status == 0, made.stderr
    text = made.pdf_text()
    assert "Pages données 1 (par des personnes ; comptées à part)" in text
    assert (
        "samedi 4 janvier 2025 à 11:11:12 aucun rendez-vous proposé · jour non scellé · page donnée par une "
        "personne Il n'existe plus de plage horaire libre" in text
    )
    assert not [name for name, data in made.everything() if b"benevole-7" in data]
    assert verify.main([str(made.zip)]) == 0


def test_corrections_are_shown_with_what_was_read_before(
    changeable: Callable[[], World], tmp_path: Path
) -> None:
    world = changeable()
    old = next(one for one in world.quarter.observations if one.outcome is Outcome.UNRECOGNISED)
    new = replace(
        old,
        id=new_probe_id(),
        outcome=Outcome.NONE,
        rule="ezbooking.none.step2-sentence",
        parser="ezbooking@2",
        supersedes=old.id,
    )
    record = record_of(new)
    applied = datetime(2025, 4, 2, 9, tzinfo=UTC)
    with ArchiveWriter(world.quarter.home, "replay", now=lambda: applied) as archive:
        archive.write_note(note_of(record), record_id=new.id.urn, at=new.observed_at)
        archive.write_committed()
    seal_until(world.quarter.home, applied + timedelta(days=1))
    with world.database.connect() as connection:
        insert_observations(connection, [record])
        connection.execute(
            """INSERT INTO errata (id, at, parser_from, parser_to, changes, note)
            VALUES (%s, %s, 'ezbooking@1', 'ezbooking@2',
                jsonb_build_object('desks', jsonb_build_array(%s::text)), 'Un message était inconnu.')""",
            [new_probe_id(), applied, world.quarter.desk],
        )
    day = old.observed_at.date()
    made = world.constat(tmp_path / "constat", day, day + timedelta(days=1), **NO_PICTURES)
    assert made.status == 0, made.stderr
    text = made.pdf_text()
    chapter = text[text.index("9. Corrections") : text.index("10. Ce que ce document")]
    assert "page non reconnue aucun rendez-vous proposé ezbooking@1 → ezbooking@2" in chapter
    assert "Erratum du mercredi 2 avril 2025 à 11:00:00 : ezbooking@1 → ezbooking@2." in chapter
    assert "Un message était inconnu." in chapter
    assert "aucun rendez-vous proposé · relu, voir Corrections" in text
    assert verify.main([str(made.zip)]) == 0


def test_the_list_shows_where_the_criterion_is_met_and_the_command(world: World) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "guichets", "constat", "--list", "--from", "2025-01-06", "--to", "2025-03-30"],
        env=world.environment() | {"COLUMNS": "120"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert re.search(rf"^ ?{world.quarter.desk} .* 12 ", done.stdout, re.MULTILINE)
    assert "critère rempli pour 1 guichets sur 4 observés" in done.stdout
    assert (
        f"guichets constat --desk {world.quarter.desk} --from 2025-01-06 --to 2025-03-30 "
        f"--out constat-{world.quarter.desk}" in done.stdout
    )


def test_the_list_takes_no_desk(world: World) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "guichets", "constat", "--list", "--desk", "x"],
        env=os.environ | world.environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == "guichets: --list ne prend que --from, --to et --departement\n"
