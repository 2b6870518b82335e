"""Pages given by people: read as ours are, kept with their proof, or refused with nothing written."""

from __future__ import annotations

import gzip
import random
import zipfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import spiders.ezbooking as ezbooking
from guichets.evidence import ArchiveReader, ArchiveWriter, EvidenceRef, Exchange
from guichets.items import Evidence
from guichets.page import Page, Reading
from tests.crawl_fixtures import read_rows, write_desks
from tests.database_fixtures import Database

PAGES = Path(__file__).parent.parent / "pages" / "ezbooking"
DESK = "92-nanterre"
FORM = "https://www.hauts-de-seine.gouv.fr/booking/create/12083"
SEEN = datetime(2026, 5, 13, 7, 30, tzinfo=UTC)
WHO = ("--desk", DESK, "--contributor", "benevole-7")
SESSION = b"eZSESSID=k3v9fj2mq8s7t6r5p4n3m2l1k0"

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def give(database: Database, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """``guichets import`` for a desk of the catalogue."""
    folder = write_desks(tmp_path / "catalogue", {DESK: FORM, "92-other": f"{FORM}4"})
    monkeypatch.setenv("GUICHETS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GUICHETS_DATABASE_URL", database.dsn)
    monkeypatch.setenv("GUICHETS_CATALOGUE", str(folder))
    assert run("catalogue", "sync")[0] == 0
    return lambda *words: run("import", *[str(word) for word in words])


@pytest.fixture
def written(database: Database, tmp_path: Path) -> Callable[[], list[dict[str, Any]]]:
    """What stands in the database; fails when the archive holds what no observation rests on."""

    def look() -> list[dict[str, Any]]:
        rows = read_rows(database, "SELECT * FROM observations ORDER BY observed_at")
        if not rows:
            assert list((tmp_path / "home").rglob("*.warc.gz*")) == []
        return rows

    return look


def page(name: str) -> bytes:
    return (PAGES / name).read_bytes()


def exchange(url: str, body: bytes, at: datetime = SEEN, kind: bytes = b"text/html") -> Exchange:
    return Exchange(
        method="GET",
        url=url,
        request_headers=((b"Host", b"www.hauts-de-seine.gouv.fr"), (b"Cookie", SESSION)),
        status=200,
        response_headers=((b"Content-Type", kind), (b"Set-Cookie", SESSION + b"; path=/")),
        raw_body=body,
        started_at=at,
        finished_at=at,
    )


def save_warc(folder: Path, exchanges: Sequence[Exchange]) -> Path:
    home = folder / "their-home"
    with ArchiveWriter(home, "browser", now=lambda: SEEN) as writer:
        for one in exchanges:
            writer.write_exchange(one)
    (made,) = home.rglob("*.warc.gz")
    return made.rename(folder / "visit.warc.gz")


def save_wacz(folder: Path, warc: bytes, name: str = "archive/data.warc.gz") -> Path:
    path = folder / "visit.wacz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as container:
        container.writestr("datapackage.json", "{}")
        container.writestr(name, warc)
    return path


def a_visit(folder: Path, last: str = "none-step2.html", step: str = "2") -> Path:
    return save_warc(
        folder,
        [
            exchange(f"{FORM}/0", page("step0.html"), SEEN - timedelta(seconds=20)),
            exchange("https://www.hauts-de-seine.gouv.fr/style.css", b"p {}", SEEN, b"text/css"),
            exchange("https://tracker.example/hit", b"<html>us</html>"),
            exchange(f"{FORM}/{step}", page(last)),
        ],
    )


def test_a_visit_becomes_a_contributed_observation_with_its_proof(
    give: Run, written: Callable[[], list[dict[str, Any]]], tmp_path: Path
) -> None:
    status, out, err = give(a_visit(tmp_path), *WHO)
    assert (status, err) == (0, "")
    (row,) = written()
    assert str(row["id"]) in out
    assert (row["outcome"], row["rule"]) == ("none", "ezbooking.none.step2-sentence")
    assert (row["purpose"], row["contributor"]) == ("contributed", "benevole-7")
    assert (row["observed_at"], row["desk_id"], row["host"]) == (SEEN, DESK, "www.hauts-de-seine.gouv.fr")
    assert (row["requests"], row["parser"], row["id"].version) == (0, "ezbooking@1", 7)
    parts = [Evidence(**part) for part in row["evidence"]]
    assert [part.url for part in parts] == [f"{FORM}/0", f"{FORM}/2"]
    reader = ArchiveReader(tmp_path / "home")
    found = [reader.read_page(ref_of(part)) for part in parts]
    assert [one.body() for one in found] == [page("step0.html"), page("none-step2.html")]
    assert found[-1].started_at == SEEN


def test_the_session_of_the_contributor_is_not_kept(give: Run, tmp_path: Path) -> None:
    assert give(a_visit(tmp_path), *WHO)[0] == 0
    (made,) = (tmp_path / "home").rglob("*.warc.gz")
    text = gzip.decompress(made.read_bytes())
    assert b"booking/create/12083" in text
    assert b"style.css" in text
    assert SESSION not in text
    assert b"tracker.example" not in text


def test_a_wacz_is_read_like_its_warc(give: Run, written: Callable[[], Any], tmp_path: Path) -> None:
    visit = a_visit(tmp_path, "offered-step3.html", "3")
    assert give(save_wacz(tmp_path, visit.read_bytes()), *WHO)[0] == 0
    (row,) = written()
    assert row["outcome"] == "offered"


def test_a_saved_page_needs_its_address_and_instant(
    give: Run, written: Callable[[], Any], tmp_path: Path
) -> None:
    saved = tmp_path / "page.html"
    saved.write_bytes(page("none-step2.html"))
    assert "give its address" in give(saved, *WHO)[2]
    assert "give the date and time" in give(saved, *WHO, "--url", f"{FORM}/2")[2]
    assert written() == []
    status, _, err = give(saved, *WHO, "--url", f"{FORM}/2", "--seen-at", "2026-05-13T09:30")
    assert (status, err) == (0, "")
    assert written()[0]["observed_at"] == SEEN


def test_the_same_file_again_changes_nothing(give: Run, written: Callable[[], Any], tmp_path: Path) -> None:
    visit = a_visit(tmp_path)
    assert give(visit, *WHO)[0] == 0
    before = written()
    size = sum(path.stat().st_size for path in (tmp_path / "home").rglob("*.warc.gz"))
    status, out, _ = give(visit, *WHO)
    assert (status, "déjà importée" in out) == (0, True)
    assert written() == before
    assert sum(path.stat().st_size for path in (tmp_path / "home").rglob("*.warc.gz")) == size


def test_a_contribution_is_replayed_like_any_observation(
    give: Run, written: Callable[[], Any], run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert give(a_visit(tmp_path), *WHO)[0] == 0
    assert "Rien ne change" in run("replay")[1]

    def read(self: object, seen: Page) -> Reading:
        found = ezbooking.read_page(seen)
        return found if found.outcome is None else Reading(outcome=ezbooking.Outcome.CLOSED, rule="changed")

    monkeypatch.setattr(ezbooking.EzbookingSpider, "read", read)
    assert run("replay", "--apply")[0] == 0
    first, second = sorted(written(), key=lambda row: row["supersedes"] is not None)
    assert (second["outcome"], second["supersedes"]) == ("closed", first["id"])
    assert (second["contributor"], second["purpose"]) == ("benevole-7", "contributed")


HOSTILE: dict[str, tuple[Callable[[Path], Path], str]] = {
    "another desk": (
        lambda folder: save_warc(folder, [exchange(f"{FORM}4/2", page("none-step2.html"))]),
        "it holds no page of https://www.hauts-de-seine.gouv.fr/booking/create/12083",
    ),
    "another host": (
        lambda folder: save_warc(
            folder, [exchange("https://evil.example/booking/create/12083/2", page("none-step2.html"))]
        ),
        "it holds no page of",
    ),
    "first page only": (
        lambda folder: save_warc(folder, [exchange(f"{FORM}/0", page("step0.html"))]),
        "its pages do not say whether there are appointments",
    ),
    "past the calendar by address": (
        lambda folder: save_warc(folder, [exchange(f"{FORM}/8", page("none-step2.html"))]),
        "refused and not stored, because its address is that of a booking step past the calendar",
    ),
    "past the calendar by heading": (
        lambda folder: save_warc(folder, [exchange(f"{FORM}/4", page("beyond-step8-personal.html"))]),
        "refused and not stored, because",
    ),
    "a name": (
        lambda folder: save_warc(
            folder,
            [
                exchange(f"{FORM}/2", page("none-step2.html")),
                exchange(f"{FORM}/0", b"<html><p>Bonjour Fatou DIALLO</p></html>"),
            ],
        ),
        "it addresses a person by name",
    ),
    "a foreigner's number": (
        lambda folder: save_warc(
            folder,
            [
                exchange(
                    f"{FORM}/2",
                    page("none-step2.html").replace(b"</form>", b"<input name=x value=9912345678></form>"),
                )
            ],
        ),
        "it holds a foreigner's number (AGDREF) in a filled field",
    ),
    "a visit to come": (
        lambda folder: save_warc(
            folder, [exchange(f"{FORM}/2", page("none-step2.html"), datetime(2199, 1, 1, tzinfo=UTC))]
        ),
        "its pages are dated 2199-01-01 00:00 UTC, which cannot be",
    ),
    "a visit before the web": (
        lambda folder: save_warc(
            folder, [exchange(f"{FORM}/2", page("none-step2.html"), datetime(1901, 1, 1, tzinfo=UTC))]
        ),
        "which cannot be",
    ),
    "broken": (lambda folder: cut(a_visit(folder)), "cut short"),
    "encrypted": (lambda folder: encrypted(folder), "it is encrypted"),
    "path escape": (
        lambda folder: save_wacz(folder, a_visit(folder).read_bytes(), "archive/../../../etc/x.warc.gz"),
        "a file whose name leads out of it",
    ),
    "bomb": (
        lambda folder: save_wacz(folder, gzip.compress(bytes(300 * 2**20), 9)),
        "it unpacks to more than 256 MiB",
    ),
    "huge": (lambda folder: huge(folder), "it is larger than 64 MiB"),
    "empty": (lambda folder: text(folder, b""), "it is empty"),
    "no page": (
        lambda folder: text(folder, b"%PDF-1.7 a PDF"),
        "neither a WARC, nor a WACZ, nor a saved HTML",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_refused_file_is_one_clear_line_and_nothing_is_written(
    name: str, give: Run, written: Callable[[], Any], tmp_path: Path
) -> None:
    make, reason = HOSTILE[name]
    status, out, err = give(make(tmp_path), *WHO)
    assert (status, out) == (2, "")
    assert reason in err
    assert err.count("\n") == 1
    assert not {"DIALLO", "9912345678"} & set(err.replace('"', " ").split())
    assert written() == []
    assert not (tmp_path / "etc").exists()


def test_one_refused_file_keeps_all_out(give: Run, written: Callable[[], Any], tmp_path: Path) -> None:
    good = a_visit(tmp_path)
    bad = tmp_path / "bad.warc.gz"
    bad.write_bytes(good.read_bytes()[:-40])
    status, out, err = give(good, bad, *WHO)
    assert (status, out) == (2, "")
    assert "bad.warc.gz" in err
    assert written() == []


def test_a_damaged_file_never_ends_in_a_traceback(
    give: Run, written: Callable[[], Any], tmp_path: Path
) -> None:
    good = a_visit(tmp_path).read_bytes()
    dice = random.Random(5)
    path = tmp_path / "damaged.warc.gz"
    for _ in range(60):
        data = bytearray(good)
        for _ in range(dice.choice([1, 1, 20])):
            data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        if dice.random() < 0.3:
            del data[dice.randrange(len(data)) :]
        path.write_bytes(data)
        status, out, err = give(path, *WHO)
        assert status in {0, 2}
        assert (out == "") == (status == 2)
        assert err.count("\n") == (status == 2)
        assert status == 0 or "damaged.warc.gz" in err
    assert len(written()) <= 1


@pytest.mark.parametrize("name", ["Fatou Diallo", "f.diallo@mail.example", "x", "-x"])
def test_a_contributor_is_a_pseudonym(
    give: Run, written: Callable[[], Any], name: str, tmp_path: Path
) -> None:
    status, _, err = give(a_visit(tmp_path), "--desk", DESK, f"--contributor={name}")
    assert status == 2
    assert "write a pseudonym" in err
    assert written() == []


def test_an_unknown_desk_is_said(give: Run, tmp_path: Path) -> None:
    status, _, err = give(a_visit(tmp_path), "--desk", "nowhere", "--contributor", "benevole-7")
    assert (status, err) == (
        2,
        'guichets: --desk: the database knows no "nowhere"; guichets catalogue list shows them\n',
    )


def ref_of(part: Evidence) -> EvidenceRef:
    assert part.file is not None
    assert part.offset is not None
    assert part.length is not None
    assert part.record_id is not None
    assert part.digest is not None
    return EvidenceRef(part.file, part.offset, part.length, part.sha256, part.record_id, part.digest)


def cut(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:-25])
    return path


def encrypted(folder: Path) -> Path:
    path = save_wacz(folder, a_visit(folder).read_bytes())
    data = bytearray(path.read_bytes())
    place = 0
    while (place := data.find(b"PK\x01\x02", place)) >= 0:
        data[place + 8] |= 1  # the flag of the central directory, which is what readers believe
        place += 4
    path.write_bytes(data)
    return path


def huge(folder: Path) -> Path:
    path = folder / "huge.warc.gz"
    with path.open("wb") as file:
        file.write(b"\x1f\x8b")
        file.truncate(65 * 2**20)
    return path


def text(folder: Path, data: bytes) -> Path:
    path = folder / "file"
    path.write_bytes(data)
    return path
