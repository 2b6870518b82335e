"""What a visit in a browser leaves as proof: shown, verified, drawn, read again, exported."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import guichets.replay  # noqa: F401 - so that what is patched is there
from guichets.evidence import ArchiveReader
from guichets.evidence.layout import archive_folder
from guichets.outcomes import Outcome
from guichets.proof.holds import refs_of
from guichets.visit import SCREENSHOT, SHOWN
from spiders import orion
from tests.crawl_fixtures import CrawlResult, Workshop, read_rows
from tests.database_fixtures import Database

pytestmark = pytest.mark.xdist_group("browsing")

Run = Callable[..., tuple[int, str, str]]
SCENES = ("none", "offered", "days-beside-message", "slots-500", "odd-booking", "status-404")


@dataclass(frozen=True)
class Visited:
    home: Path
    database: Database
    result: CrawlResult
    desks: dict[str, str]  # scene: desk

    def line(self, scene: str) -> dict[str, Any]:
        return self.result.desks[self.desks[scene]]


@pytest.fixture(scope="module")
def crawled(module_workshop: Workshop) -> Visited:
    box = module_workshop.sandbox(desks=len(SCENES), departements=2, mixture="none", family="orion")
    desks = dict(zip(SCENES, [desk["id"] for desk in box.desks()], strict=True))
    for scene, desk in desks.items():
        box.set_scene(desk, scene)
    database = module_workshop.database()
    crawler = module_workshop.crawler(box.catalogue, database)
    result = crawler.run("orion", due="all")
    assert result.status == 0, result.log[-3000:]
    return Visited(crawler.home, database, result, desks)


@pytest.fixture
def visited(crawled: Visited, monkeypatch: pytest.MonkeyPatch) -> Visited:
    monkeypatch.setenv("GUICHETS_HOME", str(crawled.home))
    monkeypatch.setenv("GUICHETS_DATABASE_URL", crawled.database.dsn)
    return crawled


def addresses(line: dict[str, Any]) -> list[str]:
    return [part["url"] for part in line["evidence"]]


def test_visit_rests_on_every_answer_then_on_the_photograph_and_what_could_be_seen(visited: Visited) -> None:
    reader = ArchiveReader(visited.home)
    for scene in ("none", "offered", "days-beside-message", "slots-500"):
        line = visited.line(scene)
        document, *parts, photograph, shown = addresses(line)
        assert "/orion-reservation/slots?" in document
        assert sum(address.endswith("/availableSlotByDay") for address in parts) == 1
        assert (photograph, shown) == (SCREENSHOT + document, SHOWN + document)
        archived = [reader.read_page(ref) for ref in refs_of(line["evidence"])]
        assert archived[-2].body().startswith(b"\x89PNG")
        assert b"<script" not in archived[-1].body()
        assert b"brouillon" not in archived[-1].body()  # hidden on the page
        asked = next(page for page in archived if page.url.endswith("/availableSlotByDay"))
        assert (asked.method, json.loads(asked.request_body)["usagerUid"]) == ("POST", None)


def test_visit_that_showed_nothing_has_no_photograph(visited: Visited) -> None:
    for scene in ("odd-booking", "status-404"):
        assert not any(address.startswith("urn:") for address in addresses(visited.line(scene)))


def test_show_tells_both_and_the_text_of_the_page(visited: Visited, run: Run) -> None:
    line = visited.line("none")
    status, out, err = run("evidence", "show", line["id"])
    assert (status, err) == (0, "")
    assert "ce que la page montrait dans un navigateur" in out
    assert "photographie de la page" in out
    assert "Il n'y a pas de rendez-vous disponible pour le moment." in out.split("Texte de la réponse")[1]
    place = str(len(line["evidence"]) - 1)
    assert "est une image" in run("evidence", "show", line["id"], "--page", place)[1]


def test_picture_is_the_photograph_under_its_caption(visited: Visited, run: Run, tmp_path: Path) -> None:
    line = visited.line("days-beside-message")
    out = tmp_path / "page.png"
    status, _, err = run("evidence", "picture", line["id"], "--out", str(out))
    assert (status, err) == (0, "")
    data = out.read_bytes()
    photograph = ArchiveReader(visited.home).read_page(refs_of(line["evidence"])[-2]).body()
    width, height = struct.unpack(">II", data[16:24])
    assert width == 1024
    assert height > struct.unpack(">I", photograph[20:24])[0]  # the caption stands above it
    assert run("evidence", "picture", line["id"], "--out", str(out), "--page", "1", "--force")[0] == 0


def test_everything_verifies_and_a_changed_photograph_does_not(
    visited: Visited, run: Run, tmp_path: Path
) -> None:
    status, out, err = run("evidence", "verify")
    assert (status, out) == (0, ""), out
    assert "Breaks: 0." in err
    photograph = refs_of(visited.line("offered")["evidence"])[-2]
    path = visited.home / photograph.file
    whole = path.read_bytes()
    changed = bytearray(whole)
    changed[photograph.offset + photograph.length // 2] ^= 1
    try:
        path.write_bytes(changed)
        status, out, _ = run("evidence", "verify")
    finally:
        path.write_bytes(whole)
    assert status == 1
    assert visited.line("offered")["id"] in out


def test_replay_reads_both_signals_from_the_archive_and_changes_nothing(visited: Visited, run: Run) -> None:
    status, out, err = run("replay", "--family", "orion")
    assert (status, "Rien ne change" in out) == (0, True), out + err
    assert f"{len(SCENES)} visites" in err


def test_new_rule_is_applied_to_what_the_pages_showed(
    visited: Visited, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence is learnt: days beside it were mere information."""

    def read_view(view: Any) -> Any:
        reading = orion.read_shown(view.shown)
        if "pas de rendez-vous" in reading.message:
            return orion.Reading(outcome=Outcome.CLOSED, rule="orion.closed.learnt", step="shown")
        return before(view)

    before = orion.read_view
    monkeypatch.setattr(orion, "read_view", read_view)
    monkeypatch.setattr(orion.OrionSpider, "parser_version", 98)
    status, out, _ = run("replay", "--family", "orion")
    assert status == 0
    changes = {tuple(line.split()[:4]) for line in out.splitlines() if "closed" in line}
    assert changes == {
        ("none", "closed", "1", visited.desks["none"]),
        ("unrecognised", "closed", "1", visited.desks["days-beside-message"]),
    }


def test_exports_hold_the_addresses_and_no_picture(visited: Visited, run: Run) -> None:
    status, out, _ = run("export", "--format", "jsonl")
    assert status == 0
    lines = [json.loads(line) for line in out.splitlines()]
    assert {line["family"] for line in lines} == {"orion"}
    assert "PNG" not in out
    assert len(list(archive_folder(visited.home).rglob("*.warc.gz"))) >= 1
    rows = read_rows(visited.database, "SELECT outcome::text, requests FROM observations")
    assert len(rows) == len(SCENES)
