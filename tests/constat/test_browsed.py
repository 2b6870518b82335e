"""The constat of desks that answer with no page of HTML: read in a browser, or by their data alone."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import zipfile
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from guichets.constat import verify
from guichets.evidence import ArchiveReader, seal_until
from guichets.french import PARIS
from guichets.proof.holds import refs_of
from guichets.visit import SCREENSHOT, SHOWN
from tests.constat.conftest import Made, run_constat
from tests.constat.opened import WARC, check_index, members_of
from tests.crawl_fixtures import Crawler, CrawlResult, Workshop

pytestmark = [pytest.mark.xdist_group("browsing"), pytest.mark.timeout(400)]

SCENES = ("none", "offered", "offered-undated", "days-beside-message")


@dataclass(frozen=True)
class Visited:
    """A crawl whose days are sealed, seen from four days later."""

    crawler: Crawler
    first: CrawlResult
    second: CrawlResult
    desks: dict[str, str]  # scene: desk

    def constat(self, scene: str, out: Path, **environment: str) -> Made:
        desk = self.desks[scene]
        seen = [
            datetime.fromisoformat(result.desks[desk]["observed_at"]) for result in (self.first, self.second)
        ]
        first, last = (at.astimezone(PARIS).date() for at in seen)
        environment = self.crawler.environment | environment
        then = seen[-1] + timedelta(days=4)
        made = run_constat(out, desk, first, last, environment=environment, then=then)
        assert made.status == 0, made.stderr
        return made


@pytest.fixture(scope="module")
def visited(module_workshop: Workshop) -> Visited:
    box = module_workshop.sandbox(desks=len(SCENES), departements=1, mixture="none", family="orion")
    desks = dict(zip(SCENES, [desk["id"] for desk in box.desks()], strict=True))
    for scene, desk in desks.items():
        box.set_scene(desk, scene)
    crawler = module_workshop.crawler(box.catalogue, module_workshop.database())
    first, second = (crawler.run("orion", due="all") for _ in range(2))
    assert (first.status, second.status) == (0, 0), second.log[-3000:]
    last = datetime.fromisoformat(second.desks[desks["none"]]["observed_at"])
    seal_until(crawler.home, last + timedelta(days=2))
    return Visited(crawler, first, second, desks)


@pytest.fixture(scope="module")
def made(visited: Visited, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Without any browser: what was photographed needs none."""
    out = tmp_path_factory.mktemp("made") / "constat"
    return visited.constat("none", out, GUICHETS_BROWSER="/nowhere/chromium")


def test_pictures_are_the_photographs_of_the_visits(visited: Visited, made: Made) -> None:
    line = visited.first.desks[visited.desks["none"]]
    reader = ArchiveReader(visited.crawler.home)
    archived = {page.url: page for page in map(reader.read_page, refs_of(line["evidence"]))}
    photograph = next(page for url, page in archived.items() if url.startswith(SCREENSHOT))
    pictures = [path.read_bytes() for path in (made.out / "pages").glob("*.png")]
    assert photograph.body() in pictures
    assert "image" not in made.stderr
    text = made.pdf_text()
    assert f"SHA-256 {photograph.sha256()}" in text
    assert "ce que la page montrait dans un navigateur" in text
    assert "Les photographies furent prises pendant les visites" in text
    assert "Chacune est dessinée" not in text
    assert photograph.url.removeprefix(SCREENSHOT) in text.replace(" ", "")


