"""The constat of desks that answer with no page of HTML: read in a browser, or by their data alone."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import subprocess
import sys
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
from tests.constat.conftest import Made
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
        days = [str(at.astimezone(PARIS).date()) for at in seen]
        script = (
            "import datetime, guichets.clock\n"
            f"then = datetime.datetime.fromisoformat('{(seen[-1] + timedelta(days=4)).isoformat()}')\n"
            "guichets.clock.SystemClock.now = lambda self: then\n"
            "from guichets.cli import main\nmain()\n"
        )
        done = subprocess.run(
            [
                *(sys.executable, "-c", script, "constat", "--desk", desk, "--out", str(out)),
                *("--from", days[0], "--to", days[-1]),
            ],
            env=self.crawler.environment | environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return Made(out, done.returncode, done.stdout, done.stderr)


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
    import zlib

    with zipfile.ZipFile(made.out / "archive.wacz") as package:
        data = package.read("archive/constat.warc.gz")
    members = []
    while data:
        engine = zlib.decompressobj(31)
        members.append(engine.decompress(data))
        data = engine.unused_data
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
    inside["archive/constat.warc.gz"] = warc
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as package:
        for name, content in inside.items():
            package.writestr(name, content)
    return stream.getvalue()


def test_the_archive_lists_pages_and_finds_what_was_photographed(made: Made, tmp_path: Path) -> None:
    index, pages = check_index(made, tmp_path)
    assert any(url.startswith(SCREENSHOT) for url in index)
    assert pages
    assert not [url for url in pages if url.startswith("urn:") or url.endswith((".js", ".css"))]


def check_index(made: Made, tmp_path: Path) -> tuple[list[str], list[str]]:
    """The WACZ is valid and indexed as by the standard indexer; addresses in its index and in its list."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "wacz", "validate", "-f", str(made.out / "archive.wacz")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, "the passed WACZ is valid" in done.stdout) == (0, True), done.stdout
    with zipfile.ZipFile(made.out / "archive.wacz") as package:
        warc = tmp_path / "constat.warc.gz"
        warc.write_bytes(package.read("archive/constat.warc.gz"))
        ours = [line.split(" ", 2) for line in package.read("indexes/index.cdx").decode().splitlines()]
        pages = [json.loads(line) for line in package.read("pages/pages.jsonl").decode().splitlines()]
    done = subprocess.run(
        [str(Path(sys.executable).with_name("cdxj-indexer")), "--sort", str(warc)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    theirs = [line.split(" ", 2) for line in done.stdout.splitlines()]
    assert [line[:2] for line in ours] == [line[:2] for line in theirs]
    for one, other in zip(ours, theirs, strict=True):
        mine, reference = json.loads(one[2]), json.loads(other[2])
        same = ("url", "mime", "status", "offset", "length", "filename")
        assert {name: mine.get(name) for name in same} == {name: reference.get(name) for name in same}
    return [line[0] for line in ours], [page["url"] for page in pages[1:]]


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
    check_index(made, tmp_path)
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