def test_sentence_is_the_one_the_page_showed(visited: Visited, made: Made) -> None:
    text = (made.out / "observations.csv").read_text(encoding="utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text), delimiter=";"))
    assert [(row["resultat"], row["preuve"]) for row in rows] == [("none", "scellée")] * 2
    (sentence,) = {row["phrase"] for row in rows}
    reader = ArchiveReader(visited.crawler.home)
    line = visited.first.desks[visited.desks["none"]]
    shown = next(
        page for ref in refs_of(line["evidence"]) if (page := reader.read_page(ref)).url.startswith(SHOWN)
    )
    assert sentence
    assert sentence in " ".join(shown.body().decode().split())
    assert not sentence.startswith("[titre]")


def test_photographs_are_in_the_archive_and_checked(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify.main([str(made.zip)]) == 0
    told = capsys.readouterr().out
    assert "pages ne sont pas jointes" not in told
    assert "2 observations sont sous la racine de leur jour" in told


def test_another_photograph_is_found(made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A pixel changed inside the archive, with the hash that record gives of itself changed too."""
    import gzip

    with zipfile.ZipFile(made.out / "archive.wacz") as package:
        members = members_of(package.read(WARC))
    place = next(n for n, one in enumerate(members) if b"WARC-Type: resource" in one and b"\x89PNG" in one)
    head, _, block = members[place].partition(b"\r\n\r\n")
    body = block.removesuffix(b"\r\n\r\n")
    other = body[:-20] + bytes([body[-20] ^ 1]) + body[-19:]
    payload = hashlib.sha256(body).hexdigest().encode(), hashlib.sha256(other).hexdigest().encode()
    head = head.replace(
        b"WARC-Payload-Digest: sha256:" + payload[0], b"WARC-Payload-Digest: sha256:" + payload[1]
    )
    members[place] = head + b"\r\n\r\n" + other + b"\r\n\r\n"
    warc = b"".join(gzip.compress(one) for one in members)
    findings = verify.Findings()
    rows = {
        number: {"row": json.loads(json.loads(line)["ligne"])}
        for number, line in enumerate((made.out / "preuves/lignes.jsonl").read_text().splitlines(), start=1)
    }
    verify.check_pages({"archive.wacz": _wacz_of(made, warc)}, rows, findings)
    assert "la copie n'est pas exacte" in {french for _, french, _ in findings.broken}


def _wacz_of(made: Made, warc: bytes) -> bytes:
    with zipfile.ZipFile(made.out / "archive.wacz") as package:
        inside = {name: package.read(name) for name in package.namelist()}
    inside[WARC] = warc
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as package:
        for name, content in inside.items():
            package.writestr(name, content)
    return stream.getvalue()


def test_the_archive_lists_pages_and_finds_what_was_photographed(made: Made, tmp_path: Path) -> None:
    told, pages = check_index(made, tmp_path, "mime")
    assert any(key.startswith(SCREENSHOT) for key, _ in told)
    urls = [page["url"] for page in pages[1:]]
    assert urls
    assert not [url for url in urls if url.startswith("urn:") or url.endswith((".js", ".css"))]


@pytest.fixture(scope="module")
def asked(module_workshop: Workshop) -> Visited:
    """Two mairies, asked by the public search over a WebSocket."""
    box = module_workshop.sandbox(desks=2, departements=1, mixture="none", family="ants", seed=5)
    none, offered = (desk["id"] for desk in box.desks())
    box.set_scene(offered, "offered")
    crawler = module_workshop.crawler(box.catalogue, module_workshop.database())
    result = crawler.run("ants", due="all")
    assert result.status == 0, result.log[-3000:]
    seal_until(crawler.home, datetime.fromisoformat(result.desks[none]["observed_at"]) + timedelta(days=2))
    return Visited(crawler, result, result, {"none": none, "offered": offered})


def test_a_conversation_is_shown_as_text_and_no_sentence_is_made_up(
    asked: Visited, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = asked.constat("none", tmp_path / "constat")
    text = (made.out / "observations.csv").read_text(encoding="utf-8-sig")
    (row,) = csv.DictReader(io.StringIO(text), delimiter=";")
    assert (row["resultat"], row["phrase"], row["preuve"]) == ("none", "", "scellée")
    (page,) = (made.out / "pages").glob("page-*.txt")
    assert '"step": "end_of_search"' in page.read_text(encoding="utf-8")
    assert "\x1e" not in page.read_text(encoding="utf-8")
    (picture,) = (made.out / "pages").glob("page-*.png")
    assert picture.stem == page.stem
    assert "messages d'une conversation WebSocket" in made.pdf_text()
    check_index(made, tmp_path, "mime")
    assert verify.main([str(made.zip)]) == 0
    assert "pages ne sont pas jointes" not in capsys.readouterr().out


@pytest.mark.parametrize("scene", SCENES[1:])
def test_what_shows_days_to_come_is_kept_back_with_its_photograph(
    scene: str, visited: Visited, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = visited.constat(scene, tmp_path / "constat", GUICHETS_BROWSER="/nowhere/chromium")
    assert "elles montrent des créneaux qui peuvent être encore libres" in made.stderr
    line = visited.first.desks[visited.desks[scene]]
    archived = map(ArchiveReader(visited.crawler.home).read_page, refs_of(line["evidence"]))
    answer = next(page for page in archived if page.url.endswith("/availableSlotByDay"))
    days = set(re.findall(rb"20\d\d-\d\d-\d\d|\d\d/\d\d/20\d\d", answer.body()))
    assert days
    for name, data in made.everything():
        assert not name.endswith(".png")
        assert b"\x89PNG" not in data, name
        assert f"WARC-Target-URI: {SHOWN}".encode() not in data, name
        if name.startswith(("constat.warc", "page-")):
            assert not [day for day in days if day in data], name
    assert verify.main([str(made.zip)]) == 0
    is_offer = scene.startswith("offered")
    withheld = "lignes ne sont pas jointes en entier" if is_offer else "pages ne sont pas jointes"
    assert withheld in capsys.readouterr().out
